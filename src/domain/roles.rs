//! Roles: put, removed and listed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::authority::Need;
use super::caller::Intent;
use super::calls::{Origin, Page, PageRequest, PutRole, RoleView, Wait};
use super::core::Core;
use super::error::{Error, Faults};
use super::identity::{Role, RoleId, RoleName, parse_text};
use super::permission::{Permission, PermissionSet};
use super::store::NamePage;

const PUT: &str = "role:put";
const DELETE: &str = "role:delete";

/// The most permissions of one role.
const MOST_PERMISSIONS: usize = 1000;

impl Core {
    /// Makes a role, or sets what it grants.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::PermissionMissing`], also for a permission that the caller does
    /// not hold and that the role is to grant, or granted before; [`Error::Unavailable`]; what
    /// proves the caller.
    pub async fn put_role(&self, origin: &Origin, request: PutRole) -> Result<RoleView, Error> {
        let PutRole { realm, name, description, permissions, wait } = request;
        let mut faults = Faults::default();
        let realm = self.settings.profiles.realm(&realm).map_err(|fault| {
            faults.add("role.realm", fault.fault);
        });
        let name = faults.take("role.id", RoleName::parse(&name));
        let description = faults.take("role.description", parse_text(&description));
        let permissions = read_permissions(&mut faults, &permissions);
        faults.finish()?;
        let (Ok(realm), Some(name), Some(description)) = (realm, name, description) else {
            return Err(Error::internal("a fault was not named"));
        };
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, PUT)?;
        let needs = vec![
            Need::permission(PUT, &realm),
            Need::Hold(permissions.clone()),
            Need::ChangeRole(realm.clone(), name.clone()),
        ];
        let id = RoleId(self.random.uuid(self.now())?);
        let order = self.order(&caller, origin, Intent::new("role.put", &realm, &name, needs));
        let role = Role { id, realm, name, description, permissions };
        let store = Arc::clone(&self.store);
        let role =
            self.knowledge.commit(wait, async move { store.put_role(&role, &order).await }).await?;
        Ok(role_view(role))
    }

    /// Removes a role from all who have it.
    ///
    /// # Errors
    /// [`Error::RoleNotFound`]; [`Error::PermissionMissing`], also for a permission that the role
    /// grants and the caller does not hold; [`Error::Invalid`], [`Error::Unavailable`]; what proves
    /// the caller.
    pub async fn delete_role(
        &self,
        origin: &Origin,
        realm: &str,
        name: &str,
        wait: Wait,
    ) -> Result<(), Error> {
        let mut faults = Faults::default();
        let realm = self.settings.profiles.realm(realm).map_err(|fault| faults.push(fault));
        let name = faults.take("role_id", RoleName::parse(name));
        faults.finish()?;
        let (Ok(realm), Some(name)) = (realm, name) else {
            return Err(Error::internal("a fault was not named"));
        };
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, DELETE)?;
        let needs =
            vec![Need::permission(DELETE, &realm), Need::ChangeRole(realm.clone(), name.clone())];
        let order = self.order(&caller, origin, Intent::new("role.delete", &realm, &name, needs));
        let (store, gone) = (Arc::clone(&self.store), name.clone());
        let was_there = self
            .knowledge
            .commit(wait, async move { store.delete_role(&realm, &name, &order).await })
            .await?;
        if was_there { Ok(()) } else { Err(Error::RoleNotFound(gone.to_string())) }
    }

    /// Lists a realm's roles by name.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Invalid`], [`Error::Unavailable`]; what proves the
    /// caller.
    pub async fn list_roles(
        &self,
        origin: &Origin,
        realm: &str,
        page: PageRequest,
    ) -> Result<Page<RoleView>, Error> {
        let realm = self.settings.profiles.realm(realm)?;
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, "role:read")?;
        let scope = format!("roles {realm}");
        let start = self.read_page(&page, &scope)?;
        let query = NamePage { realm, after: start.after.clone(), limit: start.limit() };
        let found = self.store.list_roles(&query).await?;
        let page = self.page(found, &start, &scope, |role| role.name.to_string())?;
        Ok(Page { items: page.items.into_iter().map(role_view).collect(), next: page.next })
    }
}

fn read_permissions(faults: &mut Faults, texts: &[String]) -> PermissionSet {
    let mut permissions = BTreeSet::new();
    if texts.len() > MOST_PERMISSIONS {
        faults.add("role.permissions", "must be at most 1000");
    }
    for (n, text) in texts.iter().take(MOST_PERMISSIONS).enumerate() {
        let path = format!("role.permissions[{n}]");
        if let Some(permission) = faults.take(&path, Permission::parse(text))
            && !permissions.insert(permission)
        {
            faults.add(path, "must not come twice");
        }
    }
    permissions.into_iter().collect()
}

pub(super) fn role_view(role: Role) -> RoleView {
    let Role { id: _, realm, name, description, permissions } = role;
    RoleView { realm, name, description, permissions: permissions.into_iter().collect() }
}
