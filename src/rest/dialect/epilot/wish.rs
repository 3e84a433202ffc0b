//! What a client asks a token to be: the body of `POST /v1/access-tokens`.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::pb::create_token_request::Lifetime;
use crate::pb::{CreateTokenRequest, RoleSelection};
use crate::rest::input::content_type::{ContentType, ContentTypeFault};
use crate::rest::input::json::{self, JsonFault};
use crate::rest::input::{lifetime, shown};

/// The names of the one list of roles: the vendor's page has the first, its OpenAPI the other.
const ROLES: [&str; 2] = ["assume_roles", "assignments"];

/// The shortest life that may be asked for.
const SHORTEST: Duration = Duration::from_secs(30);

/// A token as it is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EpilotWish {
    name: String,
    roles: Option<Chosen>,
    life: Option<prost_types::Duration>,
}

/// The roles chosen for a token.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    /// What the client calls the list.
    field: &'static str,
    role_ids: Vec<String>,
}

/// Why a body asks for no token, in one sentence that names the field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The body says that it is something else.
    #[error("`Content-Type` must be `application/json`.")]
    ContentType,
    /// There is none, or it is not JSON, or not an object.
    #[error("The body must be a JSON object.")]
    NoObject,
    /// Arrays and objects nest deeper than is read.
    #[error("The body nests too deep.")]
    TooDeep,
    /// A property comes twice.
    #[error("`{0}` comes twice.")]
    Twice(String),
    /// A property that nobody knows.
    #[error("`{0}` is no property of a token.")]
    Unknown(String),
    /// Missing, of another type, or of no length that a name has.
    #[error("`name` must be text of 1 to 255 characters, none of them a control character.")]
    Name,
    /// Another type of token.
    #[error("`token_type` must be `api` where it is sent.")]
    TokenType,
    /// No list of roles.
    #[error(
        "`{0}` must be a list of at most 64 role ids, none of them twice, \
         each of 1 to 64 letters, digits, `_`, `.`, `:` and `-`."
    )]
    Roles(&'static str),
    /// Two lists of roles.
    #[error("`assume_roles` and `assignments` must be the same list where both are sent.")]
    TwoLists,
    /// No lifetime, or not one that the profile allows.
    #[error(
        "`expires_in` must be a whole number of seconds, or a lifetime such as `30d` or \
         `12 hours`: at least 30 seconds, and no longer than a token may live."
    )]
    ExpiresIn,
}

impl EpilotWish {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`Fault`] of it.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fault> {
        if !says_json(headers) {
            return Err(Fault::ContentType);
        }
        let Value::Object(mut members) = json::parse(body)? else { return Err(Fault::NoObject) };
        let name = members.remove("name").ok_or(Fault::Name)?;
        let name = name.as_str().filter(|name| !name.is_empty()).ok_or(Fault::Name)?.to_owned();
        if members.remove("token_type").is_some_and(|kind| kind != "api") {
            return Err(Fault::TokenType);
        }
        let roles = roles(&mut members)?;
        let life = members.remove("expires_in").map(|value| life(&value)).transpose()?;
        match members.keys().next() {
            None => Ok(Self { name, roles, life }),
            Some(unknown) => Err(Fault::Unknown(shown(unknown))),
        }
    }

    /// The same wish in the words of the contract.
    pub(super) fn message(&self, profile: &str) -> CreateTokenRequest {
        let Self { name, roles, life } = self;
        let role_ids = roles.as_ref().map(|Chosen { field: _, role_ids }| role_ids.clone());
        CreateTokenRequest {
            credential: None,
            profile: profile.to_owned(),
            display_name: name.clone(),
            lifetime: life.map(Lifetime::Ttl),
            roles: role_ids.map(|role_ids| RoleSelection { role_ids }),
        }
    }

    /// What the client did wrong where the server refuses these fields; `None` where it was not
    /// the client.
    pub(super) fn fault(&self, fields: &[String]) -> Option<Fault> {
        let roles = self.roles.as_ref().map(|Chosen { field, role_ids: _ }| Fault::Roles(field));
        let refused = |name: &str| fields.iter().any(|field| field == name);
        if refused("display_name") {
            return Some(Fault::Name);
        }
        if refused("ttl") {
            return Some(Fault::ExpiresIn);
        }
        // `role_ids`, or `role_ids[0]`.
        roles.filter(|_| fields.iter().any(|field| field.starts_with("role_ids")))
    }
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Self {
        match fault {
            JsonFault::Empty | JsonFault::Malformed => Self::NoObject,
            JsonFault::TooDeep => Self::TooDeep,
            JsonFault::DuplicateKey(name) => Self::Twice(name),
        }
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    match ContentType::parse(headers) {
        Ok(ContentType { essence, charset: _ }) => {
            matches!(essence.as_str(), "application/json" | "text/json")
                || essence.ends_with("+json")
        }
        Err(ContentTypeFault::Absent) => true,
        Err(ContentTypeFault::Repeated | ContentTypeFault::Malformed) => false,
    }
}

fn roles(members: &mut Map<String, Value>) -> Result<Option<Chosen>, Fault> {
    let mut chosen: Option<Chosen> = None;
    for field in ROLES {
        let Some(value) = members.remove(field) else { continue };
        let items = value.as_array().ok_or(Fault::Roles(field))?;
        let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
        let role_ids = texts.collect::<Option<Vec<_>>>().ok_or(Fault::Roles(field))?;
        if chosen.is_some_and(|other| other.role_ids != role_ids) {
            return Err(Fault::TwoLists);
        }
        chosen = Some(Chosen { field, role_ids });
    }
    Ok(chosen)
}

fn life(value: &Value) -> Result<prost_types::Duration, Fault> {
    let life = match (value.as_f64(), value.as_str()) {
        (Some(seconds), _) if seconds.fract() == 0.0 => Duration::try_from_secs_f64(seconds).ok(),
        (None, Some(text)) => lifetime::parse(text).ok(),
        (Some(_) | None, _) => None,
    };
    let life = life.filter(|life| *life >= SHORTEST).ok_or(Fault::ExpiresIn)?;
    life.try_into().map_err(|_| Fault::ExpiresIn)
}

// By hand, for what is read is not kept as it is sent.
impl PartialSchema for EpilotWish {
    fn schema() -> RefOr<Schema> {
        let text =
            |what: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(what));
        let name = text("What to call the token.")
            .min_length(Some(1))
            .max_length(Some(255))
            .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"));
        let role = || {
            text("The id of a role that the caller holds.").pattern(Some("^[A-Za-z0-9_.:-]{1,64}$"))
        };
        let roles = |what: &str| {
            let list = ArrayBuilder::new().items(role()).max_items(Some(64)).unique_items(true);
            list.description(Some(what))
        };
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(30.0))
            .description(Some("Seconds."));
        let life = OneOfBuilder::new()
            .item(seconds)
            .item(text("A number and its unit: `30d`, `12 hours`."))
            .description(Some(
                "How long the token lives, at least 30 seconds; absent: by default.",
            ));
        let kind = text("The only type of token that there is.").enum_values(Some(["api"]));
        ObjectBuilder::new()
            .description(Some("A token as it is asked for."))
            .property("name", name)
            .required("name")
            .property("assume_roles", roles("The roles of the token; absent: the caller's."))
            .property("assignments", roles("`assume_roles` by another name."))
            .property("expires_in", life)
            .property("token_type", kind)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl ToSchema for EpilotWish {}
