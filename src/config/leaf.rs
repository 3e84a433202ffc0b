//! One value that somebody set, and whether it is a secret.

use config::{Value, ValueKind};

use super::load::Fault;
use super::text::HIDDEN;
use crate::secret;

const DATABASE_URL: &str = "database.url";

/// Every secret: each may be given as a file too.
pub(super) const SECRETS: [&str; 3] = ["bootstrap.password", DATABASE_URL, "keys.master_key"];

/// One value that somebody set.
pub(super) struct Leaf {
    /// The setting by its dotted name.
    pub(super) name: String,
    /// The file, variable or else that it came from.
    pub(super) origin: String,
    /// What was set.
    pub(super) value: Value,
}

impl Leaf {
    pub(super) fn text(name: String, origin: &str, value: &str) -> Self {
        Self { name, origin: origin.to_owned(), value: Value::new(None, value) }
    }

    /// Whether others must not read it. Where a database is, is no secret without a password; nor is
    /// what `config show` has in the place of one.
    pub(super) fn is_secret(&self) -> bool {
        if matches!(&self.value.kind, ValueKind::String(text) if text == HIDDEN) {
            return false;
        }
        let is = |name: &&&str| self.name.eq_ignore_ascii_case(name);
        match SECRETS.iter().find(is) {
            Some(&DATABASE_URL) => {
                self.value.clone().into_string().is_ok_and(|url| holds_password(&url))
            }
            found => found.is_some(),
        }
    }

    /// Takes away what surrounds a secret.
    ///
    /// # Errors
    /// Nobody knows where the secret begins or ends.
    pub(super) fn strip(&mut self) -> Result<(), Fault> {
        // What is no text is a fault of its own.
        let ValueKind::String(read) = &self.value.kind else { return Ok(()) };
        let text = secret::text(read).map(str::to_owned).map_err(|text| Fault {
            name: self.name.clone(),
            text: text.to_owned(),
            origin: Some(self.origin.clone()),
        })?;
        self.value.kind = ValueKind::String(text);
        Ok(())
    }
}

/// Whether the URL of a database holds a password: behind the user's name, or as an option.
fn holds_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let user = rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let (_, options) = rest.split_once('?').unwrap_or_default();
    user || options.to_ascii_lowercase().contains("passw")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_url_that_holds_a_password() {
        for url in [
            "postgres://u:p@h/db",
            "mysql://u:p/w@h/db",
            "postgres://h/db?password=p",
            "postgres://h/db?user=u&PASSWORD=p",
            "mariadb://:p@h/db",
        ] {
            assert!(holds_password(url), "{url}");
        }
        for url in
            ["sqlite://a:b.db", "sqlite://tokend.db", "postgres://u@h:5432/db", "postgres://h"]
        {
            assert!(!holds_password(url), "{url}");
        }
    }
}
