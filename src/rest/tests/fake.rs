//! A server that answers as it is told, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Request, Status, async_trait};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::ServiceExt as _;

use super::super::{Settings, router};
use crate::client::{InProcess, REQUEST_ID, Upstream};
use crate::pb::key_service_server::{KeyService, KeyServiceServer};
use crate::pb::token_service_server::{TokenService, TokenServiceServer};
use crate::pb::{self, ErrorReason};

type Answer<T> = Box<dyn Fn() -> Result<T, Status> + Send + Sync>;

/// What was asked.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::rest) enum Asked {
    Create(pb::CreateTokenRequest),
    Revoke(pb::RevokeTokenRequest),
    Refresh(pb::RefreshOperationTokenRequest),
    Authorize(pb::AuthorizeRequest),
    List(pb::ListTokensRequest),
    Caller,
    Keys,
}

/// What each call is answered.
pub(in crate::rest) struct Fake {
    pub(in crate::rest) create: Answer<pb::CreateTokenResponse>,
    pub(in crate::rest) revoke: Answer<pb::RevokeTokenResponse>,
    pub(in crate::rest) refresh: Answer<pb::RefreshOperationTokenResponse>,
    pub(in crate::rest) authorize: Answer<pb::AuthorizeResponse>,
    pub(in crate::rest) list: Answer<pb::ListTokensResponse>,
    pub(in crate::rest) caller: Answer<pb::GetCallerResponse>,
    pub(in crate::rest) keys: Answer<pb::GetPublicKeysResponse>,
    pub(in crate::rest) settings: Settings,
}

impl Default for Fake {
    fn default() -> Self {
        let unwanted = || Status::unimplemented("not told to");
        Self {
            create: Box::new(move || Err(unwanted())),
            revoke: Box::new(move || Err(unwanted())),
            refresh: Box::new(move || Err(unwanted())),
            authorize: Box::new(move || Err(unwanted())),
            list: Box::new(move || Err(unwanted())),
            caller: Box::new(move || Err(unwanted())),
            keys: Box::new(move || Err(unwanted())),
            settings: Settings::default(),
        }
    }
}

/// A shim before a [`Fake`].
#[derive(Clone)]
pub(in crate::rest) struct World {
    app: axum::Router,
    asked: Arc<Mutex<Vec<(MetadataMap, Asked)>>>,
}

struct Server {
    fake: Fake,
    asked: Arc<Mutex<Vec<(MetadataMap, Asked)>>>,
}

impl Fake {
    pub(in crate::rest) fn start(self) -> World {
        let asked = Arc::default();
        let settings = self.settings.clone();
        let server = Arc::new(Server { fake: self, asked: Arc::clone(&asked) });
        let routes = Routes::new(TokenServiceServer::from_arc(Arc::clone(&server)))
            .add_service(KeyServiceServer::from_arc(server));
        let upstream = Upstream::in_process(routes, InProcess::Shim);
        World { app: router(upstream, settings).unwrap(), asked }
    }
}

