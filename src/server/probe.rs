//! `tokend healthcheck`: asks a server whether it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{StartError, remote};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a server is asked.
#[derive(Debug, Clone)]
pub enum Probe {
    /// By gRPC, at this URL.
    Grpc(Uri),
    /// By HTTP, at this host and port of its management listener.
    Management(String),
}

impl Probe {
    /// Asks at a management listener.
    #[must_use]
    pub fn of_listener(address: SocketAddr) -> Self {
        Self::Management(address.to_string())
    }
}

/// Asks whether a server is ready.
///
/// # Errors
/// [`StartError::Unreachable`] where it is not, or does not answer in time.
pub async fn healthcheck(probe: &Probe) -> Result<(), StartError> {
    let (asked, name) = match probe {
        Probe::Grpc(url) => (timeout(PATIENCE, by_grpc(url)).await, url.to_string()),
        Probe::Management(host) => (timeout(PATIENCE, by_http(host)).await, host.clone()),
    };
    match asked {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(StartError::NotReady(name)),
        Ok(None) | Err(_) => Err(StartError::Unreachable(name)),
    }
}

async fn by_grpc(url: &Uri) -> Option<bool> {
    let channel = remote(url).ok()?;
    let request = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(channel).check(request).await.ok()?;
    Some(answer.into_inner().status() == ServingStatus::Serving)
}

async fn by_http(host: &str) -> Option<bool> {
    let socket = TcpStream::connect(host).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.ok()?;
    let driven = tokio::spawn(connection);
    let request = Request::get("/readyz").header("host", host).body(Empty::<Bytes>::new()).ok()?;
    let answer = sender.send_request(request).await.ok()?;
    driven.abort();
    Some(answer.status() == StatusCode::OK)
}
