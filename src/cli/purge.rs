//! `tokend purge`: removes what is dead, now.

use super::context::Context;
use super::error::Error;
use crate::pb;

pub(super) async fn run(context: &mut Context<'_>) -> Result<(), Error> {
    let request = context.request(pb::PurgeRequest {});
    let removed = context.upstream.maintenance.purge(request).await?.into_inner();
    Ok(context.printer.one(&removed)?)
}
