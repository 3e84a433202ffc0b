//! Who has which path: two who claim one are refused before anything is served.

use std::collections::BTreeMap;

use matchit::{InsertError, Router};

/// Two claim one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is claimed by {first} and by {second}: set another base path for one of them")]
pub struct Clash {
    /// The path, as the later of them has it.
    pub path: String,
    /// Whose it is already.
    pub first: &'static str,
    /// Who claims it, too.
    pub second: &'static str,
}

/// The paths that are taken, by the rules of the router that axum has inside: it panics where this
/// refuses.
#[derive(Default)]
pub(super) struct Claims {
    router: Router<()>,
    owners: BTreeMap<String, &'static str>,
}

impl Claims {
    /// Takes a path, such as `/tokens/{token}`, for `owner`.
    ///
    /// # Errors
    /// [`Clash`] where somebody has it, whatever its parameters are called.
    pub(super) fn take(&mut self, path: &str, owner: &'static str) -> Result<(), Clash> {
        let Err(fault) = self.router.insert(path, ()) else {
            self.owners.insert(path.to_owned(), owner);
            return Ok(());
        };
        // Else the path is none that a router takes.
        let other = if let InsertError::Conflict { with } = fault { with } else { path.to_owned() };
        let first = self.owners.get(&other).copied().unwrap_or(owner);
        Err(Clash { path: path.to_owned(), first, second: owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_path_to_one_alone() {
        let mut claims = Claims::default();
        for path in ["/tokens/{token}", "/tokens", "/Tokens", "/tokens/{token}/more", "/{*other}"] {
            assert_eq!(claims.take(path, "azion"), Ok(()), "{path}");
        }
        assert_eq!(claims.take("/tokens/mine", "other"), Ok(()));
        for path in ["/tokens", "/tokens/{id}", "/{*any}"] {
            let clash = claims.take(path, "other").unwrap_err();
            assert_eq!((clash.first, clash.second), ("azion", "other"), "{path}");
        }
        let clash = claims.take("/tokens/{id}", "other").unwrap_err();
        assert_eq!(
            clash.to_string(),
            "`/tokens/{id}` is claimed by azion and by other: set another base path for one of them"
        );
    }
}
