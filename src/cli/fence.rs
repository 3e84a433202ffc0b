//! `tokend fence`: ends every grant and token that there is.

use serde_json::json;

use super::context::Context;
use super::error::Error;
use crate::pb;

pub(super) async fn run(context: &mut Context<'_>) -> Result<(), Error> {
    let request = context.request(pb::FenceRequest { skip_wait: false });
    let answer = context.upstream.maintenance.fence(request).await?.into_inner();
    let pb::FenceResponse { user_count } = answer;
    let sentence = format!("Every token of {user_count} users has ended: they sign in anew");
    Ok(context.printer.done(&sentence, &json!({ "user_count": user_count }))?)
}
