//! What goes into the core and what comes out: the contract's messages in the domain's words.
//!
//! Requests hold what was sent, unread: the core reads them, so that all faults of a request are
//! named at once and alike for every face.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;

use super::clock::Timestamp;
use super::identity::{Realm, RoleName, User, UserId};
use super::permission::Permission;
use super::profile::{Algorithm, ProfileName};
use super::store::KeyState;
use super::token::{GrantId, KeyId, Secret, TokenId, TokenKind, TokenState};

/// Where a call comes from, and what proves its caller.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// What the metadata says.
    pub credential: Credential,
}

/// What a caller proves themselves by.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// The operator, on the command line of a local database. No listener can say so.
    Operator,
    /// A password.
    Password(PasswordCredential),
    /// A token.
    Bearer(Secret),
}

/// A user name and its password.
#[derive(Debug, Clone)]
pub struct PasswordCredential {
    /// The realm; empty: the profile's, or `default`.
    pub realm: String,
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// Whether it is tried once more without its final line end.
    pub final_newline: FinalNewline,
}

/// What to make of a line end that closes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalNewline {
    /// It is part of the password.
    Keep,
    /// It is part of the password, or, where that is wrong, an accident.
    Accept,
}

/// Whether a call that takes something away waits until every replica has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It does: strict.
    ForAll,
    /// It does not.
    Skip,
}

/// Asks for a token.
#[derive(Debug, Clone)]
pub struct CreateToken {
    /// Who it is for; [`CreateFor::Caller`]: who the metadata proves.
    pub credential: CreateFor,
    /// The profile; empty: `operation`.
    pub profile: String,
    /// What to call it.
    pub display_name: String,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The roles chosen; `None`: what the credential has.
    pub roles: Option<Vec<String>>,
}

/// Who a token is for.
#[derive(Debug, Clone)]
pub enum CreateFor {
    /// Who the metadata proves.
    Caller,
    /// Who this proves; beats the metadata.
    Credential(Credential),
    /// This user: for the operator alone.
    User(String),
}

/// How long a token is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As the profile says.
    Default,
    /// This many microseconds from now. May be absurd.
    For(i64),
    /// Until then. May be absurd.
    Until(Timestamp),
    /// For ever.
    Never,
}

/// A token as its owner may see it.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// The id.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// From which grant.
    pub grant: GrantId,
    /// What it is called.
    pub display_name: String,
    /// By which profile.
    pub profile: ProfileName,
    /// What for.
    pub kind: TokenKind,
    /// The roles it carries now, sorted.
    pub roles: Vec<RoleName>,
    /// Whether it follows its user's roles.
    pub inherits_roles: bool,
    /// Where it is in its life.
    pub state: TokenState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last accepted.
    pub last_used_at: Option<Timestamp>,
}

/// A token with its secret.
#[derive(Debug, Clone)]
pub struct Issued {
    /// What it is.
    pub token: TokenView,
    /// What its holder presents.
    pub secret: Secret,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The token.
    pub token: Issued,
    /// The refresh token with it.
    pub refresh_token: Option<Issued>,
}

/// Asks for a new operation token.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The refresh token.
    pub refresh_token: Secret,
    /// Where not empty, the only profile that is let through.
    pub profile: String,
}

/// What a refresh made.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The operation token.
    pub operation_token: Issued,
    /// The successor of the refresh token, where the profile rotates.
    pub refresh_token: Option<Issued>,
}

/// Asks for an end.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Of what.
    pub target: Target,
    /// Where not empty, the only profile that is found.
    pub profile: String,
    /// Whether to wait.
    pub wait: Wait,
}

/// What to revoke.
#[derive(Debug, Clone)]
pub enum Target {
    /// Nothing was named.
    Missing,
    /// A token by id.
    Token(String),
    /// A token by its secret.
    Secret(Secret),
    /// A grant.
    Grant(String),
    /// All grants of a user.
    User(String),
}

/// What a revocation came to.
#[derive(Debug, Clone)]
pub struct RevokeOutcome {
    /// The token as it is now, where one was named and has a row.
    pub token: Option<TokenView>,
    /// How many live tokens it ended.
    pub count: u32,
}

/// Asks whether a bearer may.
#[derive(Debug, Clone)]
pub struct Check {
    /// The token; `None`: a guest.
    pub token: Option<Secret>,
    /// What is wanted.
    pub permissions: Vec<String>,
    /// Who owns what it is wanted on; empty: nobody.
    pub owner: String,
    /// The realm; empty: `default`; `*`: any.
    pub realm: String,
    /// The profiles that are accepted; empty: any.
    pub profiles: Vec<String>,
    /// What to do with a token that is refused.
    pub on_refused: OnRefused,
}

/// What to do with a token that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefused {
    /// Deny.
    Deny,
    /// Go on as for a guest.
    Guest,
}

/// Why a bearer may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// No token, and nothing that a guest may have was asked.
    NoToken,
    /// Not a token of ours, or of another realm.
    UnknownToken,
    /// Its lifetime is over.
    ExpiredToken,
    /// It, its grant or its key was revoked.
    RevokedToken,
    /// A refresh token.
    WrongKind,
    /// Of a profile that is not accepted.
    WrongProfile,
    /// Its user is disabled or gone.
    DisabledUser,
    /// The token is good, but a permission is missing.
    MissingPermission,
}

