//! `tokend user`: those who can prove themselves.

use clap::Subcommand;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::context::{Caller, Context, PAGE_SIZE, follow, part};
use super::credentials::Credentials;
use super::error::Error;
use super::output::View as _;
use crate::pb;

/// What is done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Makes a user, and asks for the password twice
    #[command(after_help = "\
Examples:
  tokend user add alice --display-name 'Alice Doe' --role orders-clerk
  tokend user add billing --no-password
  pass show alice | tokend user add alice --password-stdin")]
    Add(Add),
    /// Lists the users of a realm by name
    List {
        /// The realm [default: default]
        #[arg(long, default_value = "", hide_default_value = true)]
        realm: String,
    },
    /// Shows one user
    Show(Named),
    /// Keeps a user out, and ends all of their tokens
    Disable(Named),
    /// Lets a disabled user in again; tokens that ended stay ended
    Enable(Named),
    /// Lifts the lock that failed sign-ins put on a user
    Unlock(Named),
    /// Sets a password, and ends all of the user's sign-ins
    ///
    /// Your own asks for the old password too.
    Passwd(Passwd),
    /// Shows a user's roles, or sets all of them
    #[command(after_help = "\
Examples:
  tokend user roles alice                       shows them
  tokend user roles alice orders-clerk auditor  sets these two and no others
  tokend user roles alice --none                takes all away")]
    Roles(Roles),
    /// Removes a user with all of their tokens
    Delete(Named),
}

/// A user by name.
#[derive(Debug, Clone, clap::Args)]
pub struct Named {
    /// The user's name
    pub name: String,
    /// The user's realm [default: default]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub realm: String,
}

/// The user to make.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// Which user.
    #[command(flatten)]
    pub named: Named,
    /// What people call them
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub display_name: String,
    /// A role of theirs. May be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// The password.
    #[command(flatten)]
    pub password: NewPassword,
}

/// Whose password to set, and where it comes from.
#[derive(Debug, clap::Args)]
pub struct Passwd {
    /// The user's name; without it: you
    pub name: Option<String>,
    /// The user's realm [default: default]
    #[arg(long, default_value = "", hide_default_value = true, requires = "name")]
    pub realm: String,
    /// The password.
    #[command(flatten)]
    pub password: NewPassword,
    /// Spare the personal tokens
    #[arg(long)]
    pub keep_personal_tokens: bool,
}

/// Where a new password comes from; by default it is asked for.
#[derive(Debug, clap::Args)]
pub struct NewPassword {
    /// No sign-in by password
    #[arg(long, conflicts_with = "password_stdin")]
    pub no_password: bool,
    /// Read the new password from the next line of standard input
    ///
    /// Where the old one is asked for too, it is the line before.
    #[arg(long)]
    pub password_stdin: bool,
}

/// Whose roles to show or set.
#[derive(Debug, clap::Args)]
pub struct Roles {
    /// Which user.
    #[command(flatten)]
    pub named: Named,
    /// All of their roles from now on
    #[arg(value_name = "ROLE")]
    pub ids: Vec<String>,
    /// From now on they have none
    #[arg(long, conflicts_with = "ids")]
    pub none: bool,
}

pub(super) async fn run(command: UserCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        UserCommand::Add(arguments) => add(arguments, context).await,
        UserCommand::List { realm } => list(&realm, context).await,
        UserCommand::Show(named) => {
            let user = find(&named, context).await?;
            Ok(context.printer.one(&user)?)
        }
        UserCommand::Disable(named) => set_state(&named, pb::UserState::Disabled, context).await,
        UserCommand::Enable(named) => set_state(&named, pb::UserState::Active, context).await,
        UserCommand::Unlock(named) => unlock(&named, context).await,
        UserCommand::Passwd(arguments) => passwd(arguments, context).await,
        UserCommand::Roles(arguments) => roles(arguments, context).await,
        UserCommand::Delete(named) => delete(&named, context).await,
    }
}

async fn find(named: &Named, context: &mut Context<'_>) -> Result<pb::User, Error> {
    context.get_user(&named.name, &named.realm).await
}

async fn add(arguments: Add, context: &mut Context<'_>) -> Result<(), Error> {
    use pb::create_user_request::Credential;
    let Add { named: Named { name, realm }, display_name, roles, password } = arguments;
    let password = read_new(&password, &name, context).await?;
    let request = context.request(pb::CreateUserRequest {
        realm,
        username: name,
        display_name,
        credential: password.map(|it| Credential::Password(it.expose_secret().to_owned())),
        role_ids: roles,
    });
    let answer = context.upstream.directory.create_user(request).await?.into_inner();
    let user = part(answer.user, "the user")?;
    let sentence = format!("{} is made, with the id {}", user.username, user.id);
    Ok(context.printer.done(&sentence, &user.json())?)
}

async fn list(realm: &str, context: &mut Context<'_>) -> Result<(), Error> {
    let users = follow(None, async |page_token| {
        let realm = realm.to_owned();
        let request = pb::ListUsersRequest { realm, page_size: PAGE_SIZE, page_token };
        let request = context.request(request);
        let page = context.upstream.directory.list_users(request).await?.into_inner();
        Ok((page.users, page.next_page_token))
    });
    let users = users.await?;
    Ok(context.printer.list(&users)?)
}

