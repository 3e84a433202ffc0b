//! `RevokeToken`: the end of a token, a grant, or all grants of a user. Once it has answered, no
//! check that begins later allows what was revoked.

use std::sync::Arc;

use super::caller::{Caller, Intent};
use super::calls::{Origin, Revoke, RevokeOutcome, Target, TokenView, Wait};
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::format::jwt::Claims;
use super::genuine::{Genuine, Unrecognised};
use super::identity::{User, UserId};
use super::store::{JtiRevocation, Order, Owned, Revoked, TokenName};
use super::token::{GrantId, Secret, Token, TokenId, TokenKind};

const REVOKE: &str = "token:revoke";

/// How many JWTs of one grant are revoked one by one at most.
const MOST_PER_GRANT: u32 = 1000;

/// What was ended.
struct Ended {
    token: Option<TokenView>,
    count: u32,
}

/// What an operation token is revoked by.
enum By {
    /// Its row, which every check of it reads.
    Row,
    /// Its `jti`, until it ends by itself: a JWT is checked without a row.
    Jti(Option<Timestamp>),
}

impl Core {
    /// Revokes. Unknown, foreign, or of another profile than the guard: not found. Already dead:
    /// a count of 0.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::UserNotFound`], [`Error::PermissionMissing`],
    /// [`Error::BadCredentials`] without a caller or secret, [`Error::TooManyRevoked`],
    /// [`Error::Invalid`], [`Error::Unavailable`].
    pub async fn revoke_token(
        &self,
        origin: &Origin,
        request: Revoke,
    ) -> Result<RevokeOutcome, Error> {
        let Revoke { target, profile: guard, wait } = request;
        if !guard.is_empty() {
            self.settings.profiles.get(&guard)?;
        }
        let ended = match target {
            Target::Missing => Err(Error::field("target", "must be set")),
            Target::Secret(secret) => self.revoke_by_secret(origin, &secret, (&guard, wait)).await,
            Target::Token(id) => self.revoke_by_id(origin, &id, (&guard, wait)).await,
            Target::Grant(_) | Target::User(_) if !guard.is_empty() => {
                Err(Error::field("profile", "goes with `token_id` or `secret`"))
            }
            Target::Grant(id) => {
                let id = GrantId::parse(&id).map_err(|fault| Error::field("grant_id", fault))?;
                self.revoke_by_grant(origin, id, wait).await
            }
            Target::User(id) => {
                let id = UserId::parse(&id).map_err(|fault| Error::field("user_id", fault))?;
                self.revoke_by_user(origin, id, wait).await
            }
        };
        let Ended { token, count } = ended?;
        Ok(RevokeOutcome { token, count, stale_for: self.knowledge.stale_for() })
    }

    async fn revoke_by_secret(
        &self,
        origin: &Origin,
        secret: &Secret,
        (guard, wait): (&str, Wait),
    ) -> Result<Ended, Error> {
        self.knowledge.reach().await?;
        let caller = self.find_caller(origin).await?;
        let mut recognised = self.recognise(&self.knowledge.keys(), secret);
        if let Err(Unrecognised::UnknownKey) = recognised {
            // By keys that are surely all there are.
            recognised = self.recognise(&self.knowledge.view().await?.keys, secret);
        }
        match recognised {
            // Of a key that was retired: as dead as it can be, once all have heard.
            Err(Unrecognised::RetiredKey) => {
                self.knowledge.catch_up(wait).await?;
                let keys = self.knowledge.view().await?.keys;
                match self.recognise(&keys, secret) {
                    Err(Unrecognised::RetiredKey) => Ok(Ended { token: None, count: 0 }),
                    Ok(_) | Err(_) => Err(undone_meanwhile()),
                }
            }
            Err(Unrecognised::Forged | Unrecognised::UnknownKey) => Err(Error::TokenNotFound),
            Ok(Genuine::Opaque(digest)) => {
                let found = self.store.find_owned(TokenName::Digest(digest)).await?;
                let found = found.ok_or(Error::TokenNotFound)?;
                self.revoke_found(origin, caller.as_ref(), found, (guard, wait)).await
            }
            Ok(Genuine::Jwt(jwt, profile)) => {
                if !guard.is_empty() && guard != profile.name.as_str() {
                    return Err(Error::TokenNotFound);
                }
                self.revoke_jwt(origin, caller.as_ref(), &jwt.claims, wait).await
            }
        }
    }

