//! `RefreshOperationToken`: a new operation token for a refresh token.
//!
//! Where the profile rotates, one transaction swaps the token for its successor. Whoever comes
//! with the old one soon after, while the successor is unused, gets that same successor: a lost
//! answer logs nobody out. Later it is reuse, and the grant dies.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use super::accepted::Accepted;
use super::calls::{DenyReason, Issued, Origin, Refresh, Refreshed, Wait};
use super::clock::Timestamp;
use super::core::Core;
use super::error::{Error, Faults};
use super::format::opaque::{self, MAX_RANDOM};
use super::genuine::{Genuine, Unrecognised};
use super::identity::{Realm, User, UserState};
use super::judge::refusal;
use super::knowledge::{Missing, Sight};
use super::mint::{Draft, Made};
use super::profile::{Format, Life, Profile, RefreshPolicy, RefreshRotation};
use super::store::{
    Actor, Audit, KeyPurpose, Order, RefreshRow, Successor, SuccessorUse, Swap, Swapped,
};
use super::token::{
    GrantId, RoleChoice, Secret, Token, TokenDigest, TokenId, TokenKind, TokenState,
};

/// How long a retry of a swapped token is taken for a lost answer.
const RETRY_WINDOW: Duration = Duration::from_mins(1);
/// How often a swap that lost a race looks again.
const MOST_TRIES: usize = 4;

/// What a refresh makes an operation token from.
struct Family<'a> {
    user: &'a User,
    grant: GrantId,
    grant_ends: Option<Timestamp>,
    roles: &'a RoleChoice,
    refresh: Option<TokenId>,
}

/// Whose refresh tokens alone are let through.
struct Guard {
    /// Empty: those of every profile.
    profile: String,
    realm: Option<Realm>,
}

impl Guard {
    fn admits(&self, profile: &Profile) -> bool {
        self.profile.is_empty() || self.profile == profile.name.as_str()
    }
}

impl Core {
    /// Makes a new operation token.
    ///
    /// # Errors
    /// [`Error::TokenInvalid`] for what is no live refresh token, [`Error::TokenExpired`],
    /// [`Error::RefreshTokenReused`], [`Error::Unavailable`].
    pub async fn refresh_operation_token(
        &self,
        origin: &Origin,
        request: Refresh,
    ) -> Result<Refreshed, Error> {
        let Refresh { refresh_token, profile, realm } = request;
        let guard = self.read_guard(profile, &realm)?;
        match self.recognise(&self.knowledge.keys(), &refresh_token) {
            Ok(Genuine::Opaque(digest)) => {
                self.refresh_rotating(origin, &refresh_token, digest, &guard).await
            }
            // What names an unknown key is judged by keys that are surely all there are.
            Ok(Genuine::Jwt(..)) | Err(Unrecognised::UnknownKey) => {
                self.refresh_fixed(&refresh_token, &guard).await
            }
            Err(Unrecognised::Forged | Unrecognised::RetiredKey) => Err(Error::TokenInvalid),
        }
    }

    fn read_guard(&self, profile: String, realm: &str) -> Result<Guard, Error> {
        let mut faults = Faults::default();
        if !profile.is_empty()
            && let Err(fault) = self.settings.profiles.get(&profile)
        {
            faults.push(fault);
        }
        let realm = match realm {
            "" => None,
            name => self.settings.profiles.realm(name).map_err(|fault| faults.push(fault)).ok(),
        };
        faults.finish()?;
        Ok(Guard { profile, realm })
    }

    async fn refresh_fixed(&self, secret: &Secret, guard: &Guard) -> Result<Refreshed, Error> {
        let (judged, _) = self.decide(|sight| self.judge_fixed(sight, secret, guard)).await?;
        let (accepted, grant_ends) = judged.map_err(refusal)?;
        self.refresh_accepted(&accepted, grant_ends).await
    }

    /// Judges a refresh token that does not rotate. Answers when its grant ends, too.
    fn judge_fixed(
        &self,
        sight: &Sight<'_>,
        secret: &Secret,
        guard: &Guard,
    ) -> Result<Result<(Accepted, Option<Timestamp>), DenyReason>, Missing> {
        let (jwt, profile) = match self.recognise(sight.keys(), secret) {
            Ok(Genuine::Jwt(jwt, profile)) => (jwt, profile),
            Ok(Genuine::Opaque(_)) => return Ok(Err(DenyReason::WrongKind)),
            Err(unrecognised) => return Ok(Err(unrecognised.into())),
        };
        let fixed = profile.refresh.is_some_and(|p| p.rotation == RefreshRotation::Fixed);
        if jwt.claims.kind != TokenKind::Refresh || !fixed || !guard.admits(&profile) {
            return Ok(Err(DenyReason::WrongKind));
        }
        let realm = guard.realm.as_ref();
        let accepted = match self.judge_refresh_claims(sight, (&jwt, &profile), realm)? {
            Ok(accepted) => accepted,
            Err(reason) => return Ok(Err(reason)),
        };
        // A revocation is kept until its grant's end: nothing may outlive that.
        match sight.grant(accepted.grant)? {
            Some(grant) if !grant.is_revoked => Ok(Ok((accepted, grant.expires_at()))),
            Some(_) | None => Ok(Err(DenyReason::RevokedToken)),
        }
    }

