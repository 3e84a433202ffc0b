//! `tokend audit`: what happened.

use clap::Subcommand;

use super::context::{Context, PAGE_SIZE, follow};
use super::error::Error;
use crate::pb;

/// What is done with the record of what happened.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Lists what was done or refused, newest first
    #[command(after_help = "Example:\n  tokend audit list --user alice --limit 20")]
    List(List),
}

/// Which events to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only what happened in this realm. With --user: the user's realm [default: default]
    #[arg(long)]
    pub realm: Option<String>,
    /// Only what this user did, or what was done to them
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// No more than so many [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

pub(super) async fn run(command: AuditCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        AuditCommand::List(arguments) => list(arguments, context).await,
    }
}

async fn list(arguments: List, context: &mut Context<'_>) -> Result<(), Error> {
    let List { realm, user, limit } = arguments;
    let realm = realm.unwrap_or_default();
    let user_id = match user {
        Some(name) => context.get_user(&name, &realm).await?.id,
        None => String::new(),
    };
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let page_size =
        limit.and_then(|it| i32::try_from(it).ok()).map_or(PAGE_SIZE, |it| it.min(PAGE_SIZE));
    let events = follow(limit, async |page_token| {
        let (realm, user_id) = (realm.clone(), user_id.clone());
        let request = pb::ListAuditEventsRequest { realm, user_id, page_size, page_token };
        let request = context.request(request);
        let page = context.upstream.audit.list_audit_events(request).await?.into_inner();
        Ok((page.events, page.next_page_token))
    });
    let events = events.await?;
    Ok(context.printer.list(&events)?)
}
