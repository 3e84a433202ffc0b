//! Who has which path: two who claim one are refused before anything is served.

use std::collections::BTreeMap;

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

/// The paths that are taken.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<String, &'static str>);

impl Claims {
    /// Takes a path, such as `/tokens/{token}`, for `owner`. What a parameter is called makes no
    /// difference.
    ///
    /// # Errors
    /// [`Clash`] where somebody has it.
    pub(super) fn take(&mut self, path: &str, owner: &'static str) -> Result<(), Clash> {
        let segments = path.split('/').map(|word| if word.starts_with('{') { "{}" } else { word });
        let shape = segments.collect::<Vec<_>>().join("/");
        match self.0.insert(shape, owner) {
            None => Ok(()),
            Some(first) => Err(Clash { path: path.to_owned(), first, second: owner }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_path_to_one_alone() {
        let mut claims = Claims::default();
        assert_eq!(claims.take("/tokens/{token}", "azion"), Ok(()));
        assert_eq!(claims.take("/tokens", "azion"), Ok(()));
        assert_eq!(claims.take("/Tokens", "other"), Ok(()));
        let clash = claims.take("/tokens/{id}", "other").unwrap_err();
        assert_eq!(
            clash.to_string(),
            "`/tokens/{id}` is claimed by azion and by other: set another base path for one of them"
        );
    }
}