    async fn revoke_by_id(
        &self,
        origin: &Origin,
        id: &str,
        (guard, wait): (&str, Wait),
    ) -> Result<Ended, Error> {
        let id = read_id(id)?;
        let caller = self.caller(origin).await?;
        let id = id.ok_or(Error::TokenNotFound)?;
        let found = self.store.find_owned(TokenName::Id(&id)).await?;
        let found = found.ok_or(Error::TokenNotFound)?;
        self.revoke_found(origin, Some(&caller), found, (guard, wait)).await
    }

    async fn revoke_found(
        &self,
        origin: &Origin,
        caller: Option<&Caller>,
        found: Owned,
        (guard, wait): (&str, Wait),
    ) -> Result<Ended, Error> {
        let Owned { token, grant, owner } = found;
        if !guard.is_empty() && guard != token.profile.as_str() {
            return Err(Error::TokenNotFound);
        }
        let order = self.order_to_revoke(origin, caller, &owner, (&token.id, "token.revoke"))?;
        let by = if token.digest.is_some() { By::Row } else { By::Jti(token.expires_at) };
        let revoked = self.end((token.kind, &token.id, grant.id), by, (order, wait)).await?;
        let Revoked { token: now, grant_end, count } = revoked;
        count_revoked(count);
        let view = self.view_of(&owner, now.unwrap_or(token), grant_end).await?;
        Ok(Ended { token: Some(view), count })
    }

    async fn revoke_jwt(
        &self,
        origin: &Origin,
        caller: Option<&Caller>,
        claims: &Claims,
        wait: Wait,
    ) -> Result<Ended, Error> {
        let owner = self.store.find_user(claims.user).await?.ok_or(Error::TokenNotFound)?;
        let order = self.order_to_revoke(origin, caller, &owner, (&claims.id, "token.revoke"))?;
        if owner.generation != claims.generation {
            // The cut may be news to this replica, too.
            self.knowledge.catch_up(wait).await?;
            let owner = self.store.find_user(claims.user).await?;
            return if owner.is_none_or(|owner| owner.generation != claims.generation) {
                Ok(Ended { token: None, count: 0 })
            } else {
                Err(undone_meanwhile())
            };
        }
        let by = By::Jti(claims.expires_at);
        let revoked = self.end((claims.kind, &claims.id, claims.grant), by, (order, wait)).await?;
        let Revoked { token, grant_end, count } = revoked;
        count_revoked(count);
        let token = match token {
            Some(token) => Some(self.view_of(&owner, token, grant_end).await?),
            None => None,
        };
        Ok(Ended { token, count })
    }

    /// Ends a token, and with a refresh token all that its sign-in allowed, with a personal token
    /// all that was made from it: the grants of both are their own.
    async fn end(
        &self,
        (kind, id, grant): (TokenKind, &TokenId, GrantId),
        by: By,
        (order, wait): (Order, Wait),
    ) -> Result<Revoked, Error> {
        match (kind, by) {
            (TokenKind::Operation, By::Row) => {
                let (store, id) = (Arc::clone(&self.store), id.clone());
                let ended = self
                    .knowledge
                    .commit(wait, async move { store.revoke_token(&id, grant, &order).await });
                ended.await.map_err(unseen)?.ok_or(Error::TokenNotFound)
            }
            (TokenKind::Operation, By::Jti(until)) => {
                self.end_jti((id, grant), until, (order, wait)).await
            }
            (TokenKind::Refresh, By::Row | By::Jti(_)) | (TokenKind::Personal, By::Row) => {
                self.end_grant(grant, (order, wait)).await?.ok_or(Error::TokenNotFound)
            }
            (TokenKind::Personal, By::Jti(until)) => {
                match self.end_grant(grant, (order.clone(), wait)).await? {
                    Some(revoked) => Ok(revoked),
                    // Its grant was lost, which no check asks for: it is good until it is named.
                    None => self.end_jti((id, grant), until, (order, wait)).await,
                }
            }
        }
    }

    async fn end_grant(
        &self,
        grant: GrantId,
        (order, wait): (Order, Wait),
    ) -> Result<Option<Revoked>, Error> {
        let store = Arc::clone(&self.store);
        let ended =
            self.knowledge.commit(wait, async move { store.revoke_grant(grant, &order).await });
        ended.await.map_err(unseen)
    }

    async fn end_jti(
        &self,
        (id, grant): (&TokenId, GrantId),
        until: Option<Timestamp>,
        (order, wait): (Order, Wait),
    ) -> Result<Revoked, Error> {
        let jti = JtiRevocation { id: id.clone(), grant, until, most_per_grant: MOST_PER_GRANT };
        let store = Arc::clone(&self.store);
        let ended =
            self.knowledge.commit(wait, async move { store.revoke_jti(&jti, &order).await });
        ended.await.map_err(unseen)?.ok_or(Error::TooManyRevoked)
    }

