//! The port to the database. `crate::store` is its one implementation.
//!
//! Each method is one transaction: it happens whole or not at all. Looking up answers `None`, for
//! only the caller knows whether absence is an error. A race is answered by an enum. Times come
//! in as arguments.
//!
//! A method that makes a kept fact untrue appends its [`Change`]s in the same transaction, numbered
//! so that the order of [`Seq`] is the order of commits, and writes the [`Audit`] it was given. It
//! answers [`Committed`], so that its caller can wait until every replica has heard.

use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;

use super::authority::Denied;
use super::clock::Timestamp;
use super::error::{Cause, Error};
use super::identity::{Realm, Role, RoleId, RoleName, User, UserId, Username};
use super::token::{Grant, GrantId, KeyId, Token, TokenDigest, TokenId};

mod records;

pub use records::*;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be asked, or did not answer. Whether a mutation was committed is not known.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// It holds what this version cannot read, or refused what it must not.
    #[error("the database answered what it should not")]
    Broken(#[source] Cause),
    /// The caller's proof holds no more: their grant is revoked, they are disabled, or their
    /// generation has passed.
    #[error("the caller's proof holds no more")]
    CallerGone,
    /// The caller may not, or no more.
    #[error("the caller may not")]
    Denied(#[from] Denied),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::Unavailable(cause),
            StoreError::Broken(cause) => Self::Internal(cause),
            StoreError::CallerGone => Self::TokenInvalid,
            StoreError::Denied(denied) => denied.into(),
        }
    }
}

/// What every method answers.
pub type Answer<T> = Result<T, StoreError>;

