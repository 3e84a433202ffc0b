//! What a caller must hold for what they ask. It is judged twice by the same rules: when the call
//! comes, by what is known then, and in the mutation's own transaction, by rows that nobody can
//! change before it ends. A right that was taken away in between is missed by the second.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::identity::{Realm, Role, RoleId, RoleName, UserId};
use super::permission::{Asked, Holdings, Permission, PermissionSet, Reach};

/// What lets a user of the realm `default` act in the others.
const EVERY_REALM: &str = "realm:manage";

/// Why a caller may not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// They lack this permission.
    #[error("the caller lacks the permission {0}")]
    Permission(String),
    /// They do not hold this role, which they would give.
    #[error("the caller does not hold the role {0}")]
    Role(String),
    /// They have no role, where one is asked for.
    #[error("the caller has no role")]
    NoRole,
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Permission(permission) => Self::PermissionMissing(permission),
            Denied::Role(role) => Self::RoleNotHeld(role),
            Denied::NoRole => Self::UserWithoutRole,
        }
    }
}

/// What somebody acts with: the roles of a user, or those of them that their token carries.
#[derive(Debug)]
pub(super) struct Rights<'a> {
    /// Where they are at home.
    pub(super) realm: &'a Realm,
    /// Their roles.
    pub(super) roles: Vec<&'a Role>,
    /// What everyone there holds.
    pub(super) anonymous: Option<&'a Role>,
    /// Whether their token's profile lets only `@self` count.
    pub(super) self_only: bool,
}

impl Rights<'_> {
    /// Whether they may do this to what is anybody's.
    pub(super) fn may(&self, permission: &'static str) -> bool {
        let asked = Asked::of(permission);
        let reach = if self.self_only { Reach::NothingBySelfOnly } else { Reach::OthersResource };
        let by_role = self.roles.iter().any(|role| role.permissions.meets(&asked, reach));
        // What everyone holds is not narrowed by a profile.
        let everyone = |role: &Role| role.permissions.meets(&asked, Reach::OthersResource);
        by_role || self.anonymous.is_some_and(everyone)
    }

    /// Whether they may act in every realm.
    pub(super) fn reaches_all(&self) -> bool {
        self.realm.as_str() == Realm::DEFAULT && self.may(EVERY_REALM)
    }

    /// Whether they may act in this realm: their own, or from `default` with `realm:manage` any.
    pub(super) fn reaches(&self, realm: &Realm) -> bool {
        self.realm == realm || self.reaches_all()
    }

    /// Lets them go on if they have the permission and reach the realm.
    ///
    /// # Errors
    /// [`Denied::Permission`].
    pub(super) fn need_in(&self, realm: &Realm, permission: &'static str) -> Result<(), Denied> {
        if self.may(permission) && self.reaches(realm) {
            Ok(())
        } else {
            Err(Denied::Permission(permission.to_owned()))
        }
    }

    /// Lets them go on if their roles grant all of this. What everyone holds does not count: it is
    /// nobody's to give away.
    ///
    /// # Errors
    /// [`Denied::Permission`], for the first that they do not hold.
    pub(super) fn need_to_hold<'a>(
        &self,
        given: impl IntoIterator<Item = &'a Permission>,
    ) -> Result<(), Denied> {
        match self.holdings().find_lacking(given) {
            None => Ok(()),
            Some(lacking) => Err(Denied::Permission(lacking.to_string())),
        }
    }

    fn holdings(&self) -> Holdings<'_> {
        let own = self.roles.iter().flat_map(|role| &role.permissions);
        own.filter(|held| !self.self_only || held.is_self_only()).collect()
    }
}

