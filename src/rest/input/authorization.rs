//! The `Authorization` header of a request, which comes once or not at all.

use http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;

use crate::authorization::Authorization;

/// There is more than one. Whoever sends more of them proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is more than one Authorization header")]
pub struct Repeated;

/// Finds the header; `None` where there is none.
///
/// # Errors
/// [`Repeated`].
pub fn single(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Repeated> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next();
    if values.next().is_some() { Err(Repeated) } else { Ok(value) }
}

/// Finds the header and the token in it, where `Bearer` alone counts; `None` for all else.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<(&HeaderValue, SecretString)> {
    let value = single(headers).ok()??;
    Some((value, Authorization::parse_bearer(value.as_bytes()).ok()?))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (header::AUTHORIZATION, value)).collect()
    }

    #[test]
    fn finds_one_header_and_believes_no_two() {
        assert_eq!(single(&headers(&[])), Ok(None));
        assert_eq!(single(&headers(&["Basic x"])).unwrap().unwrap(), "Basic x");
        assert_eq!(single(&headers(&["Basic x", "Basic x"])), Err(Repeated));
    }

    #[test]
    fn finds_a_bearer_s_token_alone() {
        let sent = headers(&["Bearer x.y"]);
        let (value, token) = bearer(&sent).unwrap();
        assert_eq!((value.as_bytes(), token.expose_secret()), (&b"Bearer x.y"[..], "x.y"));
        for values in
            [&["Token x"][..], &["Basic YTpi"], &["Bearer"], &["Bearer x", "Bearer x"], &[]]
        {
            assert!(bearer(&headers(values)).is_none(), "{values:?}");
        }
    }
}
