//! Judging a presented token: what every check, every bearer and every revocation by secret asks.

use std::sync::Arc;
use std::time::Duration;

use super::accepted::{Accepted, Source};
use super::calls::DenyReason;
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::facts::{Standing, TokenFact};
use super::format::jwt::Claims;
use super::genuine::Genuine;
use super::identity::{Generation, Realm, Role, RoleId, User, UserId, UserState};
use super::knowledge::{MOST_TRIES, Missing, Sight, View, restless};
use super::profile::Profile;
use super::proven::ProvenJwt;
use super::token::{GrantId, RoleChoice, Secret, TokenDigest, TokenId, TokenKind};

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

impl Stated {
    /// Whether its grant lives, and is of this generation of its user.
    fn is_of(&self, sight: &Sight<'_>, generation: Generation) -> Result<bool, Missing> {
        match self.source {
            _ if self.grant_revoked => Ok(false),
            _ if self.generation == generation => Ok(true),
            Source::Jwt(_) => Ok(false),
            // The grant may have been taken over into the user's generation since the row was
            // read.
            Source::Row(..) => Ok(sight
                .grant(self.grant)?
                .is_some_and(|grant| !grant.is_revoked && grant.generation == generation)),
        }
    }
}

/// A token that was judged: good, or why not. A token that is refused is an answer.
pub(super) type Judged = Result<Accepted, DenyReason>;

