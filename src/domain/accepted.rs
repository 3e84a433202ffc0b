//! A token that was judged to be good, and what it may do.

use std::sync::Arc;

use super::calls::{Bearer, TokenSummary};
use super::clock::Timestamp;
use super::facts::Noted;
use super::identity::{Generation, Role, RoleName, User, UserId};
use super::permission::{Asked, Reach};
use super::profile::Profile;
use super::proven::ProvenJwt;
use super::token::{GrantId, RoleChoice, TokenDigest, TokenId, TokenKind};

/// A token that is good, and all that a judgement needs of its user.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) id: TokenId,
    pub(super) kind: TokenKind,
    pub(super) profile: Arc<Profile>,
    pub(super) grant: GrantId,
    pub(super) generation: Generation,
    pub(super) choice: RoleChoice,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) user: Arc<User>,
    /// The roles that it carries now.
    pub(super) roles: Vec<Arc<Role>>,
    /// What everyone holds.
    pub(super) anonymous: Option<Arc<Role>>,
    /// What a use of it is noted under: itself, and the refresh token it was made with.
    pub(super) refresh: Option<TokenId>,
    /// Where it is remembered that its use was noted.
    pub(super) source: Source,
    /// The time that it was judged by.
    pub(super) judged_at: Timestamp,
}

/// What a token was judged by.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// What is kept of its row, by the digest of its secret.
    Row(TokenDigest, Noted),
    /// What it states.
    Jwt(Arc<ProvenJwt>),
}

impl Accepted {
    /// Whether its roles or what everyone holds meet this.
    pub(super) fn meets(&self, asked: &Asked, owner: Option<UserId>) -> bool {
        let own = owner == Some(self.user.id);
        let reach = match (own, self.profile.self_only) {
            (true, false) => Reach::OwnResource,
            (true, true) => Reach::OwnResourceBySelfOnly,
            (false, false) => Reach::OthersResource,
            (false, true) => Reach::NothingBySelfOnly,
        };
        let by_role = self.roles.iter().any(|role| role.permissions.meets(asked, reach));
        // What everyone holds is not narrowed by the profile.
        let reach = if own { Reach::OwnResource } else { Reach::OthersResource };
        by_role || anonymous_meets(self.anonymous.as_deref(), asked, reach)
    }

    /// What a service is told of it. Nothing is copied that can be moved: every check comes by.
    pub(super) fn into_bearer(self) -> Bearer {
        let Self { id, kind, profile, grant, expires_at, user, mut roles, .. } = self;
        roles.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        roles.dedup_by(|one, other| one.name == other.name);
        let profile = profile.name.clone();
        Bearer { token: TokenSummary { id, grant, profile, kind, roles, expires_at }, user }
    }
}

/// Whether what everyone holds meets this. It has no self.
pub(super) fn guest_meets(anonymous: Option<&Role>, asked: &Asked) -> bool {
    anonymous_meets(anonymous, asked, Reach::OthersResource)
}

fn anonymous_meets(anonymous: Option<&Role>, asked: &Asked, reach: Reach) -> bool {
    anonymous.is_some_and(|role| role.permissions.meets(asked, reach))
}

pub(super) fn sorted_names(roles: &[Arc<Role>]) -> Vec<RoleName> {
    let mut names: Vec<_> = roles.iter().map(|role| role.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
