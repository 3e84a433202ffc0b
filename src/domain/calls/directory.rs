//! Users and roles: asked for, and as they are seen.

use secrecy::SecretString;

use super::super::identity::{Realm, RoleName, User, UserState};
use super::super::permission::Permission;
use super::super::store::PersonalTokens;
use super::Wait;

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
    pub state: Option<UserState>,
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
    pub personal_tokens: PersonalTokens,
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