/// Users, roles, grants, tokens, keys and what happened to them.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    // What is kept in memory.

    /// Answers the newest change. There is always one.
    async fn head(&self) -> Answer<Mark>;

    /// Answers the newest change, once it is as durable as what the database acknowledges: where
    /// that is not known, one more is committed that makes nothing untrue.
    async fn durable_head(&self, at: Timestamp) -> Answer<Mark>;

    /// Commits a change that makes nothing untrue. Once it is acknowledged, all that was committed
    /// before is as durable.
    async fn append_barrier(&self, at: Timestamp) -> Answer<Mark>;

    /// Answers where the database takes writes now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn check_writable(&self) -> Answer<()>;

    /// Answers the database's own time of day.
    async fn clock(&self) -> Answer<Timestamp>;

    /// Reads the changes from this number on, itself included, in one statement, from the one
    /// database that takes writes. It has a connection that nothing else waits for.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also where the database that answered takes no writes.
    async fn changes_from(&self, seq: Seq) -> Answer<Tail>;

    /// Announces, before the first lease is taken, what this replica will take: what is known to
    /// all rises to it, and never falls by this.
    async fn announce_terms(&self, terms: Terms) -> Answer<()>;

    /// Finds a user, with the roles they have.
    async fn find_user(&self, id: UserId) -> Answer<Option<User>>;

    /// Finds a role by what is behind its name.
    async fn find_role(&self, id: RoleId) -> Answer<Option<Role>>;

    /// Finds what everyone in a realm holds.
    async fn find_anonymous(&self, realm: &Realm) -> Answer<Option<Role>>;

    /// Finds an opaque token by the digest of its secret, and its grant, both of one moment.
    async fn find_token_by_digest(&self, digest: TokenDigest) -> Answer<Option<(Token, Grant)>>;

    /// Finds a grant.
    async fn find_grant(&self, id: GrantId) -> Answer<Option<Grant>>;

    /// Lists the revocations that may still meet a live JWT.
    async fn list_revocations(&self) -> Answer<Vec<Revocation>>;

    /// Lists all keys that are not retired for longer than their tokens could live.
    async fn list_keys(&self) -> Answer<Vec<KeyRow>>;

    // Sign-in.

    /// Begins an attempt: counts it as failed, unless the name is locked.
    async fn begin_attempt(&self, attempt: &Attempt) -> Answer<AttemptStart>;

    /// Ends an attempt whose password was right: forgets its failures and remembers its network.
    async fn succeed_attempt(
        &self,
        attempt: &Attempt,
        user: UserId,
        counter: &Counter,
    ) -> Answer<()>;

    /// Takes back the count of an attempt that was never judged, and the lock that it set.
    async fn cancel_attempt(&self, attempt: &Attempt) -> Answer<()>;

    /// Lifts the locks of a user.
    async fn unlock_user(&self, id: UserId, order: &Order) -> Answer<Committed<()>>;

    /// Replaces the hash of an unchanged password by a better one, where it is still `old`.
    async fn replace_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Answer<()>;

    // Tokens.

    /// Inserts tokens, and their grant where it is new.
    async fn insert_tokens(&self, new: &NewTokens, order: &Order) -> Answer<Committed<()>>;

    /// Finds a token with its grant and whose it is, all of one moment.
    async fn find_owned(&self, name: TokenName<'_>) -> Answer<Option<Owned>>;

    /// Lists tokens, newest first, each with its grant.
    async fn list_tokens(&self, query: &TokenQuery) -> Answer<Vec<(Token, Grant)>>;

    /// Finds the personal token that a grant was made for; `None`: it is another's.
    async fn find_root(&self, id: GrantId) -> Answer<Option<TokenId>>;

    /// Finds a refresh token with all that its refresh is judged by.
    async fn find_refresh(&self, digest: TokenDigest) -> Answer<Option<RefreshRow>>;

    /// Swaps a refresh token for its successor, where it was not swapped yet, and it and its
    /// grant are not revoked.
    async fn swap_refresh(&self, swap: &Swap, order: &Order) -> Answer<Committed<Swapped>>;

    /// Revokes a token with a row, which is of this grant. `None`: there is no such token.
    async fn revoke_token(
        &self,
        id: &TokenId,
        grant: GrantId,
        order: &Order,
    ) -> Answer<Committed<Option<Revoked>>>;

    /// Revokes a JWT, with or without a row, by its `jti`. `None`: its grant has as many revoked
    /// ones as it may.
    async fn revoke_jti(
        &self,
        jti: &JtiRevocation,
        order: &Order,
    ) -> Answer<Committed<Option<Revoked>>>;

    /// Revokes a grant and so all that was made from it. `None`: there is no such grant.
    async fn revoke_grant(&self, id: GrantId, order: &Order) -> Answer<Committed<Option<Revoked>>>;

    /// Revokes all grants of a user: raises the generation. `None`: there is no such user.
    async fn revoke_user(&self, id: UserId, order: &Order) -> Answer<Committed<Option<Revoked>>>;

    /// Notes when tokens were last accepted.
    async fn touch_tokens(&self, uses: &[(TokenId, Timestamp)]) -> Answer<()>;

    // The directory.

    /// Inserts a user.
    async fn insert_user(&self, new: &NewUser, order: &Order) -> Answer<Committed<Inserted>>;

    /// Finds a user by name.
    async fn find_user_by_name(&self, realm: &Realm, name: &Username) -> Answer<Option<User>>;

    /// Finds the hash of a user's password, read together with the user.
    async fn find_password(&self, id: UserId) -> Answer<Option<(User, Option<PasswordHash>)>>;

    /// Lists users by what their names are compared by.
    async fn list_users(&self, page: &NamePage) -> Answer<Vec<(Username, User)>>;

    /// Changes a user. `None`: there is no such user.
    async fn update_user(
        &self,
        update: &UserUpdate,
        order: &Order,
    ) -> Answer<Committed<Option<User>>>;

    /// Sets a password and raises the generation. Answers how many live grants it ended; `None`:
    /// there is no such user.
    async fn set_password(
        &self,
        update: &PasswordUpdate,
        order: &Order,
    ) -> Answer<Committed<Option<u32>>>;

    /// Removes a user with their grants and tokens. `false`: there was none.
    async fn delete_user(&self, id: UserId, order: &Order) -> Answer<Committed<bool>>;

    /// Sets a user's roles. `None`: there is no such user.
    async fn set_user_roles(
        &self,
        id: UserId,
        roles: &BTreeSet<RoleId>,
        order: &Order,
    ) -> Answer<Committed<Option<User>>>;

    /// Finds roles of a realm by name; those that are not there are left out.
    async fn find_roles(&self, realm: &Realm, names: &BTreeSet<RoleName>) -> Answer<Vec<Role>>;

    /// Inserts a role, or sets the description and permissions of the one of that name. Answers
    /// it as it is now.
    async fn put_role(&self, role: &Role, order: &Order) -> Answer<Committed<Role>>;

    /// Removes a role from all who have it. `false`: there was none.
    async fn delete_role(
        &self,
        realm: &Realm,
        name: &RoleName,
        order: &Order,
    ) -> Answer<Committed<bool>>;

    /// Lists roles by name.
    async fn list_roles(&self, page: &NamePage) -> Answer<Vec<Role>>;

    /// Whether there is any user.
    async fn has_users(&self) -> Answer<bool>;

    /// Makes the first user with the role `admin`, which grants `permissions`, where there is no
    /// user at all yet.
    async fn bootstrap(
        &self,
        admin: &NewUser,
        role: &Role,
        audit: &Audit,
    ) -> Answer<Committed<Bootstrapped>>;

    // Keys.

    /// Inserts a key as the active one of its purpose and profile, where there is none yet.
    async fn insert_first_key(&self, key: &KeyRow, audit: &Audit) -> Answer<Committed<KeyChange>>;

    /// Puts `new` in the place of the active key `old`, which becomes `left`.
    async fn replace_key(
        &self,
        old: &KeyId,
        left: KeyState,
        new: &KeyRow,
        order: &Order,
    ) -> Answer<Committed<KeyChange>>;

    /// Retires a key, in use or not.
    async fn retire_key(
        &self,
        id: &KeyId,
        at: Timestamp,
        order: &Order,
    ) -> Answer<Committed<KeyChange>>;

    // What happened, and what is over.

    /// Remembers an event that no mutation carries.
    async fn insert_audit(&self, audit: &Audit) -> Answer<()>;

    /// Lists events, newest first.
    async fn list_audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEvent>>;

    /// Sets the terms anew, where no replica needs those before any more.
    async fn set_terms(&self, terms: Terms, audit: &Audit) -> Answer<()>;

    /// Ends every grant and token that there is: raises the generation of all users. Answers how
    /// many there are.
    async fn fence(&self, order: &Order) -> Answer<Committed<u64>>;

    /// Removes dead rows: tokens and grants past their end or revoked for a day, revocations a day
    /// after what they revoked has ended, changes older than a day but for the newest, and events
    /// past their retention. `None`: another replica is at it.
    async fn purge(&self, purge: Purge) -> Answer<Option<Purged>>;
}