/// One thing that is needed for a mutation.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// This permission, in this realm.
    Permission(&'static str, Realm),
    /// To be no weaker than this user: to hold all that their roles grant. Everyone is as strong as
    /// themselves, unless their token was narrowed.
    Manage(UserId),
    /// The same, and to hold all that those of these roles grant that are new to the user. Nothing,
    /// where they are the roles that the user has.
    SetRoles(UserId, BTreeSet<RoleId>),
    /// To hold all that these roles grant.
    Give(BTreeSet<RoleId>),
    /// To hold these permissions.
    Hold(PermissionSet),
    /// To hold all that the role of this name grants before the change, where there is one.
    ChangeRole(Realm, RoleName),
    /// To act with each of these roles, whose names these are.
    Choose(BTreeMap<RoleId, RoleName>),
    /// To have one of these roles.
    AnyOf(BTreeSet<RoleId>),
}

impl Need {
    /// A permission in a realm.
    pub(super) fn permission(name: &'static str, realm: &Realm) -> Self {
        Self::Permission(name, realm.clone())
    }

    /// Whether it may be met by this role.
    fn counts(&self, role: &Role) -> bool {
        let grants =
            |permission| role.permissions.meets(&Asked::of(permission), Reach::OwnResource);
        match self {
            Self::Permission(name, _) => grants(name) || grants(EVERY_REALM),
            Self::Manage(_)
            | Self::SetRoles(..)
            | Self::Give(_)
            | Self::Hold(_)
            | Self::ChangeRole(..) => true,
            Self::Choose(roles) => roles.contains_key(&role.id),
            Self::AnyOf(roles) => roles.contains(&role.id),
        }
    }
}

/// What a caller acts with, and what they need for what they ask.
#[derive(Debug, Clone)]
pub struct Authority {
    caller: UserId,
    realm: Realm,
    /// Whether they call with a token that has some of their roles alone.
    is_narrowed: bool,
    self_only: bool,
    /// The roles that they acted with when they were judged first. No other counts.
    roles: BTreeSet<RoleId>,
    anonymous: Option<RoleId>,
    needs: Vec<Need>,
}

/// Whether a token carries all roles of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// It does, or there is no token.
    AllRoles,
    /// It carries those that were chosen for it.
    ChosenRoles,
}

impl Authority {
    /// States what a caller needs, who acts with these rights. `None`: nothing.
    pub(super) fn new(
        caller: UserId,
        rights: &Rights<'_>,
        carries: Carries,
        needs: Vec<Need>,
    ) -> Option<Self> {
        if needs.is_empty() {
            return None;
        }
        // The others have nothing to say, and need not be read.
        let counts = |role: &&Role| needs.iter().any(|need| need.counts(role));
        let roles = rights.roles.iter().copied().filter(counts).map(|role| role.id).collect();
        let anonymous = rights.anonymous.filter(counts).map(|role| role.id);
        Some(Self {
            caller,
            realm: rights.realm.clone(),
            is_narrowed: carries == Carries::ChosenRoles,
            self_only: rights.self_only,
            roles,
            anonymous,
            needs,
        })
    }

    /// The user who calls.
    #[must_use]
    pub fn caller(&self) -> UserId {
        self.caller
    }

