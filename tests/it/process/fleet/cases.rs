//! Tokens of every sort, and how each is ended.

use std::sync::OnceLock;

use futures_util::future::try_join_all;
use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::create_token_request::Credential;
use tokend::pb::revoke_token_request::Target;
use tokio::time::Instant;
use tonic::Status;

use super::calls::{admin, bounded, by, create, password};

/// What a user needs in one of the sorts.
const PERMISSION: &str = "orders:read";

/// The role that grants it.
const ROLE: &str = "orders-reader";

/// Which tokens are ended, and by what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sort {
    /// An opaque token, by itself.
    Opaque,
    /// A personal token, and its grant with it.
    Personal,
    /// A JWT, by its id.
    Jwt,
    /// A JWT, by the refresh token of its grant.
    Grant,
    /// A user's tokens, all at once.
    User,
    /// A disabled user's.
    Disabled,
    /// Those of a user who gets another password.
    Password,
    /// What those of a user may do who loses a role.
    Role,
}

/// How many cases of each sort there are in a round.
const MIX: [(Sort, usize); 8] = [
    (Sort::Opaque, 12),
    (Sort::Personal, 10),
    (Sort::Jwt, 10),
    (Sort::Grant, 8),
    (Sort::User, 3),
    (Sort::Disabled, 3),
    (Sort::Password, 3),
    (Sort::Role, 3),
];

/// Tokens that end with one call.
pub(super) struct Case {
    pub(super) sort: Sort,
    pub(super) secrets: Vec<String>,
    pub(super) permissions: &'static [&'static str],
    end: End,
    /// When that call had answered OK.
    pub(super) ended: OnceLock<Instant>,
}

enum End {
    Secret(String),
    User(String),
    Disable(String),
    Password(String),
    Roles(String),
}

/// Whether a revocation waits until all replicas have surely heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    ForAll,
    Skip,
}

/// Who makes cases, and ends them: the first user.
pub(super) struct Maker {
    upstream: Upstream,
    bearer: String,
    refresh: String,
}

impl Maker {
    /// Signs in.
    pub(super) async fn sign_in(upstream: &Upstream) -> Result<Self, Status> {
        let (bearer, refresh) = create(upstream, "operation", admin()).await?;
        Ok(Self { upstream: upstream.clone(), bearer, refresh: refresh.unwrap() })
    }

    /// The secret of the session.
    pub(super) fn secret(&self) -> &str {
        &self.bearer
    }

    /// Makes what all rounds need.
    pub(super) async fn prepare(&self) -> Result<(), Status> {
        let (id, permissions) = (ROLE.to_owned(), vec![PERMISSION.to_owned()]);
        let role = Some(pb::Role { id, permissions, ..Default::default() });
        let request = by(&self.bearer, pb::PutRoleRequest { role, skip_wait: true });
        bounded(self.upstream.directory.clone().put_role(request)).await.map(drop)
    }

    /// Makes the cases of a round. `name` begins the names of their users.
    pub(super) async fn cases(&self, name: &str) -> Result<Vec<Case>, Status> {
        let sorts = MIX.iter().flat_map(|(sort, count)| std::iter::repeat_n(*sort, *count));
        let cases = sorts.enumerate().map(|(at, sort)| self.case(sort, format!("{name}-{at}")));
        try_join_all(cases).await
    }

    /// Ends the session that all was made by, and with it what is left of it.
    pub(super) async fn sign_out(self) {
        // Nothing is expected of it.
        drop(super::calls::revoke(&self.upstream, &self.refresh).await);
    }

    async fn case(&self, sort: Sort, name: String) -> Result<Case, Status> {
        let own = || Credential::BearerToken(self.bearer.clone());
        let by_secret = |secret: String| (vec![secret.clone()], End::Secret(secret));
        let (secrets, end) = match sort {
            Sort::Opaque => by_secret(create(&self.upstream, "azion", own()).await?.0),
            Sort::Personal => by_secret(create(&self.upstream, "personal", own()).await?.0),
            Sort::Jwt => by_secret(create(&self.upstream, "operation", own()).await?.0),
            Sort::Grant => {
                let (secret, refresh) = create(&self.upstream, "operation", admin()).await?;
                (vec![secret], End::Secret(refresh.unwrap()))
            }
            Sort::User => self.user(&name, End::User).await?,
            Sort::Disabled => self.user(&name, End::Disable).await?,
            Sort::Password => self.user(&name, End::Password).await?,
            Sort::Role => self.user(&name, End::Roles).await?,
        };
        let permissions: &[_] = if matches!(sort, Sort::Role) { &[PERMISSION] } else { &[] };
        Ok(Case { sort, secrets, permissions, end, ended: OnceLock::new() })
    }

    /// Makes a user with a token of each form.
    async fn user(&self, name: &str, end: fn(String) -> End) -> Result<(Vec<String>, End), Status> {
        let secret = format!("the password of {name}");
        let request = pb::CreateUserRequest {
            username: name.to_owned(),
            role_ids: vec![ROLE.to_owned()],
            credential: Some(pb::create_user_request::Credential::Password(secret.clone())),
            ..Default::default()
        };
        let request = by(&self.bearer, request);
        let made = bounded(self.upstream.directory.clone().create_user(request)).await?;
        let mut secrets = Vec::new();
        for profile in ["operation", "azion"] {
            secrets.push(create(&self.upstream, profile, password(name, &secret)).await?.0);
        }
        Ok((secrets, end(made.user.unwrap().id)))
    }

    /// Ends a case through a replica.
    pub(super) async fn end(
        &self,
        case: &Case,
        upstream: &Upstream,
        wait: Wait,
    ) -> Result<(), Status> {
        let skip_wait = wait == Wait::Skip;
        let (mut tokens, mut directory) = (upstream.tokens.clone(), upstream.directory.clone());
        match &case.end {
            End::Secret(secret) => {
                let target = Some(Target::Secret(secret.clone()));
                let request = pb::RevokeTokenRequest { target, skip_wait, ..Default::default() };
                bounded(tokens.revoke_token(request)).await.map(drop)
            }
            End::User(id) => {
                let target = Some(Target::UserId(id.clone()));
                let request = pb::RevokeTokenRequest { target, skip_wait, ..Default::default() };
                bounded(tokens.revoke_token(by(&self.bearer, request))).await.map(drop)
            }
            End::Disable(id) => {
                let (user_id, state) = (id.clone(), pb::UserState::Disabled.into());
                let request =
                    pb::UpdateUserRequest { user_id, state, skip_wait, ..Default::default() };
                bounded(directory.update_user(by(&self.bearer, request))).await.map(drop)
            }
            End::Password(id) => {
                let new = pb::set_password_request::Credential::Password(format!("new for {id}"));
                let (user_id, credential) = (id.clone(), Some(new));
                let request =
                    pb::SetPasswordRequest { user_id, credential, skip_wait, ..Default::default() };
                bounded(directory.set_password(by(&self.bearer, request))).await.map(drop)
            }
            End::Roles(id) => {
                let (user_id, role_ids) = (id.clone(), Vec::new());
                let request = pb::SetUserRolesRequest { user_id, role_ids, skip_wait };
                bounded(directory.set_user_roles(by(&self.bearer, request))).await.map(drop)
            }
        }
    }
}
