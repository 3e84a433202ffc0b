//! Who calls, and what they may do to us.

use std::sync::Arc;

use super::accepted::Accepted;
use super::calls::{Credential, Origin, PasswordCredential};
use super::core::Core;
use super::error::Error;
use super::identity::{Realm, Role, User, UserId, UserState};
use super::knowledge::Sight;
use super::permission::{Asked, Permission, Reach};
use super::sign_in::{CredentialPlace, PasswordCheck};
use super::store::{Actor, Audit, Order, Proof};
use super::token::{RoleChoice, TokenId};

/// What lets a user of the realm `default` act in the others.
const EVERY_REALM: &str = "realm:manage";

/// A caller who was proven.
#[derive(Debug, Clone)]
pub(super) enum Caller {
    /// The operator, on the command line of a local database.
    Operator,
    /// A user, by password.
    User(ProvenUser),
    /// A user, by a token.
    Bearer(Box<Accepted>),
}

/// A user who gave their password.
#[derive(Debug, Clone)]
pub(super) struct ProvenUser {
    pub(super) user: Arc<User>,
    pub(super) roles: Vec<Arc<Role>>,
    pub(super) anonymous: Option<Arc<Role>>,
}

impl Caller {
    /// The user who calls; `None`: the operator.
    pub(super) fn user(&self) -> Option<&User> {
        match self {
            Self::Operator => None,
            Self::User(proven) => Some(&proven.user),
            Self::Bearer(bearer) => Some(&bearer.user),
        }
    }

    pub(super) fn is(&self, user: UserId) -> bool {
        self.user().is_some_and(|own| own.id == user)
    }

    fn may(&self, permission: &'static str) -> bool {
        let asked = Asked::of(permission);
        match self {
            Self::Operator => true,
            Self::Bearer(bearer) => bearer.meets(&asked, None),
            Self::User(proven) => proven
                .roles
                .iter()
                .chain(&proven.anonymous)
                .flat_map(|role| &role.permissions)
                .any(|held| held.meets(&asked, Reach::OthersResource)),
        }
    }

    /// Lets the caller go on if they have the permission.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`].
    pub(super) fn need(&self, permission: &'static str) -> Result<(), Error> {
        if self.may(permission) {
            Ok(())
        } else {
            Err(Error::PermissionMissing(permission.to_owned()))
        }
    }

    /// Whether the caller may act in this realm: their own, or from `default` with
    /// `realm:manage` any.
    pub(super) fn reaches(&self, realm: &Realm) -> bool {
        self.reaches_all() || self.user().is_some_and(|user| user.realm == *realm)
    }

    /// Lets the caller act in a realm if they have the permission and reach it.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`].
    pub(super) fn need_in(&self, realm: &Realm, permission: &'static str) -> Result<(), Error> {
        if self.may(permission) && self.reaches(realm) {
            Ok(())
        } else {
            Err(Error::PermissionMissing(permission.to_owned()))
        }
    }

    /// Whether the caller may act in every realm.
    pub(super) fn reaches_all(&self) -> bool {
        self.user()
            .is_none_or(|user| user.realm.as_str() == Realm::DEFAULT && self.may(EVERY_REALM))
    }

    /// Whether the caller may do this to what is this user's: it is their own and the token that
    /// they call with was not narrowed to manage itself alone, or they have the permission.
    pub(super) fn owns_or_may(&self, owner: &User, permission: &'static str) -> bool {
        if self.is(owner.id) && !self.is_narrowed() {
            return true;
        }
        self.reaches(&owner.realm) && self.may(permission)
    }

    /// Whether this is the very token that the caller presents.
    pub(super) fn presents(&self, token: &TokenId) -> bool {
        match self {
            Self::Operator | Self::User(_) => false,
            Self::Bearer(bearer) => bearer.id == *token,
        }
    }

    fn is_narrowed(&self) -> bool {
        match self {
            Self::Operator | Self::User(_) => false,
            Self::Bearer(bearer) => bearer.choice != RoleChoice::Inherit,
        }
    }

