//! `TokenService`.

use tonic::{Request, Response};

use super::caller::Proof;
use super::{Answer, Services};
use crate::domain::calls::{Check, CreateToken, ListTokens, Refresh, Revoke};
use crate::pb;
use crate::pb::token_service_server::TokenService;

#[tonic::async_trait]
impl TokenService for Services {
    async fn create_token(
        &self,
        request: Request<pb::CreateTokenRequest>,
    ) -> Answer<pb::CreateTokenResponse> {
        // A credential in the body beats the metadata, which is then not even read.
        let proof = if request.get_ref().credential.is_some() { Proof::Unread } else { Proof::Any };
        let origin = self.callers.origin(&request, proof)?;
        let asked = CreateToken::try_from(request.into_inner())?;
        Ok(Response::new(self.core.create_token(&origin, asked).await?.into()))
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Answer<pb::RevokeTokenResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = Revoke::from(request.into_inner());
        Ok(Response::new(self.core.revoke_token(&origin, asked).await?.into()))
    }

    async fn refresh_operation_token(
        &self,
        request: Request<pb::RefreshOperationTokenRequest>,
    ) -> Answer<pb::RefreshOperationTokenResponse> {
        let origin = self.callers.origin(&request, Proof::Unread)?;
        let asked = Refresh::from(request.into_inner());
        Ok(Response::new(self.core.refresh_operation_token(&origin, asked).await?.into()))
    }

    async fn authorize(
        &self,
        request: Request<pb::AuthorizeRequest>,
    ) -> Answer<pb::AuthorizeResponse> {
        // `Basic` must never make an Authorize hash.
        let proof = if self.core.authorize_asks_caller() { Proof::Bearer } else { Proof::Unread };
        let origin = self.callers.origin(&request, proof)?;
        let asked = Check::try_from(request.into_inner())?;
        let verdict = self.core.authorize(&origin, asked).await?;
        self.decisions.count(&verdict);
        Ok(Response::new(verdict.into()))
    }

    async fn get_token(
        &self,
        request: Request<pb::GetTokenRequest>,
    ) -> Answer<pb::GetTokenResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::GetTokenRequest { token_id } = request.into_inner();
        let token = self.core.get_token(&origin, &token_id).await?;
        Ok(Response::new(pb::GetTokenResponse { token: Some(token.into()) }))
    }

    async fn list_tokens(
        &self,
        request: Request<pb::ListTokensRequest>,
    ) -> Answer<pb::ListTokensResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = ListTokens::try_from(request.into_inner())?;
        Ok(Response::new(self.core.list_tokens(&origin, asked).await?.into()))
    }

    async fn get_caller(
        &self,
        request: Request<pb::GetCallerRequest>,
    ) -> Answer<pb::GetCallerResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::GetCallerRequest {} = request.into_inner();
        Ok(Response::new(self.core.get_caller(&origin).await?.into()))
    }
}
