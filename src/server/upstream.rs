//! How the command line reaches a server: one elsewhere, the one that holds the local database, or
//! the database itself.

use std::time::Duration;

use ::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::open::{self, Opened};
use super::{StartError, operator};
use crate::client::Upstream;
use crate::config::Settings;
use crate::store::lock::DatabaseLock;

/// A server that the command line can call.
pub enum Reached {
    /// Over the network: the caller must prove themselves.
    Remote(Upstream),
    /// In this process, on a database that no server holds, or that many share: the operator.
    Local(Upstream, Local),
}

impl std::fmt::Debug for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Remote(_) => f.write_str("Remote"),
            Self::Local(..) => f.write_str("Local"),
        }
    }
}

/// The database, held while a command runs on it.
pub struct Local(Opened);

impl Local {
    /// Closes the database.
    pub async fn close(self) {
        self.0.close().await;
    }
}

/// Reaches the server of this URL; without one, the server that holds the local database, or else
/// that database.
///
/// # Errors
/// What stands in the way, in a sentence.
pub async fn reach(settings: &Settings, server: Option<&Uri>) -> Result<Reached, StartError> {
    if let Some(url) = server {
        return Ok(Reached::Remote(Upstream::remote(remote(url)?)));
    }
    if let Some(reached) = holder(settings)? {
        return Ok(reached);
    }
    let (upstream, opened) = operator(settings).await?;
    Ok(Reached::Local(upstream, Local(opened)))
}

/// Finds the server that holds the database, where that is a file. One on a server is shared.
fn holder(settings: &Settings) -> Result<Option<Reached>, StartError> {
    let Some(database) = open::file(settings)? else { return Ok(None) };
    if let Some(address) = DatabaseLock::holder(&database)?.and_then(|holder| holder.grpc) {
        let url = Uri::builder()
            .scheme("http")
            .authority(super::welcome::reachable(address).to_string())
            .path_and_query("/")
            .build()
            .map_err(std::io::Error::other)?;
        return Ok(Some(Reached::Remote(Upstream::remote(remote(&url)?))));
    }
    if database.exists() { Ok(None) } else { Err(StartError::NoDatabase(database)) }
}

/// A channel to a server. It connects at the first call, and anew after a break.
///
/// # Errors
/// [`StartError::NoTls`] for `https://`; [`StartError::Unreachable`] for what is no address.
pub fn remote(url: &Uri) -> Result<Channel, StartError> {
    if url.scheme_str() == Some("https") {
        return Err(StartError::NoTls);
    }
    let endpoint = Endpoint::from_shared(url.to_string())
        .map_err(|_| StartError::Unreachable(url.to_string()))?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        // Without it a channel never notices that the other side is gone without a word.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}