    /// Lets the caller give these permissions away if they hold them all.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], for the first that they do not hold.
    pub(super) fn need_to_hold<'a>(
        &self,
        given: impl IntoIterator<Item = &'a Permission>,
    ) -> Result<(), Error> {
        let held: Vec<&Permission> = match self {
            Self::Operator => return Ok(()),
            Self::Bearer(bearer) => bearer.permissions().collect(),
            Self::User(proven) => proven.roles.iter().flat_map(|role| &role.permissions).collect(),
        };
        let lacking = given.into_iter().find(|given| !held.iter().any(|held| held.includes(given)));
        match lacking {
            None => Ok(()),
            Some(permission) => Err(Error::PermissionMissing(permission.to_string())),
        }
    }

    pub(super) fn actor(&self) -> Actor {
        self.user().map_or(Actor::Operator, |user| Actor::User(user.id))
    }

    fn proof(&self) -> Option<Proof> {
        match self {
            Self::Operator => None,
            Self::Bearer(bearer) => Some(bearer.proof()),
            Self::User(proven) => Some(Proof {
                user: proven.user.id,
                generation: proven.user.generation,
                grant: None,
                token: None,
            }),
        }
    }
}

impl Core {
    /// Proves the caller, if one is named.
    ///
    /// # Errors
    /// [`Error::BadCredentials`], [`Error::TokenInvalid`], [`Error::TokenExpired`] and what a
    /// sign-in answers.
    pub(super) async fn find_caller(&self, origin: &Origin) -> Result<Option<Caller>, Error> {
        match &origin.credential {
            Credential::None => Ok(None),
            Credential::Operator => Ok(Some(Caller::Operator)),
            Credential::Bearer { secret, realm } => {
                let accepted = self.prove_bearer(secret, realm.as_deref()).await?;
                Ok(Some(Caller::Bearer(Box::new(accepted))))
            }
            Credential::Password(credential) => {
                self.prove_user(origin, credential).await.map(Caller::User).map(Some)
            }
        }
    }

    /// Proves the caller of what asks the database, which must not be lost.
    ///
    /// # Errors
    /// As [`Self::find_caller`]; [`Error::BadCredentials`] where none is named; [`Error::NoLease`].
    pub(super) async fn caller(&self, origin: &Origin) -> Result<Caller, Error> {
        // First, for a proof may be found in memory, and what comes after it would wait in vain.
        self.knowledge.reach().await?;
        self.find_caller(origin).await?.ok_or(Error::BadCredentials)
    }

    async fn prove_user(
        &self,
        origin: &Origin,
        credential: &PasswordCredential,
    ) -> Result<ProvenUser, Error> {
        let realm =
            self.settings.profiles.realm(&credential.realm).map_err(|_| Error::BadCredentials)?;
        let place = CredentialPlace::Metadata;
        let lockout = match credential.profile.as_str() {
            "" => self.settings.lockout,
            name => self.settings.profiles.get(name)?.lockout,
        };
        let check = PasswordCheck { realm, place, lockout };
        let user = self.prove_password(origin, credential, check).await?;
        self.with_roles(&user).await
    }

    /// Adds the roles that a user holds now, which may be others than when they were proven.
    pub(super) async fn with_roles(&self, proven: &User) -> Result<ProvenUser, Error> {
        let see = |sight: &Sight<'_>| {
            let user = sight.user(proven.id)?.filter(|user| {
                user.generation == proven.generation && user.state == UserState::Active
            });
            let roles = match &user {
                Some(user) => sight.roles(user.roles.iter().copied())?,
                None => vec![],
            };
            Ok((user, roles, sight.anonymous(&proven.realm)?))
        };
        let ((user, roles, anonymous), _) = self.decide(see).await?;
        let user = user.ok_or(Error::BadCredentials)?;
        Ok(ProvenUser { user, roles, anonymous })
    }

    /// Judges a caller again, after something that took its time.
    pub(super) async fn caller_now(
        &self,
        origin: &Origin,
        caller: Caller,
    ) -> Result<Caller, Error> {
        match caller {
            Caller::Operator => Ok(Caller::Operator),
            Caller::User(proven) => self.with_roles(&proven.user).await.map(Caller::User),
            // A token proves itself without a hash.
            Caller::Bearer(_) => self.caller(origin).await,
        }
    }

    /// What goes with a mutation that this caller asks for.
    pub(super) fn order(&self, caller: &Caller, origin: &Origin, audit: AuditOf) -> Order {
        let AuditOf { action, realm, target } = audit;
        let record = self.audit(action, caller.actor(), origin.address);
        let realm = realm.or_else(|| caller.user().map(|user| user.realm.clone()));
        Order { proof: caller.proof(), audit: Audit { realm, target, ..record } }
    }
}

/// What a record tells of.
pub(super) struct AuditOf {
    pub(super) action: &'static str,
    pub(super) realm: Option<Realm>,
    pub(super) target: String,
}

impl AuditOf {
    pub(super) fn new(action: &'static str, realm: &Realm, target: &impl ToString) -> Self {
        Self { action, realm: Some(realm.clone()), target: target.to_string() }
    }
}