    /// Lists the roles that it is judged by, beside those of [`Self::users`].
    pub fn roles(&self) -> impl Iterator<Item = RoleId> + '_ {
        let none = BTreeSet::new;
        let named = self.needs.iter().flat_map(move |need| match need {
            Need::SetRoles(_, roles) | Need::Give(roles) | Need::AnyOf(roles) => roles.clone(),
            Need::Choose(roles) => roles.keys().copied().collect(),
            Need::Permission(..) | Need::Manage(_) | Need::Hold(_) | Need::ChangeRole(..) => none(),
        });
        self.roles.iter().copied().chain(self.anonymous).chain(named)
    }

    /// Lists the users by all of whose roles it is judged.
    pub fn users(&self) -> impl Iterator<Item = UserId> + '_ {
        self.needs.iter().filter_map(|need| match need {
            Need::Manage(user) | Need::SetRoles(user, _) => Some(*user),
            Need::Permission(..)
            | Need::Give(_)
            | Need::Hold(_)
            | Need::ChangeRole(..)
            | Need::Choose(_)
            | Need::AnyOf(_) => None,
        })
    }

    /// Judges by what the rows say.
    ///
    /// # Errors
    /// Why the caller may not.
    pub fn judge(&self, evidence: &Evidence) -> Result<(), Denied> {
        let roles = self.roles.iter().filter(|role| evidence.has(self.caller, **role));
        let rights = Rights {
            realm: &self.realm,
            roles: roles.filter_map(|role| evidence.roles.get(role)).collect(),
            anonymous: self.anonymous.and_then(|role| evidence.roles.get(&role)),
            self_only: self.self_only,
        };
        self.needs.iter().try_for_each(|need| self.judge_need(need, &rights, evidence))
    }

    fn judge_need(
        &self,
        need: &Need,
        rights: &Rights<'_>,
        evidence: &Evidence,
    ) -> Result<(), Denied> {
        match need {
            Need::Permission(name, realm) => rights.need_in(realm, name),
            Need::Manage(user) => self.judge_strength(*user, rights, evidence),
            Need::SetRoles(user, roles) => {
                let had: BTreeSet<_> = evidence.roles_of(*user).map(|role| role.id).collect();
                if had == *roles {
                    return Ok(());
                }
                judge_gift(roles.difference(&had), rights, evidence)?;
                self.judge_strength(*user, rights, evidence)
            }
            Need::Give(roles) => judge_gift(roles, rights, evidence),
            Need::Hold(permissions) => rights.need_to_hold(permissions),
            Need::ChangeRole(realm, name) => match evidence.find_role(realm, name) {
                Some(role) => rights.need_to_hold(&role.permissions),
                None => Ok(()),
            },
            Need::Choose(roles) => {
                let carries = |id: &RoleId| rights.roles.iter().any(|role| role.id == *id);
                match roles.iter().find(|(id, _)| !carries(id)) {
                    None => Ok(()),
                    Some((_, name)) => Err(Denied::Role(name.to_string())),
                }
            }
            Need::AnyOf(roles) if roles.iter().any(|role| evidence.has(self.caller, *role)) => {
                Ok(())
            }
            Need::AnyOf(_) => Err(Denied::NoRole),
        }
    }

    fn judge_strength(
        &self,
        user: UserId,
        rights: &Rights<'_>,
        evidence: &Evidence,
    ) -> Result<(), Denied> {
        if user == self.caller && !self.is_narrowed {
            return Ok(());
        }
        rights.need_to_hold(evidence.roles_of(user).flat_map(|role| &role.permissions))
    }
}

fn judge_gift<'a>(
    roles: impl IntoIterator<Item = &'a RoleId>,
    rights: &Rights<'_>,
    evidence: &Evidence,
) -> Result<(), Denied> {
    let held = rights.holdings();
    // One that was deleted since is not given.
    let mut roles = roles.into_iter().filter_map(|role| evidence.roles.get(role));
    match roles.find(|role| held.find_lacking(&role.permissions).is_some()) {
        None => Ok(()),
        Some(role) => Err(Denied::Role(role.name.to_string())),
    }
}

/// What an authority is judged by: rows that were read for it, of which none changes before the
/// judgement has been acted on.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Which of these roles the callers have, and which the other users.
    pub assigned: BTreeSet<(UserId, RoleId)>,
    /// The roles that there are.
    pub roles: BTreeMap<RoleId, Role>,
}

impl Evidence {
    fn has(&self, user: UserId, role: RoleId) -> bool {
        self.roles.contains_key(&role) && self.assigned.contains(&(user, role))
    }

    /// Lists the roles of a user.
    pub fn roles_of(&self, user: UserId) -> impl Iterator<Item = &Role> {
        self.roles.values().filter(move |role| self.assigned.contains(&(user, role.id)))
    }

    /// Finds a role by its name.
    #[must_use]
    pub fn find_role(&self, realm: &Realm, name: &RoleName) -> Option<&Role> {
        self.roles.values().find(|role| role.realm == *realm && role.name == *name)
    }
}

#[cfg(test)]
mod tests;
