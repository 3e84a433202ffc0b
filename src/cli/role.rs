//! `tokend role`: named sets of permissions.

use clap::Subcommand;
use serde_json::json;

use super::context::{Context, PAGE_SIZE, follow, part};
use super::error::Error;
use super::output::View as _;
use crate::pb;

/// What is done with roles.
#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Makes a role, or puts another in its place
    #[command(after_help = "\
Examples:
  tokend role put orders-clerk --permission orders:read --permission orders:write@self
  tokend role put admin --permission '*' --description 'May do everything'")]
    Put(Put),
    /// Lists the roles of a realm
    List {
        /// The realm [default: default]
        #[arg(long, default_value = "", hide_default_value = true)]
        realm: String,
    },
    /// Removes a role from all who have it
    Delete {
        /// The role
        #[arg(value_name = "ROLE")]
        id: String,
        /// The realm [default: default]
        #[arg(long, default_value = "", hide_default_value = true)]
        realm: String,
    },
}

/// The role to put.
#[derive(Debug, clap::Args)]
pub struct Put {
    /// The role: letters, digits and `_.:-`, at most 64
    #[arg(value_name = "ROLE")]
    pub id: String,
    /// The realm [default: default]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub realm: String,
    /// What it grants: `orders:read`, `orders:*` or `*`, with `@self` one's own only. May be
    /// repeated
    #[arg(long = "permission", value_name = "PERMISSION", required_unless_present = "none")]
    pub permissions: Vec<String>,
    /// It grants nothing
    #[arg(id = "none", long = "no-permissions", conflicts_with = "permissions")]
    pub no_permissions: bool,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub description: String,
}

pub(super) async fn run(command: RoleCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        RoleCommand::Put(arguments) => put(arguments, context).await,
        RoleCommand::List { realm } => list(&realm, context).await,
        RoleCommand::Delete { id, realm } => delete(id, realm, context).await,
    }
}

async fn put(arguments: Put, context: &mut Context<'_>) -> Result<(), Error> {
    let Put { id, realm, permissions, no_permissions: _, description } = arguments;
    let role = pb::Role { realm, id, description, permissions };
    let request = context.request(pb::PutRoleRequest { role: Some(role), skip_wait: false });
    let answer = context.upstream.directory.put_role(request).await?.into_inner();
    let role = part(answer.role, "the role")?;
    let sentence = format!("The role {} grants: {}", role.id, granted(&role));
    Ok(context.printer.done(&sentence, &role.json())?)
}

fn granted(role: &pb::Role) -> String {
    if role.permissions.is_empty() { "nothing".to_owned() } else { role.permissions.join(", ") }
}

async fn list(realm: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let roles = follow(None, async |page_token| {
        let realm = realm.to_owned();
        let request = pb::ListRolesRequest { realm, page_size: PAGE_SIZE, page_token };
        let request = context.request(request);
        let page = context.upstream.directory.list_roles(request).await?.into_inner();
        Ok((page.roles, page.next_page_token))
    });
    let roles = roles.await?;
    Ok(context.printer.list(&roles)?)
}

async fn delete(id: String, realm: String, context: &mut Context<'_>) -> Result<(), Error> {
    let sentence = format!("The role {id} is gone");
    let request = pb::DeleteRoleRequest { realm, role_id: id, skip_wait: false };
    let request = context.request(request);
    let pb::DeleteRoleResponse {} =
        context.upstream.directory.delete_role(request).await?.into_inner();
    Ok(context.printer.done(&sentence, &json!({}))?)
}
