//! What the shim speaks, where, and for whom.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

/// What the shim speaks, and to whom it listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxies whose `X-Forwarded-For` and `Forwarded` are believed; empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a request's body may take to arrive, and how long all calls that it leads to may
    /// take together.
    pub deadline: Duration,
    /// How clients reach the shim: a URL without a path's final `/`; `None`: by one of `hosts`, or
    /// at `address`.
    pub public_url: Option<String>,
    /// The hosts that answers may name where a request names them: `host` or `host:port`. No other
    /// word of a client's is repeated.
    pub hosts: Vec<String>,
    /// Where the shim is reached on its own machine. Answers name it where nothing else may be named.
    pub address: SocketAddr,
    /// How Azion is spoken.
    pub azion: DialectSettings,
    /// How Apinizer is spoken.
    pub apinizer: DialectSettings,
    /// How `HarperDB` is spoken.
    pub harperdb: DialectSettings,
    /// How Magento is spoken.
    pub magento: MagentoSettings,
    /// How epilot is spoken.
    pub epilot: EpilotSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            deadline: Duration::from_secs(30),
            public_url: None,
            hosts: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            azion: DialectSettings::with_profile("azion"),
            apinizer: DialectSettings::with_profile("apinizer"),
            harperdb: DialectSettings::with_profile("harperdb"),
            magento: MagentoSettings::default(),
            epilot: EpilotSettings::default(),
        }
    }
}

/// Where a dialect is spoken, and for whom.
#[derive(Debug, Clone)]
pub struct DialectSettings {
    /// Whether it is spoken at all.
    pub enabled: bool,
    /// The path that its routes stand under.
    pub base_path: BasePath,
    /// The realm of its users.
    pub realm: String,
    /// The profile that makes its tokens.
    pub profile: String,
}

impl DialectSettings {
    /// Speaks it at the root, for the users of the realm `default`.
    #[must_use]
    pub fn with_profile(profile: &str) -> Self {
        Self {
            enabled: true,
            base_path: BasePath::default(),
            realm: "default".to_owned(),
            profile: profile.to_owned(),
        }
    }
}

/// Where Magento is spoken, and for whom.
#[derive(Debug, Clone)]
pub struct MagentoSettings {
    /// Whether it is spoken at all.
    pub enabled: bool,
    /// The path that its routes stand under.
    pub base_path: BasePath,
    /// The codes of the stores that may stand in a path: `default` in `/rest/default/V1/…`.
    pub stores: Vec<String>,
    /// Who signs in at the admins' route.
    pub admin: Members,
    /// Who signs in at the customers' route.
    pub customer: Members,
}

impl Default for MagentoSettings {
    fn default() -> Self {
        let members = |realm: &str, profile: &str| Members {
            realm: realm.to_owned(),
            profile: profile.to_owned(),
        };
        Self {
            enabled: true,
            base_path: BasePath::default(),
            stores: vec!["default".to_owned(), "all".to_owned()],
            admin: members("default", "magento-admin"),
            customer: members("customers", "magento-customer"),
        }
    }
}

/// A set of users, and the tokens they get.
#[derive(Debug, Clone)]
pub struct Members {
    /// Their realm.
    pub realm: String,
    /// The profile that makes their tokens.
    pub profile: String,
}

/// Where epilot is spoken, and for whom.
#[derive(Debug, Clone)]
pub struct EpilotSettings {
    /// Whether it is spoken at all.
    pub enabled: bool,
    /// The path that its routes stand under.
    pub base_path: BasePath,
    /// The realm that callers must be of; `None`: any. A new token lives in its caller's.
    pub realm: Option<String>,
    /// The profile that makes its tokens.
    pub profile: String,
}

impl Default for EpilotSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            base_path: BasePath::default(),
            realm: None,
            profile: "epilot".to_owned(),
        }
    }
}

/// The path before a dialect's own paths: empty, or like `/azion`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, to follow its name, where it is neither empty nor
    /// `/segment/segment…`, or a segment is `.` or `..`, or holds anything but letters, digits,
    /// `-`, `_` and `.`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let path = text.is_empty()
            || text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(good));
        if path {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "must be empty, or segments of letters, digits, `-`, `_` and `.` with a `/` before each",
            )
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
