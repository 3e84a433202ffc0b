//! What goes through the port.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::super::clock::Timestamp;
use super::super::identity::{Generation, Realm, RoleId, User, UserId, UserState, Username};
use super::super::profile::ProfileName;
use super::super::token::{Grant, GrantId, KeyId, Token, TokenDigest, TokenId, TokenState};

/// The number of a change: the order of them is the order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// A place in the list of changes: a number, and the random nonce of the change that has it, so
/// that a number given twice (after a failover that lost a commit) is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number.
    pub seq: Seq,
    /// The nonce.
    pub nonce: i64,
}

/// A committed event that makes a kept fact untrue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The user, or which roles they have.
    User(UserId),
    /// The role.
    Role(RoleId),
    /// What everyone in the realm holds.
    Anonymous(Realm),
    /// The opaque token.
    Token(TokenDigest),
    /// The grant; `until` is when its last JWT will have ended (`None`: never), where it was
    /// revoked.
    Grant {
        /// The grant.
        id: GrantId,
        /// How long the revocation matters.
        until: Option<Timestamp>,
        /// Whether it was revoked, or changed otherwise.
        revoked: GrantChange,
    },
    /// The JWT was revoked; it would have ended at `until` (`None`: never).
    Jti {
        /// Its `jti`.
        id: TokenId,
        /// How long the revocation matters.
        until: Option<Timestamp>,
    },
    /// The keys.
    Keys,
    /// Something that this version does not know: everything is loaded anew.
    Unknown,
}

/// What happened to a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantChange {
    /// It was revoked.
    Revoked,
    /// It was given the user's new generation.
    Restamped,
}

/// A page of the list of changes.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The changes from the asked number on, itself included, in order.
    pub changes: Vec<(Mark, Change)>,
    /// Whether there may be more.
    pub more: More,
}

/// Whether a page was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// The page came back full.
    Perhaps,
    /// That was all.
    No,
}

/// What was committed, and the last change that it appended (`None`: it made nothing untrue).
#[derive(Debug, Clone)]
#[must_use]
pub struct Committed<T> {
    /// What it came to.
    pub value: T,
    /// Where in the list of changes it stands.
    pub mark: Option<Mark>,
}

/// What a caller was proven by, judged again inside the mutation's own transaction: the user is
/// active and of this generation, and the grant and token (where there are any) not revoked.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The user.
    pub user: UserId,
    /// Their generation when it was read with the credential.
    pub generation: Generation,
    /// The grant of the bearer.
    pub grant: Option<GrantId>,
    /// The bearer.
    pub token: Option<TokenId>,
}

/// One thing that was done or refused, to be remembered. Holds no secret.
#[derive(Debug, Clone)]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// What: `token.create`.
    pub action: &'static str,
    /// How it ended: `ok`, or why not.
    pub outcome: &'static str,
    /// Where, if that is known.
    pub realm: Option<Realm>,
    /// Who.
    pub actor: Actor,
    /// What it was done to: an id or a name.
    pub target: String,
    /// From where.
    pub client_address: Option<std::net::IpAddr>,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A user.
    User(UserId),
    /// The operator, on the command line of a local database.
    Operator,
    /// The service itself.
    Service,
    /// Nobody who was proven.
    Nobody,
}

/// What goes with every mutation that someone asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the caller was proven by; `None` for the operator, the service, and whoever holds a
    /// secret.
    pub proof: Option<Proof>,
    /// What is remembered of it, in the same transaction. It is not written where nothing was
    /// done.
    pub audit: Audit,
}

/// An event as it is kept.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// The id; later ones are greater.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Where.
    pub realm: String,
    /// Who: a user's id, `operator`, `service` or empty.
    pub actor: String,
    /// To what.
    pub target: String,
    /// From where.
    pub client_address: String,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only this realm's.
    pub realm: Option<Realm>,
    /// Only those in which this user acts or is the target.
    pub user: Option<UserId>,
    /// Only those with a smaller id.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

/// How failed sign-ins lock a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// The failure that locks: the n-th, and each one after.
    pub failures: u32,
    /// How long the first lock lasts; each next is twice as long.
    pub first_lock: Duration,
    /// How long a lock lasts at most.
    pub longest_lock: Duration,
    /// How long after the last failure all are forgotten.
    pub forget_after: Duration,
}

/// An attempt to prove a user by password.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The realm.
    pub realm: Realm,
    /// The name.
    pub username: Username,
    /// The network it comes from: the address, or the /64 of an IPv6 one; empty where unknown. One
    /// that the name signed in from within 30 days has a counter of its own.
    pub network: String,
    /// How failures lock.
    pub policy: LockoutPolicy,
    /// When.
    pub at: Timestamp,
    /// What is remembered where this attempt locks the name.
    pub lock_audit: Audit,
}

/// What came of an attempt so far. The failure is counted already.
#[derive(Debug)]
pub enum AttemptStart {
    /// The name is locked: nothing was counted.
    Locked,
    /// There is no such user; a shared row counts the attempt.
    Unknown,
    /// The user, to be proven.
    Known {
        /// Who they are, with the generation that a new grant must carry.
        user: User,
        /// The hash of their password; `None`: they have none.
        password_hash: Option<PasswordHash>,
    },
}

/// The hash of a password: a PHC string.
#[derive(Clone)]
pub struct PasswordHash(pub SecretString);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// A new token, and the grant it is made from.
#[derive(Debug, Clone)]
pub struct NewTokens {
    /// The grant, where it is new.
    pub grant: Option<Grant>,
    /// The tokens: all of the one grant.
    pub tokens: Vec<Token>,
    /// How many live tokens of the first one's profile its user may have: beyond it, those unused
    /// for longest are revoked.
    pub max_live: Option<u32>,
}

