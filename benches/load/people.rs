//! Who and what there is in the database before anything is measured: made by the contract itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use prost::Message as _;
use tokend::pb;
use tokend::pb::create_token_request::Credential;

use crate::figures::Dice;
use crate::generator::{self, Call, Load, Span};
use crate::script::{Calls, Listed};
use crate::server::{ADMIN_PASSWORD, FIXED, Process};
use crate::{Result, fail, wire};

/// Every user's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const ROLES_OF_A_USER: usize = 3;
const PERMISSIONS_OF_A_ROLE: usize = 20;
/// More users than this need no refresh token.
const REFRESHERS: usize = 128;
/// What a bearer needs to make tokens. One of each role's permissions.
const MAY_CREATE: &str = "token:create";

/// How many there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Users.
    pub(crate) users: usize,
    /// Roles, of which each user has three.
    pub(crate) roles: usize,
    /// Tokens, of all users together.
    pub(crate) tokens: usize,
    /// Refresh tokens that rotate.
    pub(crate) chains: usize,
}

/// The users, and what they hold.
#[derive(Clone)]
pub(crate) struct People {
    size: Size,
    /// A personal token of each user.
    bearers: Vec<String>,
    /// Refresh tokens of some users that do not rotate, signed by Ed25519, and by RS256.
    pub(crate) fixed: Vec<String>,
    pub(crate) rs256: Vec<String>,
    /// Refresh tokens that rotate.
    pub(crate) chains: Vec<String>,
}

/// Where the calls of the set-up go.
pub(crate) struct Setup<'a> {
    pub(crate) server: &'a Process,
    pub(crate) load: Load,
}

impl Setup<'_> {
    /// Makes each call, and answers the answers in the same order.
    pub(crate) fn make(&self, head: Request<()>, bodies: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let listed = Listed::new(head, bodies);
        let cast = |_| Box::new(listed.clone()) as Box<dyn generator::Script>;
        generator::drive(self.server, self.load, Span::ToTheEnd, &cast)?;
        Ok(listed.answers())
    }

    fn create(&self, requests: impl Iterator<Item = pb::CreateTokenRequest>) -> Result<Made> {
        let bodies = requests.map(|request| wire::frame(&request)).collect();
        self.make(wire::head("TokenService/CreateToken")?, bodies)?
            .into_iter()
            .map(|answer| Ok(pb::CreateTokenResponse::decode(answer)?))
            .collect()
    }
}

type Made = Vec<pb::CreateTokenResponse>;

impl People {
    /// Makes them on a server that has the first user only.
    pub(crate) fn make(setup: &Setup<'_>, size: Size) -> Result<Self> {
        let admin = admin(setup.server)?;
        setup.make(wire::head_by("DirectoryService/PutRole", &admin)?, roles(size))?;
        setup.make(wire::head_by("DirectoryService/CreateUser", &admin)?, users(size)?)?;
        let signed_in = |profile: &'static str, count: usize| {
            setup.create((0..count).map(move |user| by_password(user % size.users, profile)))
        };
        let token = |made: pb::CreateTokenResponse| wire::secret(made.token);
        let refresh = |made: pb::CreateTokenResponse| wire::secret(made.refresh_token);
        Ok(Self {
            size,
            bearers: signed_in("personal", size.users)?
                .into_iter()
                .map(token)
                .collect::<Result<_>>()?,
            fixed: signed_in(FIXED, size.refreshers())?
                .into_iter()
                .map(refresh)
                .collect::<Result<_>>()?,
            rs256: signed_in("harperdb", size.refreshers())?
                .into_iter()
                .map(refresh)
                .collect::<Result<_>>()?,
            chains: signed_in("operation", size.chains)?
                .into_iter()
                .map(refresh)
                .collect::<Result<_>>()?,
        })
    }

    /// Makes tokens of a profile, shared out evenly among the users.
    pub(crate) fn tokens(&self, setup: &Setup<'_>, profile: &str) -> Result<Vec<String>> {
        let requests = (0..self.size.tokens).map(|number| self.by_bearer(number, profile));
        setup.create(requests)?.into_iter().map(|made| wire::secret(made.token)).collect()
    }

    fn by_bearer(&self, number: usize, profile: &str) -> pb::CreateTokenRequest {
        let bearer = self.bearers.get(number % self.size.users).cloned().unwrap_or_default();
        pb::CreateTokenRequest {
            credential: Some(Credential::BearerToken(bearer)),
            profile: profile.to_owned(),
            ..Default::default()
        }
    }

    /// Calls that make a token by bearer.
    pub(crate) fn creates(&self, profile: &str) -> Result<Calls> {
        let bodies =
            (0..self.size.users).map(|user| wire::frame(&self.by_bearer(user, profile))).collect();
        Calls::new("TokenService/CreateToken", bodies, wire::created)
    }

    /// So many calls that make a token by password.
    pub(crate) fn sign_ins(&self, profile: &str, count: usize) -> Result<Calls> {
        let sign_in = |number| by_password(number % self.size.users, profile);
        let bodies = (0..count).map(|number| wire::frame(&sign_in(number))).collect();
        Calls::new("TokenService/CreateToken", bodies, wire::created)
    }

    /// Calls that refresh by one of these.
    pub(crate) fn refreshes(secrets: &[String]) -> Result<Calls> {
        let refresh = |secret: &String| pb::RefreshOperationTokenRequest {
            refresh_token: secret.clone(),
            ..Default::default()
        };
        let bodies = secrets.iter().map(|secret| wire::frame(&refresh(secret))).collect();
        Calls::new("TokenService/RefreshOperationToken", bodies, wire::refreshed)
    }

    /// Calls that check these, each asking for one permission that its user has, on a resource.
    pub(crate) fn checks(&self, tokens: &[String]) -> Result<Calls> {
        self.checks_judged(tokens, wire::allowed)
    }

    /// Calls that check tokens that nobody made: these, with other ends.
    pub(crate) fn forgeries(&self, tokens: &[String]) -> Result<Calls> {
        let mut dice = Dice::new(tokens.len());
        let forged: Vec<_> = tokens.iter().map(|token| forge(token, &mut dice)).collect();
        self.checks_judged(&forged, wire::unknown)
    }

    fn checks_judged(&self, tokens: &[String], judge: wire::Judge) -> Result<Calls> {
        let check = |(number, token): (usize, &String)| {
            let user = number % self.size.users;
            let role = self.size.roles_of(user).nth(number % ROLES_OF_A_USER).unwrap_or_default();
            pb::AuthorizeRequest {
                token: token.clone(),
                permissions: vec![permission(role, 1 + number % (PERMISSIONS_OF_A_ROLE - 1))],
                resource: Some(pb::Resource {
                    r#type: "order".to_owned(),
                    id: format!("order-{number:08}"),
                    owner_user_id: String::new(),
                }),
                ..Default::default()
            }
        };
        let bodies = tokens.iter().enumerate().map(|at| wire::frame(&check(at))).collect();
        Calls::new("TokenService/Authorize", bodies, judge)
    }
}

