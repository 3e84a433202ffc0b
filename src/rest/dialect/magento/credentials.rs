//! The user name and the password in a body, of JSON or XML.

use std::collections::BTreeSet;

use axum::body::Bytes;
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use utoipa::ToSchema;

use super::refusal::Refusal;
use crate::rest::input::content_type::{ContentType, ContentTypeFault};
use crate::rest::input::json;
use crate::rest::input::xml::{self, Element};

/// What proves a user.
#[derive(Debug, ToSchema)]
#[schema(as = MagentoCredentials, xml(name = "login"))]
pub(super) struct Credentials {
    /// Not empty.
    #[schema(min_length = 1, example = "customer1@example.com")]
    pub(super) username: String,
    /// Not empty.
    #[schema(value_type = String, min_length = 1, example = "customer1pw")]
    pub(super) password: SecretString,
}

/// A field of a body, before it is judged.
#[derive(Debug)]
enum Field {
    Absent,
    Text(SecretString),
    /// It has parts.
    Composite,
}

impl Credentials {
    /// Reads a body of the type that the headers say. Where there is none, they are not looked at.
    ///
    /// # Errors
    /// The [`Refusal`] of the type, of the body, or of the fields.
    pub(super) fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Self::of(Field::Absent, Field::Absent);
        }
        let ContentType { essence, charset } =
            ContentType::parse(headers).map_err(|fault| match fault {
                ContentTypeFault::Absent => Refusal::no_content_type(),
                ContentTypeFault::Repeated | ContentTypeFault::Malformed => {
                    Refusal::bad_content_type()
                }
            })?;
        if charset.is_some_and(|charset| charset != "utf-8") {
            return Err(Refusal::charset());
        }
        match essence.as_str() {
            "application/json" => {
                let value = json::parse(body).map_err(|_| Refusal::decoding())?;
                Self::of_value(&value)
            }
            "application/xml" | "text/xml" | "application/xhtml+xml" => {
                let root = xml::parse(body).map_err(|_| Refusal::decoding())?;
                Self::of_element(&root)
            }
            other => Err(Refusal::unknown_content_type(other)),
        }
    }

    /// Takes them from the children of an element, by their names without prefix.
    ///
    /// # Errors
    /// [`Refusal::wrong_type`] and [`Refusal::required`].
    fn of_element(parent: &Element) -> Result<Self, Refusal> {
        let mut names = BTreeSet::new();
        if !parent.children.iter().all(|child| names.insert(&child.name)) {
            return Err(Refusal::wrong_type());
        }
        Self::of(Field::child(parent, "username"), Field::child(parent, "password"))
    }

    fn of_value(value: &Value) -> Result<Self, Refusal> {
        // What is no object has no fields.
        Self::of(Field::member(value.get("username")), Field::member(value.get("password")))
    }

    fn of(username: Field, password: Field) -> Result<Self, Refusal> {
        Self::of_present(username.text()?, password.text()?)
    }

    /// Takes both, where both are there.
    ///
    /// # Errors
    /// [`Refusal::required`].
    pub(super) fn of_present(
        username: Option<SecretString>,
        password: Option<SecretString>,
    ) -> Result<Self, Refusal> {
        match (username, password) {
            (Some(username), Some(password)) => {
                Ok(Self { username: username.expose_secret().to_owned(), password })
            }
            (None, Some(_)) => Err(Refusal::required(&["username"])),
            (Some(_), None) => Err(Refusal::required(&["password"])),
            (None, None) => Err(Refusal::required(&["username", "password"])),
        }
    }
}

impl Field {
    fn member(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) => Self::Text(text.as_str().into()),
            Some(Value::Number(number)) => Self::Text(decimal(number).into()),
            // As PHP casts them to text.
            Some(Value::Bool(true)) => Self::Text("1".into()),
            Some(Value::Bool(false)) => Self::Text("".into()),
            Some(Value::Array(_) | Value::Object(_)) => Self::Composite,
        }
    }

    fn child(parent: &Element, name: &str) -> Self {
        let Some(child) = parent.children.iter().find(|child| child.name == name) else {
            return Self::Absent;
        };
        if !child.attributes.is_empty() || !child.children.is_empty() {
            return Self::Composite;
        }
        // The vendor's parser drops text that is white space alone.
        let blank = child.text.expose_secret().trim_matches([' ', '\t', '\r', '\n']).is_empty();
        if blank { Self::Absent } else { Self::Text(child.text.clone()) }
    }

    /// The text, where there is any.
    fn text(self) -> Result<Option<SecretString>, Refusal> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text).filter(|text| !text.expose_secret().is_empty())),
            Self::Composite => Err(Refusal::wrong_type()),
        }
    }
}

/// A whole number as it was sent, any other in plain digits.
fn decimal(number: &serde_json::Number) -> String {
    if number.is_f64() {
        number.as_f64().map(|number| number.to_string()).unwrap_or_default()
    } else {
        number.to_string()
    }
}
