//! `tokend token`: makes, lists, ends and checks tokens.

use clap::{Subcommand, ValueEnum};
use prost_types::{Duration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::Outcome;
use super::context::{Caller, Context, PAGE_SIZE, follow, part};
use super::error::Error;
use super::output::{View as _, words};
use super::timestamp;
use super::view;
use crate::pb;

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token for you, and prints its secret: once, for it is not kept
    #[command(after_help = "\
Examples:
  tokend token create --profile personal --name backup --ttl 30d --role orders-clerk
  tokend token create --profile personal --name ci --user alice   as the operator")]
    Create(Create),
    /// Lists tokens, newest first
    List(List),
    /// Ends a token, a sign-in, or all that a user has
    ///
    /// Once this has returned, no server lets it through any more.
    #[command(after_help = "\
Examples:
  tokend token revoke api_V1StGXR8Z5jdHi6BmyT
  echo \"$SECRET\" | tokend token revoke --secret-stdin
  tokend token revoke --user alice")]
    Revoke(Revoke),
    /// Checks a token and what it may do: exit status 0 for ALLOW, 3 for DENY
    ///
    /// The token is asked for, or is the next line of standard input where that is no terminal.
    #[command(
        after_help = "Example:\n  echo \"$SECRET\" | tokend token check --permission orders:read"
    )]
    Check(Check),
}

/// The token to make.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The recipe, as the settings name it: operation, personal …
    #[arg(long)]
    pub profile: String,
    /// What to call the token
    #[arg(long, value_name = "TEXT")]
    pub name: String,
    /// For whom: for the operator of a local database, who is no user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// That user's realm [default: default]
    #[arg(long, default_value = "", hide_default_value = true, requires = "user")]
    pub realm: String,
    /// How long it lives.
    #[command(flatten)]
    pub lifetime: Lifetime,
    /// A role that it carries; without any, it follows yours. May be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// It carries no role
    #[arg(long, conflicts_with = "roles")]
    pub no_roles: bool,
}

/// How long a token is to live; nothing: the profile's default.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub struct Lifetime {
    /// How long it lives, such as 30d or '1h 30m' [default: the profile's]
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse_duration)]
    pub ttl: Option<Duration>,
    /// Until when it lives, such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    pub expires: Option<Timestamp>,
    /// It lives until it is revoked, where the profile allows that
    #[arg(long)]
    pub never: bool,
}

/// Which tokens to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Whose; without it: yours
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// That user's realm [default: default]
    #[arg(long, default_value = "", hide_default_value = true, requires = "user")]
    pub realm: String,
    /// Only tokens of this profile
    #[arg(long, default_value = "", hide_default_value = true)]
    pub profile: String,
    /// Only tokens in this state. May be repeated
    #[arg(long = "state", value_name = "STATE")]
    pub states: Vec<State>,
}

/// Where a token is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Good
    Active,
    /// Its lifetime is over
    Expired,
    /// It or its sign-in was revoked
    Revoked,
}

/// What to revoke.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// What to revoke.
    #[command(flatten)]
    pub target: Target,
    /// The realm of --user [default: default]
    // Not `requires`: clap waives that where the group has another member.
    #[arg(long, default_value = "", hide_default_value = true,
          conflicts_with_all = ["id", "secret_stdin", "grant"])]
    pub realm: String,
    /// Only a token of this profile
    #[arg(long, default_value = "", hide_default_value = true)]
    pub profile: String,
}

/// What to revoke: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The token's id
    pub id: Option<String>,
    /// The token whose secret is the next line of standard input; a refresh token stands for its
    /// sign-in. Needs no credentials
    #[arg(long)]
    pub secret_stdin: bool,
    /// A sign-in, and all that was made from it
    #[arg(long, value_name = "ID")]
    pub grant: Option<String>,
    /// All sign-ins of this user, personal tokens included
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// What to check a token for.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// What it should be allowed to do, such as orders:read: all are needed. May be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
    /// The realm that it must be of; '*': any [default: default]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub realm: String,
}