impl Core {
    /// Decides by what is known now, and anew where that has changed before the decision. Answers
    /// how old what is known may be, too: nothing, unless stale facts are served.
    ///
    /// # Errors
    /// [`Error::NoLease`] and [`Error::Unavailable`]: no decision was made.
    pub(super) async fn decide<T>(
        &self,
        judge: impl Fn(&Sight<'_>) -> Result<T, Missing> + Send + Sync,
    ) -> Result<(T, Duration), Error> {
        for _ in 0..MOST_TRIES {
            let view = self.knowledge.view().await?;
            let judged = self.knowledge.judge(&view, &self.settings.profiles, &judge).await?;
            if self.knowledge.still_holds(&view) {
                return Ok((judged, view.age));
            }
        }
        Err(restless())
    }

    /// Judges a presented secret of an operation or personal token.
    pub(super) fn judge_secret(
        &self,
        sight: &Sight<'_>,
        secret: &Secret,
        realm: Option<&Realm>,
    ) -> Result<Judged, Missing> {
        let stated = match self.state(sight, secret)? {
            Ok(stated) => stated,
            Err(reason) => return Ok(Err(reason)),
        };
        let user = match find_holder(sight, stated.user, realm)? {
            Ok(user) => user,
            Err(reason) => return Ok(Err(reason)),
        };
        if stated.kind == TokenKind::Refresh {
            return Ok(Err(DenyReason::WrongKind));
        }
        self.judge_stated(sight, stated, user)
    }

    /// Finds what a secret states that is one of ours.
    fn state(
        &self,
        sight: &Sight<'_>,
        secret: &Secret,
    ) -> Result<Result<Stated, DenyReason>, Missing> {
        if secret.is_opaque() {
            let digest = secret.digest();
            // It was found in the database once: its check has nothing to add.
            if let Some(Some(token)) = sight.facts().kept_token(&digest) {
                return Ok(self.stated_by_row(sight, digest, token));
            }
        }
        match self.recognise(sight.keys(), secret) {
            Ok(Genuine::Opaque(digest)) => match sight.token(digest)? {
                Some(token) => Ok(self.stated_by_row(sight, digest, token)),
                None => Ok(Err(DenyReason::UnknownToken)),
            },
            Ok(Genuine::Jwt(jwt, profile)) => Ok(Ok(stated_by_claims(sight, &jwt, &profile))),
            Err(unrecognised) => Ok(Err(unrecognised.into())),
        }
    }

    /// Judges what a token states, of whichever kind.
    fn judge_stated(
        &self,
        sight: &Sight<'_>,
        stated: Stated,
        user: Arc<User>,
    ) -> Result<Judged, Missing> {
        if stated.token_revoked {
            return Ok(Err(DenyReason::RevokedToken));
        }
        let judged_at = self.now();
        if stated.expires_at.is_some_and(|end| end <= judged_at) {
            return Ok(Err(DenyReason::ExpiredToken));
        }
        match user.state {
            UserState::Disabled => return Ok(Err(DenyReason::DisabledUser)),
            // After the user: whoever is disabled lost their grants by it, and should hear why.
            UserState::Active if !stated.is_of(sight, user.generation)? => {
                return Ok(Err(DenyReason::RevokedToken));
            }
            UserState::Active => {}
        }
        let roles = sight.roles(stated.choice.of(&user.roles))?;
        let anonymous = sight.anonymous(&user.realm)?;
        let Stated {
            id,
            kind,
            profile,
            grant,
            generation: _,
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
            generation: user.generation,
            choice,
            expires_at,
            user,
            roles,
            anonymous,
            refresh,
            source,
            judged_at,
        }))
    }

    /// Judges the claims of a refresh token, of the realm named or of any.
    pub(super) fn judge_refresh_claims(
        &self,
        sight: &Sight<'_>,
        (jwt, profile): (&Arc<ProvenJwt>, &Arc<Profile>),
        realm: Option<&Realm>,
    ) -> Result<Judged, Missing> {
        match find_holder(sight, jwt.claims.user, realm)? {
            Ok(user) => self.judge_stated(sight, stated_by_claims(sight, jwt, profile), user),
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn stated_by_row(
        &self,
        sight: &Sight<'_>,
        digest: TokenDigest,
        token: TokenFact,
    ) -> Result<Stated, DenyReason> {
        // The settings may have lost the profile since.
        let Some(profile) = self.settings.profiles.numbered(token.profile) else {
            return Err(DenyReason::UnknownToken);
        };
        let expires_at = token.expires_at();
        let grant_revoked = match token.standing {
            Standing::GrantRevoked => true,
            Standing::Live | Standing::Revoked => sight.facts().is_grant_revoked(token.grant),
        };
        Ok(Stated {
            id: token.id,
            kind: token.kind,
            profile: Arc::clone(profile),
            grant: token.grant,
            generation: token.generation,
            user: token.user,
            choice: token.roles,
            expires_at,
            refresh: None,
            source: Source::Row(digest, token.noted),
            token_revoked: token.standing == Standing::Revoked,
            grant_revoked,
        })
    }

    /// Finds roles by what is behind their names; those that were deleted are left out.
    pub(super) async fn roles(
        &self,
        view: &View,
        ids: impl Iterator<Item = RoleId> + Clone + Send,
    ) -> Result<Vec<Arc<Role>>, Error> {
        let find = |sight: &Sight<'_>| sight.roles(ids.clone());
        self.knowledge.judge(view, &self.settings.profiles, find).await
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
        if let Some(reason) = self.refuse_forged(secret) {
            return Err(refusal(reason));
        }
        let judge = |sight: &Sight<'_>| self.judge_secret(sight, secret, realm.as_ref());
        let accepted = self.decide(judge).await?.0.map_err(refusal)?;
        self.note_use(&accepted);
        Ok(accepted)
    }

    /// Notes that a token was accepted: the first time that it is seen here, and then once a
    /// minute.
    pub(super) fn note_use(&self, accepted: &Accepted) {
        let now = accepted.judged_at;
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

/// Finds whose a token is, who must be of the realm named, or of any.
fn find_holder(
    sight: &Sight<'_>,
    user: UserId,
    realm: Option<&Realm>,
) -> Result<Result<Arc<User>, DenyReason>, Missing> {
    // Of a user who is gone nobody knows the realm, so this is all that is told.
    let Some(user) = sight.user(user)? else { return Ok(Err(DenyReason::DisabledUser)) };
    // Of another realm's token nothing is told, not even that it is dead.
    if realm.is_some_and(|realm| *realm != user.realm) {
        return Ok(Err(DenyReason::UnknownToken));
    }
    Ok(Ok(user))
}

fn stated_by_claims(sight: &Sight<'_>, jwt: &Arc<ProvenJwt>, profile: &Arc<Profile>) -> Stated {
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
        token_revoked: sight.facts().is_jti_revoked(id),
        grant_revoked: sight.facts().is_grant_revoked(*grant),
    }
}