    async fn refresh_accepted(
        &self,
        accepted: &Accepted,
        grant_ends: Option<Timestamp>,
    ) -> Result<Refreshed, Error> {
        self.note_use(accepted);
        let family = Family {
            user: &accepted.user,
            grant: accepted.grant,
            grant_ends,
            roles: &accepted.choice,
            refresh: None,
        };
        let operation_token = self.mint(&accepted.profile, &family).await?;
        Ok(Refreshed { operation_token, refresh_token: None })
    }

    async fn refresh_rotating(
        &self,
        origin: &Origin,
        secret: &Secret,
        digest: TokenDigest,
        guard: &Guard,
    ) -> Result<Refreshed, Error> {
        self.knowledge.reach().await?;
        for _ in 0..MOST_TRIES {
            let row = self.store.find_refresh(digest).await?.ok_or(Error::TokenInvalid)?;
            let (profile, policy, user) = self.judge_row(&row, guard)?;
            let (successor, made) = match &row.successor {
                Some(successor) if self.is_retry(successor).await? => {
                    let made = self.derive_again(secret, &profile, successor)?;
                    // Whoever swapped may never have had it acknowledged.
                    self.store.append_barrier(self.now()).await?;
                    (successor.token.clone(), made)
                }
                Some(_) => return self.kill(origin, &row, &user).await,
                None => match self.swap(origin, secret, &row, (&profile, policy, &user)).await? {
                    Some(made) => made,
                    None => continue,
                },
            };
            let family = Family {
                user: &user,
                grant: row.grant.id,
                grant_ends: row.grant.expires_at,
                roles: &row.token.roles,
                refresh: Some(successor.id.clone()),
            };
            let operation_token = self.mint(&profile, &family).await?;
            let view = self.knowledge.view().await?;
            let refresh_token = Some(self.issued(&view, &user, (successor, made)).await?);
            return Ok(Refreshed { operation_token, refresh_token });
        }
        Err(Error::Unavailable("the refresh token changed faster than it could be read".into()))
    }

    /// Judges a refresh token by its row: everything but whether it was used.
    fn judge_row(
        &self,
        row: &RefreshRow,
        guard: &Guard,
    ) -> Result<(Arc<Profile>, RefreshPolicy, User), Error> {
        let RefreshRow { token, grant, user, successor: _ } = row;
        let profile = self.settings.profiles.find(token.profile.as_str());
        let profile = profile.ok_or(Error::TokenInvalid)?;
        let policy = profile.refresh.ok_or(Error::TokenInvalid)?;
        let user = user.as_ref().ok_or(Error::TokenInvalid)?;
        let alive = token.kind == TokenKind::Refresh
            && policy.rotation == RefreshRotation::Rotating
            && guard.admits(profile)
            && guard.realm.as_ref().is_none_or(|realm| *realm == user.realm)
            && token.revoked_at.is_none()
            && grant.revoked_at.is_none()
            && user.state == UserState::Active
            && grant.generation == user.generation;
        if !alive {
            return Err(Error::TokenInvalid);
        }
        if token.expires_at.is_some_and(|end| end <= self.now()) {
            return Err(Error::TokenExpired);
        }
        Ok((Arc::clone(profile), policy, user.clone()))
    }

    async fn is_retry(&self, successor: &Successor) -> Result<bool, Error> {
        if successor.used == SuccessorUse::Used || self.uses.has(&successor.token.id) {
            return Ok(false);
        }
        let is_soon = |now: Timestamp| now.since(successor.swapped_at) < RETRY_WINDOW;
        // By the clock that is behind: a fast one of ours must not end what lives.
        Ok(is_soon(self.now()) || is_soon(self.store.clock().await?))
    }

    /// Swaps the token for a successor; `None` where another call was first.
    async fn swap(
        &self,
        origin: &Origin,
        secret: &Secret,
        row: &RefreshRow,
        (profile, policy, user): (&Profile, RefreshPolicy, &User),
    ) -> Result<Option<Made>, Error> {
        let keys = self.knowledge.keys();
        let (derivation, check) = (keys.code(KeyPurpose::Derive)?, keys.code(KeyPurpose::Check)?);
        let salt = self.random.bytes::<16>()?;
        let made = derive(secret, profile, policy, &salt, (&derivation.hmac, &check.hmac))?;
        let now = self.now();
        let new = Token {
            id: self.new_token_id(profile)?,
            digest: Some(made.digest()),
            key: check.id.clone(),
            created_at: now,
            last_used_at: None,
            // The family ends when it was to end at the sign-in.
            ..row.token.clone()
        };
        let swap = Swap {
            old: row.token.id.clone(),
            new: new.clone(),
            salt,
            derivation_key: derivation.id.clone(),
            at: now,
        };
        let order = self.order_of_holder("token.refresh", origin, user, &row.token.id);
        let store = Arc::clone(&self.store);
        let swapped = self
            .knowledge
            .commit(Wait::Skip, async move { store.swap_refresh(&swap, &order).await })
            .await?;
        match swapped {
            Swapped::Done => Ok(Some((new, made))),
            Swapped::Lost => Ok(None),
        }
    }