/// The answer to a [`Check`].
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Why not; `None`: they may.
    pub denied: Option<DenyReason>,
    /// Who they are, where a token was accepted.
    pub bearer: Option<Bearer>,
    /// Which of the permissions asked are not held.
    pub missing: Vec<String>,
    /// How old the facts may be: zero unless served stale.
    pub facts_age: Duration,
}

/// A token that was accepted, and who holds it.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: TokenSummary,
    /// The user.
    pub subject: Subject,
}

/// What a service needs to know of a token.
#[derive(Debug, Clone)]
pub struct TokenSummary {
    /// The id.
    pub id: TokenId,
    /// The grant.
    pub grant: GrantId,
    /// The profile.
    pub profile: ProfileName,
    /// What for.
    pub kind: TokenKind,
    /// The roles it carries now, sorted.
    pub roles: Vec<RoleName>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// A bearer's user.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The user.
    pub user: UserId,
    /// Their realm.
    pub realm: Realm,
    /// Their name.
    pub username: String,
    /// The roles that the token carries now, sorted.
    pub roles: Vec<RoleName>,
}

/// Asks for a page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// How many at most: 0 is 50, and 500 is the most.
    pub size: i32,
    /// Where it begins; empty: at the beginning.
    pub token: String,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; empty: there is none.
    pub next: String,
}

/// Asks for a user's tokens.
#[derive(Debug, Clone)]
pub struct ListTokens {
    /// Whose; empty: the caller's.
    pub user: String,
    /// Where not empty, only of this profile.
    pub profile: String,
    /// Only in these states; empty: any.
    pub states: Vec<TokenState>,
    /// Which page.
    pub page: PageRequest,
}

/// Who the caller is.
#[derive(Debug, Clone)]
pub struct CallerView {
    /// The user; `None`: the operator.
    pub user: Option<UserView>,
    /// The token; `None`: proven by password.
    pub token: Option<TokenSummary>,
}

/// A user, with the names of their roles.
#[derive(Debug, Clone)]
pub struct UserView {
    /// The user.
    pub user: User,
    /// Their roles, sorted.
    pub roles: Vec<RoleName>,
}

/// A way to sign in.
#[derive(Debug, Clone)]
pub enum NewPassword {
    /// None.
    None,
    /// A password.
    Plain(SecretString),
    /// The hash of one.
    Hash(SecretString),
}

/// Asks for a new user.
#[derive(Debug, Clone)]
pub struct CreateUser {
    /// The realm; empty: `default`.
    pub realm: String,
    /// The name.
    pub username: String,
    /// What people call them.
    pub display_name: String,
    /// How they sign in.
    pub password: NewPassword,
    /// Their roles.
    pub roles: Vec<String>,
}

/// Which user.
#[derive(Debug, Clone)]
pub enum UserTarget {
    /// Nobody was named.
    Missing,
    /// By id.
    Id(String),
    /// By name.
    Name {
        /// The realm; empty: `default`.
        realm: String,
        /// The name.
        username: String,
    },
}

/// Asks for a change to a user.
#[derive(Debug, Clone)]
pub struct UpdateUser {
    /// The user.
    pub user: String,
    /// The new state.
    pub state: Option<super::identity::UserState>,
    /// The new display name.
    pub display_name: Option<String>,
    /// Whether to wait.
    pub wait: Wait,
}

/// Asks for a new password.
#[derive(Debug, Clone)]
pub struct SetPassword {
    /// Whose; empty: the caller's.
    pub user: String,
    /// The new one.
    pub password: NewPassword,
    /// The one until now; asked for where it is the caller's own.
    pub old_password: SecretString,
    /// What becomes of the personal tokens.
    pub personal_tokens: super::store::PersonalTokens,
    /// Whether to wait.
    pub wait: Wait,
}

/// Asks for a user's roles to be these.
#[derive(Debug, Clone)]
pub struct SetUserRoles {
    /// The user.
    pub user: String,
    /// All of their roles.
    pub roles: Vec<String>,
    /// Whether to wait.
    pub wait: Wait,
}

/// Asks for a role to be as given.
#[derive(Debug, Clone)]
pub struct PutRole {
    /// The realm; empty: `default`.
    pub realm: String,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it grants.
    pub permissions: Vec<String>,
    /// Whether to wait.
    pub wait: Wait,
}

/// A role as it is seen.
#[derive(Debug, Clone)]
pub struct RoleView {
    /// The realm.
    pub realm: Realm,
    /// The name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What it grants, sorted.
    pub permissions: Vec<Permission>,
}

/// A signing key, without its private part.
#[derive(Debug, Clone)]
pub struct SigningKeyView {
    /// The id.
    pub id: KeyId,
    /// The profile it signs for.
    pub profile: String,
    /// The algorithm's name.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
}

/// A public key that verifies our tokens.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// The id.
    pub id: KeyId,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key itself.
    pub material: PublicMaterial,
}

/// A public key's numbers, big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicMaterial {
    /// Ed25519.
    Ed25519 {
        /// The point.
        x: Vec<u8>,
    },
    /// P-256.
    P256 {
        /// The point's x.
        x: Vec<u8>,
        /// The point's y.
        y: Vec<u8>,
    },
    /// RSA.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}

/// Asks for events.
#[derive(Debug, Clone)]
pub struct ListAudit {
    /// Where not empty, only this realm's.
    pub realm: String,
    /// Where not empty, only this user's.
    pub user: String,
    /// Which page.
    pub page: PageRequest,
}
