//! Whose a connection is, for limits by address.

use std::net::IpAddr;

use ipnet::IpNet;

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that name a
/// network, within which a client may take any address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
        })
    }
}

/// Whether limits by address leave this peer alone: a proxy, which brings the connections of many.
/// One on this machine is `127.0.0.1` or `::1`; any other is named in the settings.
pub(super) fn is_exempt(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    let local = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
    local.contains(&peer) || trusted.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn takes_the_addresses_of_one_client_for_one() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(Network::of(ip(one)) == Network::of(ip(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn exempts_this_machine_and_named_proxies_alone() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (peer, exempt) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("10.1.2.3", true),
            ("127.0.0.2", false),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_exempt(ip(peer), &trusted), exempt, "{peer}");
        }
    }
}