async fn set_state(
    named: &Named,
    state: pb::UserState,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let user_id = find(named, context).await?.id;
    let request = context.request(pb::UpdateUserRequest {
        user_id,
        state: state.into(),
        display_name: None,
        skip_wait: false,
    });
    let answer = context.upstream.directory.update_user(request).await?.into_inner();
    let user = part(answer.user, "the user")?;
    let is = match state {
        pb::UserState::Disabled => "is disabled, and all of their tokens have ended",
        pb::UserState::Active | pb::UserState::Unspecified => "may sign in",
    };
    Ok(context.printer.done(&format!("{} {is}", user.username), &user.json())?)
}

async fn unlock(named: &Named, context: &mut Context<'_>) -> Result<(), Error> {
    let user = find(named, context).await?;
    let request = context.request(pb::UnlockUserRequest { user_id: user.id });
    let pb::UnlockUserResponse {} =
        context.upstream.directory.unlock_user(request).await?.into_inner();
    Ok(context.printer.done(&format!("{} is unlocked", user.username), &json!({}))?)
}

async fn passwd(arguments: Passwd, context: &mut Context<'_>) -> Result<(), Error> {
    use pb::set_password_request::Credential;
    let Passwd { name, realm, password, keep_personal_tokens } = arguments;
    let (user, own) = whose(name, &realm, context).await?;
    let old = if own { Some(read_old(&password, &user.username, context).await?) } else { None };
    let new = read_new(&password, &user.username, context).await?;
    let request = context.request(pb::SetPasswordRequest {
        user_id: user.id,
        credential: new.map(|it| Credential::Password(it.expose_secret().to_owned())),
        old_password: old.map(|it| it.expose_secret().to_owned()).unwrap_or_default(),
        keep_personal_tokens,
        skip_wait: false,
    });
    let answer = context.upstream.directory.set_password(request).await?.into_inner();
    let pb::SetPasswordResponse { revoked_grant_count } = answer;
    let sentence = format!(
        "The password of {} is set; {revoked_grant_count} sign-ins have ended",
        user.username
    );
    let document = json!({ "revoked_grant_count": revoked_grant_count });
    Ok(context.printer.done(&sentence, &document)?)
}

/// Whose password it is, and whether that is the caller.
async fn whose(
    name: Option<String>,
    realm: &str,
    context: &mut Context<'_>,
) -> Result<(pb::User, bool), Error> {
    if let Caller::Operator = context.caller {
        let name = name.ok_or(Error::OperatorIsNoUser("NAME"))?;
        return Ok((context.get_user(&name, realm).await?, false));
    }
    let request = context.request(pb::GetCallerRequest {});
    let answer = context.upstream.tokens.get_caller(request).await?.into_inner();
    let caller = part(answer.user, "the caller")?;
    let Some(name) = name else { return Ok((caller, true)) };
    let user = context.get_user(&name, realm).await?;
    let own = user.id == caller.id;
    Ok((user, own))
}

/// The password until now. Who signed in by it for this command is not asked again.
async fn read_old(
    password: &NewPassword,
    name: &str,
    context: &Context<'_>,
) -> Result<SecretString, Error> {
    match &context.caller {
        Caller::User(Some(Credentials::Basic { password, .. })) => Ok(password.clone()),
        Caller::User(Some(Credentials::Bearer(_)) | None) | Caller::Operator => {
            if password.password_stdin {
                return context.secrets.next_line("old password").await;
            }
            let prompt = format!("Old password of {name}: ");
            context.secrets.ask("old password", prompt, "--password-stdin").await
        }
    }
}

async fn read_new(
    password: &NewPassword,
    name: &str,
    context: &Context<'_>,
) -> Result<Option<SecretString>, Error> {
    if password.no_password {
        return Ok(None);
    }
    if password.password_stdin {
        return context.secrets.next_line("password").await.map(Some);
    }
    let ask = |prompt| context.secrets.ask("password", prompt, "--password-stdin");
    let first = ask(format!("New password of {name}: ")).await?;
    let second = ask("The same again: ".to_owned()).await?;
    if first.expose_secret() == second.expose_secret() {
        Ok(Some(first))
    } else {
        Err(Error::PasswordsDiffer)
    }
}

async fn roles(arguments: Roles, context: &mut Context<'_>) -> Result<(), Error> {
    let Roles { named, ids, none } = arguments;
    let user = find(&named, context).await?;
    if ids.is_empty() && !none {
        return Ok(context.printer.names(&user.role_ids)?);
    }
    let request = pb::SetUserRolesRequest { user_id: user.id, role_ids: ids, skip_wait: false };
    let request = context.request(request);
    let answer = context.upstream.directory.set_user_roles(request).await?.into_inner();
    let user = part(answer.user, "the user")?;
    Ok(context.printer.names(&user.role_ids)?)
}

async fn delete(named: &Named, context: &mut Context<'_>) -> Result<(), Error> {
    let user = find(named, context).await?;
    let request = context.request(pb::DeleteUserRequest { user_id: user.id, skip_wait: false });
    let pb::DeleteUserResponse {} =
        context.upstream.directory.delete_user(request).await?.into_inner();
    let sentence = format!("{} is gone, with all of their tokens", user.username);
    Ok(context.printer.done(&sentence, &json!({}))?)
}