impl Size {
    /// How many users have refresh tokens that do not rotate.
    fn refreshers(self) -> usize {
        self.users.min(REFRESHERS)
    }

    /// How many sign-ins it takes.
    pub(crate) fn sign_ins(self) -> usize {
        self.users + 2 * self.refreshers() + self.chains
    }

    fn roles_of(self, user: usize) -> impl Iterator<Item = usize> {
        (0..ROLES_OF_A_USER).map(move |role| (user + role) % self.roles)
    }
}

/// Signs the first user in, and answers a token of theirs that does not end.
fn admin(server: &Process) -> Result<String> {
    let request = pb::CreateTokenRequest { profile: "personal".to_owned(), ..Default::default() };
    let mut head = wire::head("TokenService/CreateToken")?;
    let basic = format!("Basic {}", STANDARD.encode(format!("admin:{ADMIN_PASSWORD}")));
    head.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_str(&basic)?);
    let answer = generator::ask(server, Call { head, body: wire::frame(&request) })?;
    wire::secret(pb::CreateTokenResponse::decode(answer)?.token)
}

fn permission(role: usize, number: usize) -> String {
    match number {
        0 => MAY_CREATE.to_owned(),
        _ => format!("service-{role}:action-{number}"),
    }
}

fn role_id(role: usize) -> String {
    format!("role-{role}")
}

fn username(user: usize) -> String {
    format!("user-{user}")
}

fn roles(size: Size) -> Vec<Bytes> {
    let role = |role| pb::Role {
        id: role_id(role),
        permissions: (0..PERMISSIONS_OF_A_ROLE).map(|number| permission(role, number)).collect(),
        ..Default::default()
    };
    (0..size.roles)
        .map(|number| pb::PutRoleRequest { role: Some(role(number)), ..Default::default() })
        .map(|request| wire::frame(&request))
        .collect()
}

fn users(size: Size) -> Result<Vec<Bytes>> {
    // By one hash for all, for a server would make each anew.
    let hash = hash()?;
    Ok((0..size.users)
        .map(|user| pb::CreateUserRequest {
            username: username(user),
            role_ids: size.roles_of(user).map(role_id).collect(),
            credential: Some(pb::create_user_request::Credential::PasswordHash(hash.clone())),
            ..Default::default()
        })
        .map(|request| wire::frame(&request))
        .collect())
}

/// The password under the default cost, as a PHC string.
fn hash() -> Result<String> {
    use argon2::PasswordHasher as _;
    let argon2 = argon2::Argon2::default();
    match argon2.hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef") {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => fail(format!("the password can't be hashed: {error}")),
    }
}

fn by_password(user: usize, profile: &str) -> pb::CreateTokenRequest {
    pb::CreateTokenRequest {
        credential: Some(Credential::Password(pb::PasswordCredential {
            username: username(user),
            password: PASSWORD.to_owned(),
            ..Default::default()
        })),
        profile: profile.to_owned(),
        ..Default::default()
    }
}

/// A token with another end: its form is right, and its check is not.
fn forge(token: &str, dice: &mut Dice) -> String {
    const END: usize = 12;
    let mut forged: String = token.chars().take(token.len().saturating_sub(END)).collect();
    forged.extend((0..END).map(|_| char::from(b'a' + u8::try_from(dice.below(26)).unwrap_or(0))));
    forged
}

/// How long something took, as it is told.
pub(crate) fn took(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