impl World {
    pub(in crate::rest) async fn send<B>(&self, request: http::Request<B>) -> Response<String>
    where
        B: http_body::Body<Data = axum::body::Bytes, Error: Into<tonic::codegen::StdError>>
            + Send
            + 'static,
    {
        let request = request.map(axum::body::Body::new);
        let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The one call that the server got.
    pub(in crate::rest) fn asked(&self) -> (MetadataMap, Asked) {
        let mut asked = self.all_asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    /// All calls that the server got, in their order.
    pub(in crate::rest) fn all_asked(&self) -> Vec<(MetadataMap, Asked)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    pub(in crate::rest) fn was_asked_nothing(&self) -> bool {
        self.asked.lock().unwrap().is_empty()
    }
}

impl Server {
    fn answer<T, Q>(
        &self,
        request: Request<Q>,
        asked: impl FnOnce(Q) -> Asked,
        answer: &Answer<T>,
    ) -> Result<tonic::Response<T>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.asked.lock().unwrap().push((metadata, asked(message)));
        let id = "made-by-the-server".parse().unwrap();
        match answer() {
            Ok(message) => {
                let mut response = tonic::Response::new(message);
                response.metadata_mut().insert(REQUEST_ID, id);
                Ok(response)
            }
            Err(mut status) => {
                status.metadata_mut().insert(REQUEST_ID, id);
                Err(status)
            }
        }
    }
}

/// A failure as the contract sends it.
pub(in crate::rest) fn failure(code: Code, reason: ErrorReason) -> Status {
    failure_with(code, reason, |_| {})
}

/// A failure that names `fields` as wrong.
pub(in crate::rest) fn invalid(fields: &[&str]) -> Status {
    failure_with(Code::InvalidArgument, ErrorReason::InvalidField, |details| {
        for field in fields {
            details.add_bad_request_violation(*field, "is wrong");
        }
    })
}

/// A failure that says when to come back.
pub(in crate::rest) fn come_back(code: Code, reason: ErrorReason, delay: Duration) -> Status {
    failure_with(code, reason, |details| {
        details.set_retry_info(Some(delay));
    })
}

fn failure_with(code: Code, reason: ErrorReason, add: impl FnOnce(&mut ErrorDetails)) -> Status {
    let mut details = ErrorDetails::with_error_info(reason.as_str_name(), pb::ERROR_DOMAIN, []);
    add(&mut details);
    Status::with_error_details(code, "words of the server", details)
}

/// Status, the headers named, and body, as text to compare.
pub(in crate::rest) fn seen(
    response: &Response<String>,
    headers: &[&str],
) -> (u16, Vec<String>, String) {
    let text = |name: &&str| {
        let values = response.headers().get_all(*name).into_iter();
        values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" + ")
    };
    let status: StatusCode = response.status();
    (status.as_u16(), headers.iter().map(text).collect(), response.body().clone())
}

#[async_trait]
impl TokenService for Server {
    async fn create_token(
        &self,
        request: Request<pb::CreateTokenRequest>,
    ) -> Result<tonic::Response<pb::CreateTokenResponse>, Status> {
        self.answer(request, Asked::Create, &self.fake.create)
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Result<tonic::Response<pb::RevokeTokenResponse>, Status> {
        self.answer(request, Asked::Revoke, &self.fake.revoke)
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Result<tonic::Response<pb::AuthorizeResponse>, Status> {
        self.answer(request, Asked::Authorize, &self.fake.authorize)
    }

    async fn refresh_operation_token(
        &self,
        request: Request<pb::RefreshOperationTokenRequest>,
    ) -> Result<tonic::Response<pb::RefreshOperationTokenResponse>, Status> {
        self.answer(request, Asked::Refresh, &self.fake.refresh)
    }

    async fn get_token(
        &self,
        _: Request<pb::GetTokenRequest>,
    ) -> Result<tonic::Response<pb::GetTokenResponse>, Status> {
        Err(Status::unimplemented("get_token"))
    }

    async fn list_tokens(
        &self,
        request: Request<pb::ListTokensRequest>,
    ) -> Result<tonic::Response<pb::ListTokensResponse>, Status> {
        self.answer(request, Asked::List, &self.fake.list)
    }

    async fn get_caller(
        &self,
        request: Request<pb::GetCallerRequest>,
    ) -> Result<tonic::Response<pb::GetCallerResponse>, Status> {
        self.answer(request, |_| Asked::Caller, &self.fake.caller)
    }
}

#[async_trait]
impl KeyService for Server {
    async fn get_public_keys(
        &self,
        request: Request<pb::GetPublicKeysRequest>,
    ) -> Result<tonic::Response<pb::GetPublicKeysResponse>, Status> {
        self.answer(request, |_| Asked::Keys, &self.fake.keys)
    }

    async fn list_signing_keys(
        &self,
        _: Request<pb::ListSigningKeysRequest>,
    ) -> Result<tonic::Response<pb::ListSigningKeysResponse>, Status> {
        Err(Status::unimplemented("list_signing_keys"))
    }

    async fn rotate_signing_key(
        &self,
        _: Request<pb::RotateSigningKeyRequest>,
    ) -> Result<tonic::Response<pb::RotateSigningKeyResponse>, Status> {
        Err(Status::unimplemented("rotate_signing_key"))
    }

    async fn retire_signing_key(
        &self,
        _: Request<pb::RetireSigningKeyRequest>,
    ) -> Result<tonic::Response<pb::RetireSigningKeyResponse>, Status> {
        Err(Status::unimplemented("retire_signing_key"))
    }
}
