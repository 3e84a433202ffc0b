//! Who calls, and what they may do to us.

use std::sync::Arc;

use super::accepted::Accepted;
use super::authority::{Authority, Carries, Need, Rights};
use super::calls::{Credential, Origin, PasswordCredential};
use super::core::Core;
use super::error::Error;
use super::identity::{Realm, Role, User, UserId, UserState};
use super::knowledge::Sight;
use super::permission::Permission;
use super::sign_in::{CredentialPlace, PasswordCheck};
use super::store::{Actor, Audit, Order, Proof};
use super::token::{RoleChoice, TokenId};

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

    /// What they act with. `None`: the operator, who may do everything.
    fn rights(&self) -> Option<Rights<'_>> {
        let (user, roles, anonymous, self_only) = match self {
            Self::Operator => return None,
            Self::User(proven) => (&proven.user, &proven.roles, &proven.anonymous, false),
            Self::Bearer(bearer) => {
                (&bearer.user, &bearer.roles, &bearer.anonymous, bearer.profile.self_only)
            }
        };
        let roles = roles.iter().map(|role| &**role).collect();
        Some(Rights { realm: &user.realm, roles, anonymous: anonymous.as_deref(), self_only })
    }

    fn may(&self, permission: &'static str) -> bool {
        self.rights().is_none_or(|rights| rights.may(permission))
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
        self.rights().is_none_or(|rights| rights.reaches(realm))
    }

    /// Lets the caller act in a realm if they have the permission and reach it.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`].
    pub(super) fn need_in(&self, realm: &Realm, permission: &'static str) -> Result<(), Error> {
        match self.rights() {
            None => Ok(()),
            Some(rights) => Ok(rights.need_in(realm, permission)?),
        }
    }

    /// Whether the caller may act in every realm.
    pub(super) fn reaches_all(&self) -> bool {
        self.rights().is_none_or(|rights| rights.reaches_all())
    }

    /// Whether the caller may do this to what is this user's: it is their own and the token that
    /// they call with was not narrowed to manage itself alone, or they have the permission.
    pub(super) fn owns_or_may(&self, owner: &User, permission: &'static str) -> bool {
        self.needs_to_touch(owner, permission).is_some()
    }

    /// What they need to do this to what is this user's: nothing, where it is their own. `None`:
    /// they may not.
    pub(super) fn needs_to_touch(
        &self,
        owner: &User,
        permission: &'static str,
    ) -> Option<Vec<Need>> {
        if self.is(owner.id) && self.carries() == Carries::AllRoles {
            return Some(vec![]);
        }
        let may = self.reaches(&owner.realm) && self.may(permission);
        may.then(|| vec![Need::permission(permission, &owner.realm)])
    }

    /// Whether this is the very token that the caller presents.
    pub(super) fn presents(&self, token: &TokenId) -> bool {
        match self {
            Self::Operator | Self::User(_) => false,
            Self::Bearer(bearer) => bearer.id == *token,
        }
    }

    fn carries(&self) -> Carries {
        match self {
            Self::Bearer(bearer) if bearer.choice != RoleChoice::Inherit => Carries::ChosenRoles,
            Self::Operator | Self::User(_) | Self::Bearer(_) => Carries::AllRoles,
        }
    }

    /// Lets the caller go on if they hold all of these permissions.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], for the first that they do not hold.
    pub(super) fn need_to_hold<'a>(
        &self,
        given: impl IntoIterator<Item = &'a Permission>,
    ) -> Result<(), Error> {
        match self.rights() {
            None => Ok(()),
            Some(rights) => Ok(rights.need_to_hold(given)?),
        }
    }

    pub(super) fn actor(&self) -> Actor {
        self.user().map_or(Actor::Operator, |user| Actor::User(user.id))
    }

    fn proof(&self, needs: Vec<Need>) -> Option<Proof> {
        let (user, generation, grant, token) = match self {
            Self::Operator => return None,
            Self::User(ProvenUser { user, .. }) => (user.id, user.generation, None, None),
            Self::Bearer(bearer) => {
                let (grant, token) = (bearer.grant, bearer.id.clone());
                (bearer.user.id, bearer.generation, Some(grant), Some(token))
            }
        };
        let rights = self.rights()?;
        let authority = Authority::new(user, &rights, self.carries(), needs);
        Some(Proof { user, generation, grant, token, authority })
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
    pub(super) fn order(&self, caller: &Caller, origin: &Origin, intent: Intent) -> Order {
        let Intent { action, realm, target, needs } = intent;
        let record = self.audit(action, caller.actor(), origin.address);
        Order { proof: caller.proof(needs), audit: Audit { realm: Some(realm), target, ..record } }
    }
}

/// What a caller is about to do: what is remembered of it, and what they need for it.
pub(super) struct Intent {
    action: &'static str,
    realm: Realm,
    target: String,
    needs: Vec<Need>,
}

impl Intent {
    /// To do this to a target in a realm. Whatever the call was let through by goes into `needs`:
    /// it is judged again in the transaction. What the caller was proven by is, too, and need not
    /// be named.
    pub(super) fn new(
        action: &'static str,
        realm: &Realm,
        target: &impl ToString,
        needs: Vec<Need>,
    ) -> Self {
        Self { action, realm: realm.clone(), target: target.to_string(), needs }
    }
}