    /// Derives the successor that the winner of the swap made.
    fn derive_again(
        &self,
        secret: &Secret,
        profile: &Profile,
        successor: &Successor,
    ) -> Result<Secret, Error> {
        let policy = profile.refresh.ok_or(Error::TokenInvalid)?;
        let keys = self.knowledge.keys();
        let derivation = keys.code_of(KeyPurpose::Derive, &successor.key)?;
        let check = keys.code_of(KeyPurpose::Check, &successor.token.key)?;
        let made =
            derive(secret, profile, policy, &successor.salt, (&derivation.hmac, &check.hmac))?;
        if successor.token.digest == Some(made.digest()) {
            Ok(made)
        } else {
            Err(Error::internal("a successor is not derived as it was"))
        }
    }

    /// Ends the grant of a token that was used twice. It commits although the call fails.
    async fn kill(
        &self,
        origin: &Origin,
        row: &RefreshRow,
        user: &User,
    ) -> Result<Refreshed, Error> {
        tracing::warn!(
            token.id = %row.token.id,
            grant.id = %row.grant.id,
            "a refresh token came back after its successor was used; its grant is revoked"
        );
        let mut order = self.order_of_holder("token.refresh", origin, user, &row.token.id);
        order.audit.outcome = "reused";
        let (store, grant) = (Arc::clone(&self.store), row.grant.id);
        self.knowledge
            .commit(Wait::ForAll, async move { store.revoke_grant(grant, &order).await })
            .await?;
        Err(Error::RefreshTokenReused)
    }

    /// What goes with what the holder of a secret does: there is no caller to judge again.
    pub(super) fn order_of_holder(
        &self,
        action: &'static str,
        origin: &Origin,
        user: &User,
        target: &TokenId,
    ) -> Order {
        let record = self.audit(action, Actor::User(user.id), origin.address);
        let audit = Audit { realm: Some(user.realm.clone()), target: target.to_string(), ..record };
        Order { proof: None, audit }
    }

    /// Makes an operation token that has no row.
    async fn mint(&self, profile: &Profile, family: &Family<'_>) -> Result<Issued, Error> {
        let Family { user, grant, grant_ends, roles, refresh } = family;
        if !matches!(profile.format, Format::Jwt { .. }) {
            return Err(Error::internal("a profile with refresh tokens makes JWTs"));
        }
        let now = self.now();
        let end = match profile.default_life {
            Life::Endless => None,
            Life::For(length) => Some(now.plus(length)),
        };
        let expires_at = match (end, grant_ends) {
            (Some(end), Some(grant_ends)) => Some(end.min(*grant_ends)),
            (end, grant_ends) => end.or(*grant_ends),
        };
        let (token, secret) = self.write_token(Draft {
            user,
            profile,
            format: profile.format,
            kind: profile.kind,
            grant: *grant,
            generation: user.generation,
            roles: (*roles).clone(),
            display_name: String::new(),
            expires_at,
            refresh: refresh.clone(),
            parent: None,
            now,
        })?;
        let view = self.knowledge.view().await?;
        let token = self.token_view(&view, user, token, TokenState::Active).await?;
        Ok(Issued { token, secret })
    }
}

/// Derives a successor: from the old secret, which is not in the database, a salt, which is, and
/// a key, which rests sealed.
fn derive(
    secret: &Secret,
    profile: &Profile,
    policy: RefreshPolicy,
    salt: &[u8; 16],
    (derivation, check): (&hmac::Key, &hmac::Key),
) -> Result<Secret, Error> {
    let Format::Opaque(form) = policy.format else {
        return Err(Error::internal("a rotating refresh token is opaque"));
    };
    let mut context = hmac::Context::with_key(derivation);
    context.update(b"tokend successor\0");
    context.update(profile.name.as_str().as_bytes());
    context.update(&[0]);
    context.update(salt);
    context.update(secret.expose().as_bytes());
    let derived = context.sign();
    let random = derived
        .as_ref()
        .first_chunk::<MAX_RANDOM>()
        .ok_or_else(|| Error::internal("a derived secret is too short"))?;
    Ok(opaque::write(form, profile.name.as_str(), check, random))
}
