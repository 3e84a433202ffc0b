//! `AuditService`.

use tonic::{Request, Response};

use super::caller::Proof;
use super::{Answer, Services};
use crate::domain::calls::ListAudit;
use crate::pb;
use crate::pb::audit_service_server::AuditService;

#[tonic::async_trait]
impl AuditService for Services {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Answer<pb::ListAuditEventsResponse> {
        let origin = self.callers.origin(&request, Proof::Any)?;
        let asked = ListAudit::from(request.into_inner());
        Ok(Response::new(self.core.list_audit(&origin, asked).await?.into()))
    }
}
