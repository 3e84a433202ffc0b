//! The REST shim: documented HTTP token formats, spoken by a client of the contract.
//!
//! Requests become calls on an [`Upstream`], and answers take the dialect's shape. Nothing is
//! decided here. `docs/dialects/` says what each dialect answers, row by row.

mod body;
mod call;
mod dialect;
mod failure;
mod forwarded;
pub mod input;
mod json;
mod observe;
mod own;
mod timestamp;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;

use crate::client::Upstream;

// What spans and events are filtered by.
const TARGET: &str = "tokend::rest";

/// What the shim speaks, and to whom it listens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxies whose `X-Forwarded-For` and `Forwarded` are believed; empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a request may take to arrive, and how long each call on the server may take.
    pub deadline: Duration,
    /// How Azion is spoken.
    pub azion: DialectSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            deadline: Duration::from_secs(30),
            azion: DialectSettings::with_profile("azion"),
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

/// The path before a dialect's own paths: empty, or like `/azion`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// The text is no path that routes can stand under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be empty, or segments of letters, digits, `-`, `_` and `.` with a `/` before each")]
pub struct BasePathError;

impl BasePath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`BasePathError`] where it is neither empty nor `/segment/segment…`, or a segment is `.` or
    /// `..`, or holds anything but letters, digits, `-`, `_` and `.`.
    pub fn parse(text: &str) -> Result<Self, BasePathError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let path = text.is_empty()
            || text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(good));
        if path { Ok(Self(text.to_owned())) } else { Err(BasePathError) }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// What handlers are given.
#[derive(Debug, Clone)]
struct Shim {
    upstream: Arc<Upstream>,
    settings: Arc<Settings>,
}

/// Makes the HTTP service. Whoever listens puts the peer's address into each request, as
/// `axum::extract::ConnectInfo<std::net::SocketAddr>`; without it, the server is told of no client.
pub fn router(upstream: Upstream, settings: Settings) -> Router {
    let shim = Shim { upstream: Arc::new(upstream), settings: Arc::new(settings) };
    let own = dialect::mount::<own::Own>(Router::new(), &shim);
    let app = dialect::DIALECTS.iter().fold(own, |app, mount| mount.onto(app, &shim));
    app.with_state(shim)
}
