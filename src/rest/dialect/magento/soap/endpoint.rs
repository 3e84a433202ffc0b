//! Where the shim is reached: the URL that a WSDL names, and its namespace. A client follows it with
//! a password, so nobody who sends a request can choose it.

use std::net::Ipv6Addr;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::response::Response;
use http::header;
use http::request::Parts;

use super::fault::Fault;
use super::query::{Query, QueryFault, Services};
use super::reply;
use crate::rest::{Settings, Shim};

/// The URL of a request.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: String,
    query: String,
}

impl Endpoint {
    /// The URL at which these services are called. It is the namespace of their elements, too.
    pub(super) fn of(&self, services: &Services) -> String {
        format!("{}?{}", self.url, services.query())
    }

    /// What its query asks for.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub(super) fn query(&self) -> Result<Query, QueryFault> {
        Query::parse(&self.query)
    }
}

/// Refused where it is not said which host is meant.
impl FromRequestParts<Shim> for Endpoint {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shim: &Shim) -> Result<Self, Response> {
        let Settings { public_url, hosts, address, .. } = &*shim.settings;
        let origin = if let Some(url) = public_url {
            url.clone()
        } else {
            let refused = || reply::before_reading(&parts.headers).fault(&Fault::no_host());
            let asked = host(parts).ok_or_else(refused)?;
            match hosts.iter().find(|known| known.eq_ignore_ascii_case(asked)) {
                Some(known) => format!("http://{known}"),
                None => format!("http://{address}"),
            }
        };
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self { url: format!("{origin}{path}"), query })
    }
}

// HTTP/2 has the host in the request line, as has a proxy's request of HTTP/1.1.
fn host(parts: &Parts) -> Option<&str> {
    let mut headers = parts.headers.get_all(header::HOST).into_iter();
    let header = headers.next();
    let host = match (parts.uri.authority(), headers.next()) {
        (Some(authority), None) => authority.as_str(),
        (None, None) => header?.to_str().ok()?,
        (_, Some(_)) => return None,
    };
    is_host(host).then_some(host)
}

/// Whether text is `host` or `host:port`, of a name or an address.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => (1..=253).contains(&host.len()) && host.bytes().all(plain),
    };
    is_name && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_host_from_what_is_none() {
        for host in
            ["localhost", "magento.host", "a_b-c.example:8080", "127.0.0.1:1", "[::1]", "[::1]:80"]
        {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "a:",
            "a:x",
            "a:+1",
            "a:65536",
            "a:1:2",
            "::1",
            "[::1",
            "[x]:80",
            "[::1]80",
            "user@host",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a\"b",
            "a<b",
            "a&b",
            "é",
            &"a".repeat(254),
        ] {
            assert!(!is_host(host), "{host}");
        }
    }
}
