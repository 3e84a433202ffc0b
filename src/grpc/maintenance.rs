//! `MaintenanceService`.

use tonic::{Request, Response};

use super::caller::Proof;
use super::convert::{large_count, wait};
use super::{Answer, Services};
use crate::pb;
use crate::pb::maintenance_service_server::MaintenanceService;

#[tonic::async_trait]
impl MaintenanceService for Services {
    async fn purge(&self, request: Request<pb::PurgeRequest>) -> Answer<pb::PurgeResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::PurgeRequest {} = request.into_inner();
        Ok(Response::new(self.core.purge(&origin).await?.into()))
    }

    async fn fence(&self, request: Request<pb::FenceRequest>) -> Answer<pb::FenceResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let pb::FenceRequest { skip_wait } = request.into_inner();
        let users = self.core.fence(&origin, wait(skip_wait)).await?;
        Ok(Response::new(pb::FenceResponse { user_count: large_count(users) }))
    }
}
