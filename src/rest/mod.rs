//! The REST shim: documented HTTP token formats, spoken by a client of the contract.
//!
//! Requests become calls on an [`Upstream`], and answers take the dialect's shape. Nothing is
//! decided here. `docs/dialects/` says what each dialect answers, row by row.

mod body;
mod call;
mod claims;
mod dialect;
mod docs;
mod failure;
mod forwarded;
pub mod input;
mod json;
mod observe;
mod openapi;
mod own;
mod settings;
mod timestamp;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;

use crate::client::Upstream;

pub use claims::Clash;
pub use settings::{BasePath, DialectSettings, EpilotSettings, MagentoSettings, Members, Settings};

// What spans and events are filtered by.
const TARGET: &str = "tokend::rest";

// What handlers are given.
#[derive(Debug, Clone)]
struct Shim {
    upstream: Arc<Upstream>,
    settings: Arc<Settings>,
    /// What `/openapi.json` answers.
    description: Bytes,
}

/// Makes the HTTP service. Whoever listens puts the peer's address into each request, as
/// `axum::extract::ConnectInfo<std::net::SocketAddr>`; without it, the server is told of no client.
///
/// # Errors
/// [`Clash`] where the settings have two claim one path.
pub fn router(upstream: Upstream, settings: Settings) -> Result<Router, Clash> {
    let (routes, description) = dialect::routes(&settings)?;
    let shim = Shim {
        upstream: Arc::new(upstream),
        settings: Arc::new(settings),
        description: openapi::text(&description).into(),
    };
    let served = routes.into_iter().map(|routes| routes.serve(&shim));
    let app = served.fold(Router::new(), Router::merge);
    Ok(app.with_state(shim))
}

/// Describes in OpenAPI 3.1 all that is served under these settings, as `/openapi.json` answers it.
///
/// # Errors
/// [`Clash`] where the settings have two claim one path.
pub fn describe(settings: &Settings) -> Result<String, Clash> {
    Ok(openapi::text(&dialect::routes(settings)?.1))
}

/// Checks that no two claim one path under these settings.
///
/// # Errors
/// [`Clash`] where they do.
pub fn check(settings: &Settings) -> Result<(), Clash> {
    dialect::routes(settings).map(drop)
}