pub(super) async fn run(
    command: TokenCommand,
    context: &mut Context<'_>,
) -> Result<Outcome, Error> {
    match command {
        TokenCommand::Create(arguments) => create(arguments, context).await?,
        TokenCommand::List(arguments) => list(arguments, context).await?,
        TokenCommand::Revoke(arguments) => revoke(arguments, context).await?,
        TokenCommand::Check(arguments) => return check(arguments, context).await,
    }
    Ok(Outcome::Done)
}

async fn create(arguments: Create, context: &mut Context<'_>) -> Result<(), Error> {
    use pb::create_token_request::Credential;
    let Create { profile, name, user, realm, lifetime, roles, no_roles } = arguments;
    let credential = match (&context.caller, user) {
        (Caller::Operator, None) => return Err(Error::OperatorIsNoUser("--user NAME")),
        (Caller::Operator, Some(user)) => {
            Some(Credential::UserId(context.get_user(&user, &realm).await?.id))
        }
        (Caller::User(_), None) => None,
        (Caller::User(_), Some(_)) => return Err(Error::TokenForAnother),
    };
    let chosen = no_roles || !roles.is_empty();
    let request = context.request(pb::CreateTokenRequest {
        credential,
        profile,
        display_name: name,
        lifetime: lifetime.into_request(),
        roles: chosen.then_some(pb::RoleSelection { role_ids: roles }),
    });
    let answer = context.upstream.tokens.create_token(request).await?.into_inner();
    let pb::CreateTokenResponse { token, refresh_token } = answer;
    let issued = part(token, "the token")?;
    let document = json!({
        "token": view::issued(&issued),
        "refresh_token": refresh_token.as_ref().map(view::issued),
    });
    let refresh = refresh_token.as_ref().map(|it| it.secret.as_str());
    let secrets: Vec<&str> =
        [Some(issued.secret.as_str()), refresh].into_iter().flatten().collect();
    context.printer.secrets(&secrets, &document)?;
    context.note(&remark(&issued, refresh));
    Ok(())
}

impl Lifetime {
    fn into_request(self) -> Option<pb::create_token_request::Lifetime> {
        use pb::create_token_request::Lifetime as Asked;
        let Self { ttl, expires, never } = self;
        ttl.map(Asked::Ttl)
            .or(expires.map(Asked::ExpireTime))
            .or(never.then_some(Asked::NeverExpires(true)))
    }
}

/// What is said beside the secret, and never says it.
fn remark(issued: &pb::IssuedToken, refresh_secret: Option<&str>) -> String {
    let id = issued.token.as_ref().map_or("", |token| token.id.as_str());
    let until = match issued.token.as_ref().and_then(|token| token.expire_time.as_ref()) {
        Some(time) => format!("It lives until {}.", timestamp::format(time)),
        None => "It lives until it is revoked.".to_owned(),
    };
    let refresh = refresh_secret.map_or("", |_| " Behind it stands its refresh token.");
    format!("The token {id} is made. {until}{refresh} Keep the secret: it is not shown again.")
}

async fn list(arguments: List, context: &mut Context<'_>) -> Result<(), Error> {
    let List { user, realm, profile, states } = arguments;
    let user_id = match (&context.caller, user) {
        (Caller::Operator, None) => return Err(Error::OperatorIsNoUser("--user NAME")),
        (Caller::User(_), None) => String::new(),
        (Caller::Operator | Caller::User(_), Some(user)) => {
            context.get_user(&user, &realm).await?.id
        }
    };
    let states: Vec<i32> = states.into_iter().map(|state| state.into_request().into()).collect();
    let tokens = follow(None, async |page_token| {
        let request = context.request(pb::ListTokensRequest {
            user_id: user_id.clone(),
            profile: profile.clone(),
            states: states.clone(),
            page_size: PAGE_SIZE,
            page_token,
        });
        let page = context.upstream.tokens.list_tokens(request).await?.into_inner();
        Ok((page.tokens, page.next_page_token))
    });
    let tokens = tokens.await?;
    Ok(context.printer.list(&tokens)?)
}

