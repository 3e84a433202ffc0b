//! Judging a presented token: what every check, every bearer and every revocation by secret asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::calls::{DenyReason, Subject, TokenSummary};
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::facts::Noted;
use super::format::jwt::Claims;
use super::genuine::Genuine;
use super::identity::{Generation, Realm, Role, RoleId, RoleName, User, UserId, UserState};
use super::knowledge::View;
use super::permission::{Asked, Permission, Reach};
use super::profile::Profile;
use super::proven::ProvenJwt;
use super::store::Proof;
use super::token::{GrantId, RoleChoice, Secret, TokenDigest, TokenId, TokenKind};

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
        let by_role = self.permissions().any(|permission| permission.meets(asked, reach));
        // What everyone holds is not narrowed by the profile.
        let reach = if own { Reach::OwnResource } else { Reach::OthersResource };
        by_role || anonymous_meets(self.anonymous.as_deref(), asked, reach)
    }

    /// What its roles grant.
    pub(super) fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.roles.iter().flat_map(|role| &role.permissions)
    }

    /// The names of its roles, sorted.
    pub(super) fn role_names(&self) -> Vec<RoleName> {
        sorted_names(&self.roles)
    }

    pub(super) fn summary(&self) -> TokenSummary {
        TokenSummary {
            id: self.id.clone(),
            grant: self.grant,
            profile: self.profile.name.clone(),
            kind: self.kind,
            roles: self.role_names(),
            expires_at: self.expires_at,
        }
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            user: self.user.id,
            realm: self.user.realm.clone(),
            username: self.user.username.clone(),
            roles: self.role_names(),
        }
    }

    /// What a mutation judges again.
    pub(super) fn proof(&self) -> Proof {
        Proof {
            user: self.user.id,
            generation: self.generation,
            grant: Some(self.grant),
            token: Some(self.id.clone()),
        }
    }
}

/// Whether what everyone holds meets this. It has no self.
pub(super) fn guest_meets(anonymous: Option<&Role>, asked: &Asked) -> bool {
    anonymous_meets(anonymous, asked, Reach::OthersResource)
}

fn anonymous_meets(anonymous: Option<&Role>, asked: &Asked, reach: Reach) -> bool {
    anonymous.is_some_and(|role| role.permissions.iter().any(|held| held.meets(asked, reach)))
}

pub(super) fn sorted_names(roles: &[Arc<Role>]) -> Vec<RoleName> {
    let names: BTreeSet<_> = roles.iter().map(|role| role.name.clone()).collect();
    names.into_iter().collect()
}

/// What the row or the claims of a token say, before its user is asked.
struct Stated {
    id: TokenId,
    kind: TokenKind,
    profile: Arc<Profile>,
    grant: GrantId,
    generation: Generation,
    user: UserId,
    choice: RoleChoice,
    expires_at: Option<Timestamp>,
    refresh: Option<TokenId>,
    source: Source,
    token_revoked: bool,
    grant_revoked: bool,
}

impl Core {
    /// Judges a presented secret of an operation or personal token.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: no decision was made. A token that is refused is an answer.
    pub(super) async fn judge_token(
        &self,
        view: &View,
        genuine: &Genuine,
        realm: Option<&Realm>,
    ) -> Result<Result<Accepted, DenyReason>, Error> {
        let stated = match genuine {
            Genuine::Opaque(digest) => match self.stated_by_row(view, *digest).await? {
                Some(stated) => stated,
                None => return Ok(Err(DenyReason::UnknownToken)),
            },
            Genuine::Jwt(jwt, profile) => stated_by_claims(view, jwt, profile),
        };
        let user = match self.find_holder(view, stated.user, realm).await? {
            Ok(user) => user,
            Err(reason) => return Ok(Err(reason)),
        };
        if stated.kind == TokenKind::Refresh {
            return Ok(Err(DenyReason::WrongKind));
        }
        self.judge_stated(view, stated, user).await
    }

    /// Judges what a token states, of whichever kind.
    async fn judge_stated(
        &self,
        view: &View,
        stated: Stated,
        user: Arc<User>,
    ) -> Result<Result<Accepted, DenyReason>, Error> {
        if stated.token_revoked {
            return Ok(Err(DenyReason::RevokedToken));
        }
        if stated.expires_at.is_some_and(|end| end <= self.now()) {
            return Ok(Err(DenyReason::ExpiredToken));
        }
        match user.state {
            UserState::Disabled => return Ok(Err(DenyReason::DisabledUser)),
            // After the user: whoever is disabled lost their grants by it, and should hear why.
            UserState::Active if stated.grant_revoked || stated.generation != user.generation => {
                return Ok(Err(DenyReason::RevokedToken));
            }
            UserState::Active => {}
        }
        let roles = self.roles(view, stated.choice.of(&user.roles)).await?;
        let anonymous = self.knowledge.anonymous(view, &user.realm).await?;
        let Stated {
            id,
            kind,
            profile,
            grant,
            generation,
            user: _,
            choice,
            expires_at,
            refresh,
            source,
            token_revoked: _,
            grant_revoked: _,
        } = stated;
        Ok(Ok(Accepted {
            id,
            kind,
            profile,
            grant,
            generation,
            choice,
            expires_at,
            user,
            roles,
            anonymous,
            refresh,
            source,
        }))
    }

