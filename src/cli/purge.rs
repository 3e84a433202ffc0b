//! `tokend purge`: removes what is dead, now.

use super::context::Context;
use super::error::Error;
use crate::pb;

/// How many answers in a row may have removed nothing. The server takes seconds for each.
const MOST_IDLE: usize = 100;

pub(super) async fn run(context: &mut Context<'_>) -> Result<(), Error> {
    let mut all = pb::PurgeResponse::default();
    let mut idle = 0..MOST_IDLE;
    loop {
        let request = context.request(pb::PurgeRequest {});
        let removed = context.upstream.maintenance.purge(request).await?.into_inner();
        let pb::PurgeResponse {
            token_count,
            grant_count,
            revocation_count,
            change_count,
            audit_event_count,
            more,
        } = removed;
        all.token_count += token_count;
        all.grant_count += grant_count;
        all.revocation_count += revocation_count;
        all.change_count += change_count;
        all.audit_event_count += audit_event_count;
        if !more {
            return Ok(context.printer.one(&all)?);
        }
        if token_count + grant_count + revocation_count + change_count + audit_event_count > 0 {
            idle = 0..MOST_IDLE;
        } else {
            idle.next().ok_or(Error::NothingRemoved)?;
        }
    }
}
