//! Who calls a server: found in the flags and the environment, sent as metadata.

use std::env;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

use super::args::Connection;
use super::error::Error;
use super::secrets::Secrets;
use crate::secret;

/// What the environment says of the caller.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `TOKEND_TOKEN`: a token to sign in with.
    pub token: Option<SecretString>,
    /// `TOKEND_PASSWORD`: the password of the user of `--as`.
    pub password: Option<SecretString>,
}

impl Environment {
    /// Reads it from this process. What is empty counts as unset.
    ///
    /// # Errors
    /// [`Error::UnclearSecret`], and [`Error::Unsendable`] for what is no UTF-8.
    pub fn of_process() -> Result<Self, Error> {
        Ok(Self { token: variable("TOKEND_TOKEN")?, password: variable("TOKEND_PASSWORD")? })
    }
}

fn variable(name: &'static str) -> Result<Option<SecretString>, Error> {
    let value = match env::var(name) {
        Ok(value) => Zeroizing::new(value),
        Err(env::VarError::NotPresent) => return Ok(None),
        Err(env::VarError::NotUnicode(_)) => return Err(Error::Unsendable(name)),
    };
    let text = secret::text(&value).map_err(|fault| Error::UnclearSecret { name, fault })?;
    Ok((!text.is_empty()).then(|| text.into()))
}

/// Who calls.
#[derive(Debug)]
pub(super) enum Credentials {
    /// A user, by password.
    Basic { realm: Option<String>, username: String, password: SecretString },
    /// Whoever the token stands for.
    Bearer(SecretString),
}

impl Credentials {
    /// Finds who calls: flags beat the environment. Nobody is no error here.
    pub(super) async fn find(
        connection: &Connection,
        environment: &Environment,
        secrets: &Secrets,
    ) -> Result<Option<Self>, Error> {
        match (&connection.as_user, connection.token_stdin) {
            (Some(_), true) => Err(Error::TwoCredentials),
            (None, _) if connection.as_realm.is_some() => Err(Error::RealmOfNobody),
            (None, true) => Ok(Some(Self::Bearer(secrets.next_line("token").await?))),
            (None, false) => Ok(environment.token.clone().map(Self::Bearer)),
            (Some(username), false) => {
                let password = if let Some(password) = &environment.password {
                    password.clone()
                } else {
                    let prompt = format!("Password of {username}: ");
                    secrets.ask("password", prompt, "TOKEND_PASSWORD").await?
                };
                let realm = connection.as_realm.clone();
                Ok(Some(Self::Basic { realm, username: username.clone(), password }))
            }
        }
    }

    /// The `authorization` metadata, marked as sensitive.
    pub(super) fn header(&self) -> Result<MetadataValue<Ascii>, Error> {
        let (value, what) = match self {
            Self::Basic { realm: _, username, .. } if username.contains(':') => {
                return Err(Error::Unsendable("the user name"));
            }
            Self::Basic { realm: _, username, password } => {
                let pair = Zeroizing::new(format!("{username}:{}", password.expose_secret()));
                let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
                (Zeroizing::new(format!("Basic {}", *pair)), "the password")
            }
            Self::Bearer(token) if token.expose_secret().contains([' ', '\t']) => {
                return Err(Error::Unsendable("the token"));
            }
            Self::Bearer(token) => {
                (Zeroizing::new(format!("Bearer {}", token.expose_secret())), "the token")
            }
        };
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| Error::Unsendable(what))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The `tokend-realm` metadata, where a realm was named.
    pub(super) fn realm(&self) -> Result<Option<MetadataValue<Ascii>>, Error> {
        match self {
            Self::Basic { realm: Some(realm), .. } => {
                realm.parse().map(Some).map_err(|_| Error::Unsendable("the realm"))
            }
            Self::Basic { realm: None, .. } | Self::Bearer(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorization::Authorization;

    #[test]
    fn sends_a_password_as_the_parser_of_the_other_side_reads_it() {
        let credentials = Credentials::Basic {
            realm: Some("shop".to_owned()),
            username: "müller".to_owned(),
            password: "a:b ü".into(),
        };
        let header = credentials.header().unwrap();
        assert!(header.is_sensitive());
        match Authorization::parse(header.as_bytes()) {
            Ok(Authorization::Basic { username, password }) => {
                assert_eq!((username.as_str(), password.expose_secret()), ("müller", "a:b ü"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(credentials.realm().unwrap().unwrap(), "shop");
    }

    #[test]
    fn sends_a_token_as_bearer() {
        let credentials = Credentials::Bearer("tkd_x".into());
        assert_eq!(credentials.header().unwrap(), "Bearer tkd_x");
        assert_eq!(credentials.realm().unwrap(), None);
    }

    #[test]
    fn refuses_what_a_header_would_twist() {
        let basic = |username: &str| Credentials::Basic {
            realm: None,
            username: username.to_owned(),
            password: "p".into(),
        };
        assert!(basic("a:b").header().is_err());
        for token in ["a b", "a\nb", "ü\u{7f}"] {
            let error = Credentials::Bearer(token.into()).header().unwrap_err();
            assert!(!error.to_string().contains(token));
        }
    }
}
