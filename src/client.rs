//! The generated clients over one erased transport: this process, or a channel to another.
//!
//! The shim and the command line hold an [`Upstream`] and nothing behind it, so limits, metrics
//! and rules exist once, and `tokend rest --upstream` is the same code in another place.

use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::service::Routes;
use tonic::transport::Channel;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::pb::audit_service_client::AuditServiceClient;
use crate::pb::directory_service_client::DirectoryServiceClient;
use crate::pb::key_service_client::KeyServiceClient;
use crate::pb::maintenance_service_client::MaintenanceServiceClient;
use crate::pb::token_service_client::TokenServiceClient;

/// The metadata in which the shim says for whom it calls: an IP address. Believed only from this
/// process and from the peers that `grpc.trusted_peers` names.
pub const CLIENT_ADDRESS: &str = "tokend-client-address";

/// The metadata that names the caller's realm; empty: `default`. Absent: of a `Basic` caller
/// `default`, of a `Bearer` any. A token of another realm than the one named counts as unknown.
pub const REALM: &str = "tokend-realm";

/// The metadata that names the profile whose lockout policy a failure of a `Basic` caller is counted
/// by; absent: that of `sign_in.lockout`. A call that makes a token goes by its own profile.
pub const PROFILE: &str = "tokend-profile";

/// The metadata that says, as `1`, that a `Basic` caller's password is tried once more without its
/// final line end, as `PasswordCredential.accept_final_newline` says it in a request.
pub const ACCEPT_FINAL_NEWLINE: &str = "tokend-accept-final-newline";

/// The metadata that carries the request's id, both ways.
pub const REQUEST_ID: &str = "x-request-id";

/// Whether a caller's request id is one that a log can hold: 1 to 64 letters, digits, `_` and `-`.
#[must_use]
pub fn is_request_id(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// How a call reaches the server.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, TransportError>;

/// The call did not reach the server, or its answer did not come back.
// A newtype, for with a bare `StdError` axum's handlers don't compile.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TransportError(StdError);

/// Who makes the calls of an in-process [`Upstream`]. A request extension, which no listener sets:
/// a call that carries one came from this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InProcess {
    /// The shim, on behalf of the client it names in [`CLIENT_ADDRESS`].
    Shim,
    /// The operator's own command line on a local database: may do everything.
    Operator,
}

/// The clients of one server.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Tokens.
    pub tokens: TokenServiceClient<Transport>,
    /// Users and roles.
    pub directory: DirectoryServiceClient<Transport>,
    /// Signing keys.
    pub keys: KeyServiceClient<Transport>,
    /// What happened.
    pub audit: AuditServiceClient<Transport>,
    /// What an operator does by hand.
    pub maintenance: MaintenanceServiceClient<Transport>,
}

impl Upstream {
    /// Calls the services of this process, without a socket.
    #[must_use]
    pub fn in_process(routes: Routes, caller: InProcess) -> Self {
        Self::over(routes.map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(caller);
            request
        }))
    }

    /// Calls a server elsewhere.
    #[must_use]
    pub fn remote(channel: Channel) -> Self {
        Self::over(channel)
    }

    fn over<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error: Into<StdError>, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let transport: Transport = BoxCloneSyncService::new(
            service.map_err(|error: S::Error| TransportError(error.into())),
        );
        Self {
            tokens: TokenServiceClient::new(transport.clone()),
            directory: DirectoryServiceClient::new(transport.clone()),
            keys: KeyServiceClient::new(transport.clone()),
            audit: AuditServiceClient::new(transport.clone()),
            maintenance: MaintenanceServiceClient::new(transport),
        }
    }
}