/// What a refresh token's row says, with all that its refresh is judged by.
#[derive(Debug, Clone)]
pub struct RefreshRow {
    /// The token.
    pub token: Token,
    /// Its grant.
    pub grant: Grant,
    /// Its user; `None`: gone.
    pub user: Option<User>,
    /// Its successor, if it was swapped.
    pub successor: Option<Successor>,
}

/// How a swapped token's successor is derived again, and whether it was put to use.
#[derive(Debug, Clone)]
pub struct Successor {
    /// When the swap was.
    pub swapped_at: Timestamp,
    /// The random salt that the winner drew.
    pub salt: [u8; 16],
    /// The key that derives it.
    pub key: KeyId,
    /// The successor.
    pub token: Token,
    /// Whether it was swapped itself or seen in use.
    pub used: SuccessorUse,
}

/// Whether a successor was put to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuccessorUse {
    /// Not yet.
    Unused,
    /// It was swapped itself, or an operation token made with it was accepted.
    Used,
}

/// A swap that is proposed.
#[derive(Debug, Clone)]
pub struct Swap {
    /// The token that is used up.
    pub old: TokenId,
    /// Its successor, of the same grant.
    pub new: Token,
    /// The salt it was derived with.
    pub salt: [u8; 16],
    /// The key it was derived with.
    pub derivation_key: KeyId,
    /// When.
    pub at: Timestamp,
}

/// How a proposed swap ended.
#[derive(Debug)]
#[must_use]
pub enum Swapped {
    /// This one won.
    Done,
    /// Another swapped it first, or the token or grant died: look again.
    Lost,
}

/// What a revocation came to.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The token as it is now, where one was named and has a row.
    pub token: Option<Token>,
    /// How many live tokens with a row it ended; a JWT without one counts as one.
    pub count: u32,
}

/// A JWT to be revoked by its `jti`: one with a row has its row revoked too.
#[derive(Debug, Clone)]
pub struct JtiRevocation {
    /// The `jti`.
    pub id: TokenId,
    /// Its grant.
    pub grant: GrantId,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// How many live revocations a grant may have.
    pub most_per_grant: u32,
}

/// A revocation that still matters to JWTs.
#[derive(Debug, Clone)]
pub enum Revocation {
    /// One token's.
    Jti(TokenId, Option<Timestamp>),
    /// A grant's.
    Grant(GrantId, Option<Timestamp>),
}

/// Which tokens.
#[derive(Debug, Clone)]
pub struct TokenQuery {
    /// Whose.
    pub user: UserId,
    /// Only of this profile.
    pub profile: Option<ProfileName>,
    /// Only in these states; empty: any.
    pub states: Vec<TokenState>,
    /// Only those after this one, newest first.
    pub after: Option<(Timestamp, TokenId)>,
    /// How many at most.
    pub limit: u32,
    /// When it is asked.
    pub now: Timestamp,
}

/// A new user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who they are.
    pub user: User,
    /// The name, with what it is compared by.
    pub username: Username,
    /// The hash of their password, if they have one.
    pub password_hash: Option<PasswordHash>,
}

/// Whether a name was free.
#[derive(Debug)]
#[must_use]
pub enum Inserted {
    /// It was.
    Done,
    /// It is taken.
    NameTaken,
}

/// A change to a user. What is `None` stays.
#[derive(Debug, Clone)]
pub struct UserUpdate {
    /// The user.
    pub id: UserId,
    /// The new state. Disabling raises the generation, so that nothing comes back with a later
    /// enabling.
    pub state: Option<UserState>,
    /// The new display name.
    pub display_name: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A new password.
#[derive(Debug, Clone)]
pub struct PasswordUpdate {
    /// Whose.
    pub user: UserId,
    /// The hash; `None`: no sign-in by password.
    pub password_hash: Option<PasswordHash>,
    /// What becomes of the personal tokens.
    pub personal_tokens: PersonalTokens,
    /// When.
    pub at: Timestamp,
}

/// What becomes of personal tokens when a password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalTokens {
    /// They die with the rest.
    Revoke,
    /// Their grants are stamped with the new generation.
    Keep,
}

/// A page of a list by name.
#[derive(Debug, Clone)]
pub struct NamePage {
    /// The realm.
    pub realm: Realm,
    /// Only names after this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Signs the JWTs of one profile.
    Sign,
    /// Makes the check inside opaque tokens.
    Check,
    /// Derives the successors of refresh tokens.
    Derive,
    /// Authenticates page tokens.
    Page,
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, but not in use.
    Next,
    /// In use.
    Active,
    /// Verifies only.
    Verifying,
    /// Dead, with all that it made.
    Retired,
}

/// A key as it is kept: the private part sealed.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The id.
    pub id: KeyId,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// The profile whose tokens it signs; empty for the other purposes.
    pub profile: String,
    /// The algorithm: a JWA name, or `HMAC`.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// The private part, sealed by the master key.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped being used.
    pub retired_at: Option<Timestamp>,
}

/// How a change of keys ended.
#[derive(Debug)]
#[must_use]
pub enum KeyChange {
    /// Done.
    Done,
    /// The key that was active is no more, or there is none of that id: look again.
    Lost,
}

/// How many dead rows a purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Tokens.
    pub tokens: u64,
    /// Grants.
    pub grants: u64,
    /// Revocations.
    pub revocations: u64,
    /// Changes.
    pub changes: u64,
}

/// Whether a database was empty.
#[derive(Debug)]
#[must_use]
pub enum Bootstrapped {
    /// It was: the first user is made.
    Done,
    /// It has users already.
    HasUsers,
}