    async fn revoke_by_grant(
        &self,
        origin: &Origin,
        id: GrantId,
        wait: Wait,
    ) -> Result<Ended, Error> {
        let caller = self.caller(origin).await?;
        let grant = self.store.find_grant(id).await?.ok_or(Error::TokenNotFound)?;
        let owner = self.store.find_user(grant.user).await?.ok_or(Error::TokenNotFound)?;
        let needs = caller.needs_to_touch(&owner, REVOKE).ok_or(Error::TokenNotFound)?;
        let intent = Intent::new("grant.revoke", &owner.realm, &id, needs);
        let order = self.order(&caller, origin, intent);
        let revoked = self.end_grant(id, (order, wait)).await?.ok_or(Error::TokenNotFound)?;
        count_revoked(revoked.count);
        Ok(Ended { token: None, count: revoked.count })
    }

    async fn revoke_by_user(
        &self,
        origin: &Origin,
        id: UserId,
        wait: Wait,
    ) -> Result<Ended, Error> {
        let caller = self.caller(origin).await?;
        let owner = self.owner(&caller, id, REVOKE).await?;
        let needs = caller.needs_to_touch(&owner, REVOKE).ok_or(Error::UserNotFound)?;
        let intent = Intent::new("user.revoke", &owner.realm, &id, needs);
        let order = self.order(&caller, origin, intent);
        let store = Arc::clone(&self.store);
        let revoked = self
            .knowledge
            .commit(wait, async move { store.revoke_user(id, &order).await })
            .await?
            .ok_or(Error::UserNotFound)?;
        count_revoked(revoked.count);
        Ok(Ended { token: None, count: revoked.count })
    }

    /// Lets a caller revoke what is theirs, or what they may; without one, holding the secret is
    /// enough.
    fn order_to_revoke(
        &self,
        origin: &Origin,
        caller: Option<&Caller>,
        owner: &User,
        (token, action): (&TokenId, &'static str),
    ) -> Result<Order, Error> {
        let Some(caller) = caller else {
            return Ok(self.order_of_holder(action, origin, owner, token));
        };
        let needs = if caller.presents(token) {
            vec![]
        } else {
            caller.needs_to_touch(owner, REVOKE).ok_or(Error::TokenNotFound)?
        };
        Ok(self.order(caller, origin, Intent::new(action, &owner.realm, token, needs)))
    }

    async fn view_of(
        &self,
        owner: &User,
        mut token: Token,
        grant_end: Option<Timestamp>,
    ) -> Result<TokenView, Error> {
        let view = self.knowledge.view().await?;
        let state = token.state(grant_end, self.now());
        token.revoked_at = token.revoked_at.or(grant_end);
        self.token_view(&view, owner, token, state).await
    }

    /// Finds a token that this caller may see.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], also for what is another's; [`Error::Invalid`];
    /// [`Error::Unavailable`]; what proves the caller.
    pub async fn get_token(&self, origin: &Origin, id: &str) -> Result<TokenView, Error> {
        let id = read_id(id)?;
        let caller = self.caller(origin).await?;
        let id = id.ok_or(Error::TokenNotFound)?;
        let found = self.store.find_owned(TokenName::Id(&id)).await?;
        let Owned { token, grant, owner } = found.ok_or(Error::TokenNotFound)?;
        if !caller.presents(&id) && !caller.owns_or_may(&owner, "token:read") {
            return Err(Error::TokenNotFound);
        }
        self.view_of(&owner, token, grant.revoked_at).await
    }
}

/// Whoever has lost `token:revoke` meanwhile hears what they would hear now.
fn unseen(error: Error) -> Error {
    if matches!(error, Error::PermissionMissing(_)) { Error::TokenNotFound } else { error }
}

fn undone_meanwhile() -> Error {
    Error::Unavailable("what had ended the token was lost meanwhile".into())
}

/// Reads the id of a token; `None`: no token has it, for it is not written as one.
fn read_id(id: &str) -> Result<Option<TokenId>, Error> {
    if id.is_empty() {
        Err(Error::field("token_id", "must be set"))
    } else {
        Ok(TokenId::parse(id).ok())
    }
}

fn count_revoked(count: u32) {
    metrics::counter!("tokend_tokens_revoked_total").increment(u64::from(count));
}
