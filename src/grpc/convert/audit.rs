//! The messages of `AuditService` and `MaintenanceService`.

use crate::domain::calls::{ListAudit, Page, PageRequest};
use crate::domain::store::{AuditEvent, More, Purged};
use crate::pb;

use super::{large_count, time};

impl From<pb::ListAuditEventsRequest> for ListAudit {
    fn from(request: pb::ListAuditEventsRequest) -> Self {
        let pb::ListAuditEventsRequest { realm, user_id, page_size, page_token } = request;
        Self { realm, user: user_id, page: PageRequest { size: page_size, token: page_token } }
    }
}

impl From<AuditEvent> for pb::AuditEvent {
    fn from(event: AuditEvent) -> Self {
        let AuditEvent { id, at, action, outcome, realm, actor, target, client_address } = event;
        Self {
            id,
            create_time: Some(time(at)),
            action,
            outcome,
            realm,
            actor,
            target,
            client_address,
        }
    }
}

impl From<Page<AuditEvent>> for pb::ListAuditEventsResponse {
    fn from(page: Page<AuditEvent>) -> Self {
        let Page { items, next } = page;
        Self { events: items.into_iter().map(Into::into).collect(), next_page_token: next }
    }
}

impl From<(Purged, More)> for pb::PurgeResponse {
    fn from((purged, more): (Purged, More)) -> Self {
        let Purged {
            tokens,
            grants,
            revocations,
            changes,
            audit_events,
            attempts: _,
            networks: _,
            keys: _,
            dated: _,
        } = purged;
        Self {
            token_count: large_count(tokens),
            grant_count: large_count(grants),
            revocation_count: large_count(revocations),
            change_count: large_count(changes),
            audit_event_count: large_count(audit_events),
            more: more == More::Perhaps,
        }
    }
}