impl State {
    fn into_request(self) -> pb::TokenState {
        match self {
            Self::Active => pb::TokenState::Active,
            Self::Expired => pb::TokenState::Expired,
            Self::Revoked => pb::TokenState::Revoked,
        }
    }
}

async fn revoke(arguments: Revoke, context: &mut Context<'_>) -> Result<(), Error> {
    use pb::revoke_token_request::Target as Asked;
    let Revoke { target: Target { id, secret_stdin, grant, user }, realm, profile } = arguments;
    let target = if secret_stdin {
        let secret = context.secrets.next_line("token").await?;
        Some(Asked::Secret(secret.expose_secret().to_owned()))
    } else if let Some(name) = user {
        Some(Asked::UserId(context.get_user(&name, &realm).await?.id))
    } else {
        grant.map(Asked::GrantId).or(id.map(Asked::TokenId))
    };
    let request = context.request(pb::RevokeTokenRequest { target, profile, skip_wait: false });
    let answer = context.upstream.tokens.revoke_token(request).await?.into_inner();
    let pb::RevokeTokenResponse { token, revoked_count, stale_for } = answer;
    let ended = match revoked_count {
        0 => "There was nothing left to end".to_owned(),
        1 => "1 token has ended".to_owned(),
        count => format!("{count} tokens have ended"),
    };
    let stale_for = stale_for.as_ref().map(timestamp::seconds);
    let sentence = match &stale_for {
        Some(time) => format!("{ended}; a replica without its database may accept it for {time}"),
        None => ended,
    };
    let token = token.as_ref().map(pb::Token::json);
    let document =
        json!({ "token": token, "revoked_count": revoked_count, "stale_for": stale_for });
    Ok(context.printer.done(&sentence, &document)?)
}

async fn check(arguments: Check, context: &mut Context<'_>) -> Result<Outcome, Error> {
    let Check { permissions, realm } = arguments;
    let token = context.secrets.ask_or_read("token").await?;
    let request = context.request(pb::AuthorizeRequest {
        token: token.expose_secret().to_owned(),
        permissions,
        resource: None,
        realm,
        profiles: vec![],
        on_refused_token: pb::OnRefusedToken::Deny.into(),
    });
    let answer = context.upstream.tokens.authorize(request).await?.into_inner();
    context.printer.fields(&shown(&answer), &view::authorization(&answer))?;
    // What is not clearly ALLOW is DENY.
    match answer.decision() {
        pb::Decision::Allow => Ok(Outcome::Done),
        pb::Decision::Deny | pb::Decision::Unspecified => Ok(Outcome::Denied),
    }
}

/// What people want to see of an answer.
fn shown(answer: &pb::AuthorizeResponse) -> Value {
    let mut shown = serde_json::Map::new();
    let mut show = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    let decision = match answer.decision() {
        pb::Decision::Allow => "ALLOW",
        pb::Decision::Deny | pb::Decision::Unspecified => "DENY",
    };
    show("decision", decision.into());
    if let Some(reason) = view::deny_reason(answer.deny_reason) {
        show("reason", words(&reason).into());
    }
    if !answer.missing_permissions.is_empty() {
        show("missing", answer.missing_permissions.clone().into());
    }
    if let Some(subject) = &answer.subject {
        show("user", subject.username.clone().into());
        show("realm", subject.realm.clone().into());
        show("roles", subject.role_ids.clone().into());
    }
    if let Some(token) = &answer.token {
        show("token", token.id.clone().into());
        show("profile", token.profile.clone().into());
        show("expires", token.expire_time.as_ref().map(timestamp::format).into());
    }
    Value::Object(shown)
}