    /// Judges the claims of a refresh token, of the realm named or of any.
    pub(super) async fn judge_refresh_claims(
        &self,
        view: &View,
        (jwt, profile): (&Arc<ProvenJwt>, &Arc<Profile>),
        realm: Option<&Realm>,
    ) -> Result<Result<Accepted, DenyReason>, Error> {
        match self.find_holder(view, jwt.claims.user, realm).await? {
            Ok(user) => self.judge_stated(view, stated_by_claims(view, jwt, profile), user).await,
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Finds whose a token is, who must be of the realm named, or of any.
    async fn find_holder(
        &self,
        view: &View,
        user: UserId,
        realm: Option<&Realm>,
    ) -> Result<Result<Arc<User>, DenyReason>, Error> {
        // Of a user who is gone nobody knows the realm, so this is all that is told.
        let Some(user) = self.knowledge.user(view, user).await? else {
            return Ok(Err(DenyReason::DisabledUser));
        };
        // Of another realm's token nothing is told, not even that it is dead.
        if realm.is_some_and(|realm| *realm != user.realm) {
            return Ok(Err(DenyReason::UnknownToken));
        }
        Ok(Ok(user))
    }

    async fn stated_by_row(
        &self,
        view: &View,
        digest: TokenDigest,
    ) -> Result<Option<Stated>, Error> {
        let profiles = &self.settings.profiles;
        let token = self.knowledge.token(view, digest, profiles).await?;
        let Some(token) = token else { return Ok(None) };
        let Some(grant) = self.knowledge.grant(view, token.grant).await? else { return Ok(None) };
        // The settings may have lost the profile since.
        let Some(profile) = profiles.numbered(token.profile) else { return Ok(None) };
        let expires_at = token.expires_at();
        Ok(Some(Stated {
            id: token.id,
            kind: token.kind,
            profile: Arc::clone(profile),
            grant: token.grant,
            generation: grant.generation,
            user: token.user,
            choice: token.roles,
            expires_at,
            refresh: None,
            source: Source::Row(digest, token.noted),
            token_revoked: token.is_revoked,
            grant_revoked: grant.is_revoked,
        }))
    }

    /// Finds roles by what is behind their names; those that were deleted are left out.
    pub(super) async fn roles(
        &self,
        view: &View,
        ids: impl Iterator<Item = RoleId> + Send,
    ) -> Result<Vec<Arc<Role>>, Error> {
        let mut roles = Vec::with_capacity(ids.size_hint().1.unwrap_or_default());
        for id in ids {
            roles.extend(self.knowledge.role(view, id).await?);
        }
        Ok(roles)
    }

    /// Judges a bearer who calls us: like a check that asks for nothing, in the realm named, or in
    /// any.
    ///
    /// # Errors
    /// [`Error::TokenExpired`], [`Error::Unavailable`]; [`Error::TokenInvalid`], of another realm's
    /// token whatever it is.
    pub(super) async fn prove_bearer(
        &self,
        secret: &Secret,
        realm: Option<&str>,
    ) -> Result<Accepted, Error> {
        let realm = realm.map(|name| self.settings.profiles.realm(name)).transpose();
        let realm = realm.map_err(|_| Error::TokenInvalid)?;
        let mut keys = self.knowledge.keys();
        loop {
            let genuine = self.recognise(&keys, secret).map_err(refusal)?;
            let view = self.knowledge.view().await?;
            if Arc::ptr_eq(&keys, &view.keys) {
                let judged = self.judge_token(&view, &genuine, realm.as_ref()).await?;
                if self.knowledge.still_holds(&view) {
                    let accepted = judged.map_err(refusal)?;
                    self.note_use(&accepted);
                    return Ok(accepted);
                }
            }
            keys = view.keys;
        }
    }

    /// Notes that a token was accepted: the first time that it is seen here, and then once a
    /// minute.
    pub(super) fn note_use(&self, accepted: &Accepted) {
        let now = self.now();
        let noted = match &accepted.source {
            Source::Row(_, noted) => *noted,
            Source::Jwt(jwt) => jwt.noted(),
        };
        if !noted.is_due(now) {
            return;
        }
        self.uses.note(&accepted.id, now);
        if let Some(refresh) = &accepted.refresh {
            self.uses.note_refresh(refresh, now);
        }
        // Last, so that nobody who finds it remembered is ahead of the note itself.
        match &accepted.source {
            Source::Row(digest, _) => self.knowledge.note_token(digest, now),
            Source::Jwt(jwt) => jwt.note(now),
        }
    }
}

/// What a refused credential is answered with.
pub(super) fn refusal(reason: DenyReason) -> Error {
    match reason {
        DenyReason::ExpiredToken => Error::TokenExpired,
        DenyReason::NoToken
        | DenyReason::UnknownToken
        | DenyReason::RevokedToken
        | DenyReason::WrongKind
        | DenyReason::WrongProfile
        | DenyReason::DisabledUser
        | DenyReason::MissingPermission => Error::TokenInvalid,
    }
}

fn stated_by_claims(view: &View, jwt: &Arc<ProvenJwt>, profile: &Arc<Profile>) -> Stated {
    let Claims { id, kind, user, grant, generation, roles, refresh, issued_at: _, expires_at } =
        &jwt.claims;
    Stated {
        id: id.clone(),
        kind: *kind,
        profile: Arc::clone(profile),
        grant: *grant,
        generation: *generation,
        user: *user,
        choice: roles.clone(),
        expires_at: *expires_at,
        refresh: refresh.clone(),
        source: Source::Jwt(Arc::clone(jwt)),
        token_revoked: view.facts().is_jti_revoked(id),
        grant_revoked: view.facts().is_grant_revoked(*grant),
    }
}
