//! `KeyService`.

use tonic::{Request, Response};

use super::caller::Proof;
use super::convert::wait;
use super::{Answer, Services};
use crate::pb;
use crate::pb::key_service_server::KeyService;

#[tonic::async_trait]
impl KeyService for Services {
    async fn get_public_keys(
        &self,
        request: Request<pb::GetPublicKeysRequest>,
    ) -> Answer<pb::GetPublicKeysResponse> {
        let pb::GetPublicKeysRequest {} = request.into_inner();
        let keys = self.core.public_keys().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::GetPublicKeysResponse { keys }))
    }

    async fn list_signing_keys(
        &self,
        request: Request<pb::ListSigningKeysRequest>,
    ) -> Answer<pb::ListSigningKeysResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::ListSigningKeysRequest { profile } = request.into_inner();
        let keys = self.core.list_signing_keys(&origin, &profile).await?;
        let keys = keys.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListSigningKeysResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<pb::RotateSigningKeyRequest>,
    ) -> Answer<pb::RotateSigningKeyResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::RotateSigningKeyRequest { profile, skip_wait } = request.into_inner();
        let key = self.core.rotate_signing_key(&origin, &profile, wait(skip_wait)).await?;
        Ok(Response::new(pb::RotateSigningKeyResponse { key: Some(key.into()) }))
    }

    async fn retire_signing_key(
        &self,
        request: Request<pb::RetireSigningKeyRequest>,
    ) -> Answer<pb::RetireSigningKeyResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::RetireSigningKeyRequest { key_id, skip_wait } = request.into_inner();
        let key = self.core.retire_signing_key(&origin, &key_id, wait(skip_wait)).await?;
        Ok(Response::new(pb::RetireSigningKeyResponse { key: Some(key.into()) }))
    }
}
