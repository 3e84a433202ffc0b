//! The client's address: the peer's, or what trusted proxies say of it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds the client behind `peer`. `X-Forwarded-For` and `Forwarded` are looked at only where the
/// peer is one of `trusted`, and only up to the first hop from the right that is not: whoever
/// stands further left could have written anything. Where both headers are sent and disagree,
/// neither is believed, for the proxy wrote one and handed the other through.
pub(super) fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.ip().to_canonical();
    let walk = |hops: Vec<Option<IpAddr>>| (!hops.is_empty()).then(|| walk(peer, &hops, trusted));
    let ours = walk(x_forwarded_for(headers));
    let standard = walk(forwarded(headers));
    match (ours, standard) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(address), _) | (None, Some(address)) => address,
        (None, None) => peer,
    }
}

fn walk(peer: IpAddr, hops: &[Option<IpAddr>], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Some(hop) = hop else { break };
        if !trusted.iter().any(|net| net.contains(&client)) {
            break;
        }
        client = *hop;
    }
    client
}

// A hop that is no address (`unknown`, `_name`) is `None`: the walk ends there.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &X_FORWARDED_FOR).map(|element| address(&element)).collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    elements(headers, &header::FORWARDED).map(|element| for_of(&element)).collect()
}

fn for_of(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let node = node.trim();
    address(node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node))
}

// A comma inside quotes splits too: no address holds one, so the walk ends there.
fn elements(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let lines = headers.get_all(name).into_iter();
    lines.flat_map(|line| {
        let line = String::from_utf8_lossy(line.as_bytes()).into_owned();
        let elements = line.split(',').map(|element| element.trim().to_owned());
        elements.filter(|element| !element.is_empty()).collect::<Vec<_>>()
    })
}

fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_address(SocketAddr::new(peer.parse().unwrap(), 1), &map, &trusted).to_string()
    }

    #[test]
    fn believes_no_header_from_a_peer_that_is_not_trusted() {
        let headers = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4")];
        assert_eq!(client("192.0.2.1", &headers), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &headers), "192.0.2.1");
    }

    #[test]
    fn takes_the_first_hop_from_the_right_that_is_not_trusted() {
        for (value, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.1.1.1, fd00::1", "1.2.3.4"),
            ("6.6.6.6,1.2.3.4:5678,, 10.1.1.1:80", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("10.2.2.2, 10.1.1.1", "10.2.2.2"),
            ("6.6.6.6, unknown, 10.1.1.1", "10.1.1.1"),
            ("6.6.6.6, unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
        }
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4, 10.1.1.1")];
        assert_eq!(client("::ffff:10.0.0.1", &lines), "1.2.3.4");
    }

    #[test]
    fn reads_the_standard_header_too() {
        for (value, expected) in [
            ("for=1.2.3.4;proto=https;by=10.0.0.1", "1.2.3.4"),
            ("for=6.6.6.6, proto=https;For=\"1.2.3.4:99\", for=10.1.1.1", "1.2.3.4"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=6.6.6.6, for=_hidden, for=10.1.1.1", "10.1.1.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn believes_neither_header_where_they_disagree() {
        let agreeing = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4")];
        assert_eq!(client("10.0.0.1", &agreeing), "1.2.3.4");
        let forged = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=6.6.6.6")];
        assert_eq!(client("10.0.0.1", &forged), "10.0.0.1");
    }
}
