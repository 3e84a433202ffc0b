//! What a request asks for: an operation, and the fields beside it.

use std::time::Duration;

use http::{HeaderMap, header};
use serde::Serialize;
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use crate::rest::input::content_type::{ContentType, ContentTypeFault};
use crate::rest::input::json::JsonFault;
use crate::rest::input::{json, lifetime, shown};
use crate::rest::json::JSON;

/// What is asked for.
#[derive(Serialize, ToSchema)]
#[serde(tag = "operation", rename_all = "snake_case")]
#[expect(dead_code, reason = "it is described only: bodies are read field by field")]
pub(super) enum HarperdbRequest {
    /// Makes a pair of tokens.
    CreateAuthenticationTokens {
        /// The user's name.
        #[schema(min_length = 1)]
        username: String,
        /// Their password.
        #[schema(min_length = 1)]
        password: String,
        /// Absent: as the settings say.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires_in: Option<HarperdbLifetime>,
    },
    /// Makes an operation token.
    RefreshOperationToken {
        /// The refresh token; absent where it is the Bearer of `Authorization`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(min_length = 1)]
        refresh_token: Option<String>,
    },
    /// Says who asks.
    UserInfo,
}

/// How long an operation token lives.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is described only: bodies are read field by field")]
pub(super) enum HarperdbLifetime {
    /// Seconds.
    Seconds(u64),
    /// A time span, such as `1d`.
    Span(String),
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CreateAuthenticationTokens,
    RefreshOperationToken,
    UserInfo,
}

/// The body, of which each operation reads what it needs.
pub(super) struct Fields(Map<String, Value>);

/// Who asks for tokens.
pub(super) struct Credentials<'a> {
    pub(super) username: &'a str,
    pub(super) password: &'a str,
    /// How long the operation token is to live; `None`: nobody chose.
    pub(super) lifetime: Option<prost_types::Duration>,
}

/// Why a request is refused before anybody is asked, in the vendor's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("Unsupported Media Type: {0}")]
    MediaType(String),
    #[error("Body cannot be empty when content-type is set to 'application/json'")]
    Empty,
    #[error("The body nests too deep.")]
    TooDeep,
    #[error("The body has the key `{0}` twice.")]
    DuplicateKey(String),
    #[error("The body is not valid JSON.")]
    Malformed,
    #[error("Request body must include an 'operation' property.")]
    NoOperation,
    #[error("Operation '{0}' not found")]
    UnknownOperation(String),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(". "))]
    Fields(Vec<FieldFault>),
}

/// What is wrong with a field, in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldFault {
    #[error("'{0}' is required")]
    Missing(&'static str),
    #[error("'{0}' is not allowed to be empty")]
    Empty(&'static str),
    #[error("'{0}' must be a string")]
    NotText(&'static str),
    #[error("'expires_in' must be a number of seconds or a time span such as \"1d\"")]
    Lifetime,
}

/// Reads which operation is asked for.
///
/// # Errors
/// The first reason to refuse it: the content type, then the JSON, then the operation.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Operation, Fields), Refused> {
    judge_media_type(headers)?;
    if body.is_empty() {
        return Err(Refused::Empty);
    }
    let Value::Object(fields) = json::parse(body)? else { return Err(Refused::NoOperation) };
    let Some(Value::String(name)) = fields.get("operation") else {
        return Err(Refused::NoOperation);
    };
    let operation = match name.as_str() {
        "create_authentication_tokens" => Operation::CreateAuthenticationTokens,
        "refresh_operation_token" => Operation::RefreshOperationToken,
        "user_info" => Operation::UserInfo,
        // The vendor's check takes what is empty for what is absent.
        "" => return Err(Refused::NoOperation),
        other => return Err(Refused::UnknownOperation(shown(other))),
    };
    Ok((operation, Fields(fields)))
}

fn judge_media_type(headers: &HeaderMap) -> Result<(), Refused> {
    match ContentType::parse(headers) {
        Ok(content_type) if content_type.essence == JSON => Ok(()),
        Err(ContentTypeFault::Absent) => Err(Refused::MediaType("undefined".to_owned())),
        Ok(_) | Err(ContentTypeFault::Repeated | ContentTypeFault::Malformed) => {
            let sent = headers.get_all(header::CONTENT_TYPE).into_iter();
            let sent: Vec<_> =
                sent.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            Err(Refused::MediaType(shown(&sent.join(", "))))
        }
    }
}

impl Fields {
    /// Reads who asks for tokens.
    ///
    /// # Errors
    /// [`Refused::Fields`] with every fault.
    pub(super) fn credentials(&self) -> Result<Credentials<'_>, Refused> {
        match (self.text("username"), self.text("password"), self.lifetime()) {
            (Ok(username), Ok(password), Ok(lifetime)) => {
                Ok(Credentials { username, password, lifetime })
            }
            (username, password, lifetime) => {
                let faults = [username.err(), password.err(), lifetime.err()];
                Err(Refused::Fields(faults.into_iter().flatten().collect()))
            }
        }
    }

    /// Reads the refresh token.
    ///
    /// # Errors
    /// [`Refused::Fields`].
    pub(super) fn refresh_token(&self) -> Result<&str, Refused> {
        self.text("refresh_token").map_err(|fault| Refused::Fields(vec![fault]))
    }

    fn text(&self, name: &'static str) -> Result<&str, FieldFault> {
        match self.0.get(name) {
            None | Some(Value::Null) => Err(FieldFault::Missing(name)),
            Some(Value::String(text)) if text.is_empty() => Err(FieldFault::Empty(name)),
            Some(Value::String(text)) => Ok(text),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(FieldFault::NotText(name))
            }
        }
    }

    /// Whether the server allows as much is its own to say.
    fn lifetime(&self) -> Result<Option<prost_types::Duration>, FieldFault> {
        let length = match self.0.get("expires_in") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => seconds(number),
            Some(Value::String(text)) => lifetime::parse(text).ok(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
        };
        let length = length.and_then(|length| length.try_into().ok());
        length.map(Some).ok_or(FieldFault::Lifetime)
    }
}

fn seconds(number: &Number) -> Option<Duration> {
    match number.as_u64() {
        Some(whole) => Some(Duration::from_secs(whole)),
        None => Duration::try_from_secs_f64(number.as_f64()?).ok(),
    }
}

impl From<JsonFault> for Refused {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::TooDeep => Self::TooDeep,
            JsonFault::DuplicateKey(name) => Self::DuplicateKey(name),
            JsonFault::Empty | JsonFault::Malformed => Self::Malformed,
        }
    }
}
