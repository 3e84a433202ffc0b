//! The calls that a request leads to: for whom, under which id, and by when.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Extensions, Request, Response, Status};

use super::failure::Failure;
use super::{Shim, TARGET, forwarded};
use crate::client::{
    ACCEPT_FINAL_NEWLINE, CLIENT_ADDRESS, PROFILE, REALM, REQUEST_ID, is_request_id,
};

/// Sends messages to the server on behalf of one HTTP request.
#[derive(Debug)]
pub(super) struct Call {
    metadata: MetadataMap,
    until: Instant,
    id: RequestId,
}

impl Call {
    /// Forwards an `Authorization` header as it came: it names the caller, who is of `realm`;
    /// `None`: of any, where it is a token.
    ///
    /// # Errors
    /// [`Failure::Internal`] where `realm` is no text that metadata can carry.
    pub(super) fn on_behalf_of(
        mut self,
        authorization: &HeaderValue,
        realm: Option<&str>,
    ) -> Result<Self, Failure> {
        self.metadata.insert("authorization", ascii(authorization.as_bytes(), "authorization")?);
        if let Some(realm) = realm {
            self.metadata.insert(REALM, ascii(realm.as_bytes(), REALM)?);
        }
        Ok(self)
    }

    /// Has the caller's password tried once more without its final line end.
    pub(super) fn accepting_final_newline(mut self) -> Self {
        self.metadata.insert(ACCEPT_FINAL_NEWLINE, AsciiMetadataValue::from_static("1"));
        self
    }

    /// Has a wrong password of the caller's counted by the lockout policy of `profile`.
    ///
    /// # Errors
    /// [`Failure::Internal`] where `profile` is no text that metadata can carry.
    pub(super) fn counted_by(mut self, profile: &str) -> Result<Self, Failure> {
        self.metadata.insert(PROFILE, ascii(profile.as_bytes(), PROFILE)?);
        Ok(self)
    }

    /// Sends `message` by `rpc`, and keeps the id under which the server knows the call.
    ///
    /// # Errors
    /// Whatever the server answers, or the transport.
    pub(super) async fn send<Q, A, F>(
        &self,
        message: Q,
        rpc: impl FnOnce(Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request =
            Request::from_parts(self.metadata.clone(), Extensions::default(), message);
        request.set_timeout(self.until.saturating_duration_since(Instant::now()));
        let answer = rpc(request).await;
        self.id.learn(match &answer {
            Ok(response) => response.metadata(),
            Err(status) => status.metadata(),
        });
        answer.map(Response::into_inner)
    }
}

impl FromRequestParts<Shim> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shim: &Shim) -> Result<Self, Infallible> {
        let id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
        let mut metadata = MetadataMap::new();
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            let trusted = &shim.settings.trusted_proxies;
            let address = forwarded::client_address(*peer, &parts.headers, trusted).to_string();
            if let Ok(address) = AsciiMetadataValue::try_from(address) {
                metadata.insert(CLIENT_ADDRESS, address);
            }
        }
        if let Some(Ok(given)) =
            id.given.as_ref().map(|id| AsciiMetadataValue::try_from(id.as_bytes()))
        {
            metadata.insert(REQUEST_ID, given);
        }
        // All that the request leads to has this long, however many calls it is.
        Ok(Self { metadata, until: Instant::now() + shim.settings.deadline, id })
    }
}

/// The id of a request: the client's, or the one that the server made.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestId {
    given: Option<HeaderValue>,
    answered: Arc<OnceLock<HeaderValue>>,
}

impl RequestId {
    /// Takes the client's id where it is one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).filter(|id| is_request_id(id.as_bytes())).cloned();
        Self { given, answered: Arc::default() }
    }

    /// The id to tell the client; `None` where nobody has given one.
    pub(super) fn told(&self) -> Option<&HeaderValue> {
        self.answered.get().or(self.given.as_ref())
    }

    fn learn(&self, metadata: &MetadataMap) {
        let id = metadata.get(REQUEST_ID).map(AsciiMetadataValue::as_encoded_bytes);
        if let Some(Ok(id)) = id.filter(|id| is_request_id(id)).map(HeaderValue::from_bytes) {
            self.answered.get_or_init(|| id);
        }
    }
}

fn ascii(value: &[u8], name: &'static str) -> Result<AsciiMetadataValue, Failure> {
    let mut value = AsciiMetadataValue::try_from(value).map_err(|_| {
        tracing::error!(target: TARGET, name, "the value can't be sent as metadata");
        Failure::Internal
    })?;
    value.set_sensitive(name == "authorization");
    Ok(value)
}
