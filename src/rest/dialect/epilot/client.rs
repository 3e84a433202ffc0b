//! The calls of one client, in the name of the token that they present.

use http::HeaderMap;
use tonic::Status;

use super::Epilot;
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, GetCallerRequest, GetCallerResponse,
    ListTokensRequest, ListTokensResponse, RevokeTokenRequest, RevokeTokenResponse, Token,
    TokenState, revoke_token_request,
};
use crate::rest::call::Call;
use crate::rest::dialect::Rejection;
use crate::rest::failure::Failure;
use crate::rest::input::authorization::bearer;
use crate::rest::{Shim, TARGET};

/// As many tokens as the contract puts on a page.
const PAGE: i32 = 500;

/// How many pages are read for one list: 20 times as many tokens as a user has by default.
const MOST_PAGES: usize = 40;

/// Someone who presents a token. Each call has it judged.
pub(super) struct Client<'a> {
    shim: &'a Shim,
    call: Call,
}

impl<'a> Client<'a> {
    /// Reads who calls. Only one `Authorization` header counts, and only `Bearer` in it.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] where there is no such header.
    pub(super) fn of(shim: &'a Shim, call: Call, headers: &HeaderMap) -> Result<Self, Failure> {
        let (authorization, _) = bearer(headers).ok_or(Failure::TokenInvalid)?;
        let realm = shim.settings.epilot.realm.as_deref();
        Ok(Self { shim, call: call.on_behalf_of(authorization, realm)? })
    }

    /// Refuses what the request holds, unless the token is no good: who has none learns nothing
    /// else.
    pub(super) async fn refuse(&self, why: impl Into<Rejection<Epilot>>) -> Rejection<Epilot> {
        match self.prove().await {
            Ok(()) => why.into(),
            Err(status) => status.into(),
        }
    }

    /// Has the token judged, and nothing else.
    ///
    /// # Errors
    /// Whatever the server answers, or the transport. The same for all that follow.
    pub(super) async fn prove(&self) -> Result<(), Status> {
        let mut tokens = self.shim.upstream.tokens.clone();
        let GetCallerResponse { user: _, token: _, roles: _ } = self
            .call
            .send(GetCallerRequest {}, async |request| tokens.get_caller(request).await)
            .await?;
        Ok(())
    }

    /// Makes a token.
    pub(super) async fn create(
        &self,
        message: CreateTokenRequest,
    ) -> Result<CreateTokenResponse, Status> {
        let mut tokens = self.shim.upstream.tokens.clone();
        self.call.send(message, async |request| tokens.create_token(request).await).await
    }

    /// Ends a token of this profile.
    pub(super) async fn revoke(
        &self,
        id: String,
        profile: &str,
    ) -> Result<RevokeTokenResponse, Status> {
        let message = RevokeTokenRequest {
            target: Some(revoke_token_request::Target::TokenId(id)),
            profile: profile.to_owned(),
            skip_wait: false,
        };
        let mut tokens = self.shim.upstream.tokens.clone();
        self.call.send(message, async |request| tokens.revoke_token(request).await).await
    }

    /// Lists the caller's live tokens of this profile, newest first. Past 20,000 the oldest are
    /// left out, and the log says so.
    pub(super) async fn list(&self, profile: &str) -> Result<Vec<Token>, Status> {
        let mut message = ListTokensRequest {
            user_id: String::new(),
            profile: profile.to_owned(),
            states: vec![TokenState::Active.into()],
            page_size: PAGE,
            page_token: String::new(),
        };
        let mut service = self.shim.upstream.tokens.clone();
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = message.clone();
            let ListTokensResponse { tokens, next_page_token } =
                self.call.send(page, async |request| service.list_tokens(request).await).await?;
            all.extend(tokens);
            if next_page_token.is_empty() {
                return Ok(all);
            }
            message.page_token = next_page_token;
        }
        tracing::warn!(target: TARGET, tokens = all.len(), "a list was cut: the user has more tokens");
        Ok(all)
    }
}
