//! What Magento says where it refuses. The message keeps its `%name`, and its value stands apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer;
use crate::rest::failure::{Failure, log_unsent};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MagentoRefusal, xml(name = "response"))]
pub(super) struct Refusal {
    /// The status that goes with it in REST.
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// One sentence. `%name` in it stands for a value in `parameters`.
    pub(super) message: Cow<'static, str>,
    /// What is wrong, where it is more than one thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<Fault>,
    /// The values by their names.
    #[schema(value_type = BTreeMap<String, String>)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parameters: Parameters,
}

/// One of the things that are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MagentoFault)]
pub(super) struct Fault {
    /// One sentence.
    pub(super) message: Cow<'static, str>,
    /// The values by their names.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(super) parameters: Parameters,
}

/// What the `%name`s of a message stand for.
pub(super) type Parameters = BTreeMap<&'static str, &'static str>;

const REQUIRED: &str = "%fieldName is a required field.";

impl Refusal {
    /// M2: no such user, or not their password.
    pub(super) fn sign_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "You did not sign in correctly or your account is temporarily disabled.",
        )
    }

    /// M3, M4: fields that must be there, and are not or are empty.
    pub(super) fn required(fields: &[&'static str]) -> Self {
        if let [field] = fields {
            let missing = Self::new(StatusCode::BAD_REQUEST, REQUIRED);
            return Self { parameters: Parameters::from([("fieldName", *field)]), ..missing };
        }
        let fault = |field: &&'static str| Fault {
            message: REQUIRED.into(),
            parameters: Parameters::from([("fieldName", *field)]),
        };
        let several =
            Self::new(StatusCode::BAD_REQUEST, "One or more input exceptions have occurred.");
        Self { errors: fields.iter().map(fault).collect(), ..several }
    }

    /// M5: a field is no text.
    pub(super) fn wrong_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "Invalid type for value: \"array\". Expected Type: \"string\".",
        )
    }

    /// M6: the body can't be read.
    pub(super) fn decoding() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Decoding error.")
    }

    /// M7: a body of no type.
    pub(super) fn no_content_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Content-Type header is empty.")
    }

    /// M7: a body of a type that is none.
    pub(super) fn bad_content_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Content-Type header is invalid.")
    }

    /// M7: a body in another charset.
    pub(super) fn charset() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UTF-8 is the only supported charset.")
    }

    /// M7: a body of a type that is not read here.
    pub(super) fn unknown_content_type(essence: &str) -> Self {
        let message =
            format!("Server cannot understand Content-Type HTTP header media type {essence}");
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// M8: the path is nobody's, or has not this method.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Request does not match any route.")
    }

    /// M9: an admin without a role.
    pub(super) fn no_role() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "You need more permissions to access this.")
    }

    /// M12: who asks may not do `resource`.
    pub(super) fn not_authorized(resource: &'static str) -> Self {
        let text = "Consumer is not authorized to access %resources";
        let parameters = Parameters::from([("resources", resource)]);
        Self { parameters, ..Self::new(StatusCode::UNAUTHORIZED, text) }
    }

    /// M13: too many attempts.
    pub(super) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests.")
    }

    /// Writes it in the form that the request's headers ask for.
    pub(super) fn write(&self, asked: &HeaderMap) -> axum::response::Response {
        answer::write(asked, self.status, self)
    }

    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { status, message, errors: Vec::new(), parameters: Parameters::new() }
    }

    fn named(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::NotFound | Failure::MethodNotAllowed { .. } => Self::no_route(),
            Failure::BadCredentials => Self::sign_in(),
            Failure::InvalidFields(fields) => {
                log_unsent(fields);
                Self::named(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Failure::UserWithoutRole => Self::no_role(),
            Failure::Throttled(_) => Self::too_many(),
            // The bearer's own tokens are all that a bearer can ask for here.
            Failure::TokenInvalid
            | Failure::TokenExpired
            | Failure::TokenNotFound
            | Failure::PermissionMissing => Self::not_authorized("self"),
            // Nobody chooses a role here.
            Failure::RoleNotHeld(_) => Self::named(StatusCode::INTERNAL_SERVER_ERROR),
            Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::Unavailable(_)
            | Failure::Internal => Self::named(failure.status()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_its_keys_and_leaves_out_the_absent_ones() {
        let text = |refusal: &Refusal| serde_json::to_string(refusal).unwrap();
        assert_eq!(text(&Refusal::decoding()), r#"{"message":"Decoding error."}"#);
        let fault = |field: &str| {
            let message = "%fieldName is a required field.";
            format!("{{\"message\":\"{message}\",\"parameters\":{{\"fieldName\":\"{field}\"}}}}")
        };
        assert_eq!(text(&Refusal::required(&["password"])), fault("password"));
        let both = format!(
            "{{\"message\":\"One or more input exceptions have occurred.\",\"errors\":[{},{}]}}",
            fault("username"),
            fault("password")
        );
        assert_eq!(text(&Refusal::required(&["username", "password"])), both);
    }
}
