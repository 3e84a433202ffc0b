//! Users: made, found, changed and removed. Nobody gives away what they do not hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::SecretString;

use super::caller::{AuditOf, Caller};
use super::calls::{
    CreateUser, FinalNewline, NewPassword, Origin, Page, PageRequest, PasswordCredential,
    SetPassword, SetUserRoles, UpdateUser, UserTarget, UserView, Wait,
};
use super::core::Core;
use super::error::{Error, Faults};
use super::identity::{
    Generation, Realm, Role, RoleId, RoleName, User, UserId, UserState, Username, parse_text,
};
use super::issue::read_role_names;
use super::password::{self, Password};
use super::sign_in::{CredentialPlace, PasswordCheck};
use super::store::{Inserted, NamePage, NewUser, PasswordHash, PasswordUpdate, UserUpdate};

/// A way to sign in that was read.
enum Credential {
    None,
    Plain(Password),
    Hash(PasswordHash),
}

impl Core {
    /// Makes a user.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::AlreadyExists`], [`Error::RoleNotFound`],
    /// [`Error::PermissionMissing`], [`Error::Busy`], [`Error::Unavailable`]; what proves the
    /// caller.
    pub async fn create_user(
        &self,
        origin: &Origin,
        request: CreateUser,
    ) -> Result<UserView, Error> {
        let CreateUser { realm, username, display_name, password, roles } = request;
        let mut faults = Faults::default();
        let realm = self.settings.profiles.realm(&realm).map_err(|f| faults.push(f)).ok();
        let username = faults.take("username", Username::parse(&username));
        let display_name = faults.take("display_name", parse_text(&display_name));
        let password = read_credential(&mut faults, &password);
        let roles = read_role_names(&mut faults, "role_ids", &roles);
        faults.finish()?;
        let (Some(realm), Some(username), Some(display_name), Some(password)) =
            (realm, username, display_name, password)
        else {
            return Err(Error::internal("a fault was not named"));
        };
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, "user:create")?;
        let password_hash = self.hash_credential(origin, password).await?;
        let caller = self.caller_now(origin, caller).await?;
        caller.need_in(&realm, "user:create")?;
        let roles = self.roles_to_give(&caller, &realm, (&roles, &BTreeSet::new())).await?;
        let now = self.now();
        let user = User {
            id: UserId(self.random.uuid(now)?),
            realm,
            username: username.as_str().to_owned(),
            display_name,
            state: UserState::Active,
            generation: Generation(1),
            roles: roles.iter().map(|role| role.id).collect(),
            created_at: now,
            updated_at: now,
        };
        let order = self.order(&caller, origin, AuditOf::new("user.create", &user.realm, &user.id));
        let new = NewUser { user: user.clone(), username, password_hash };
        let store = Arc::clone(&self.store);
        let inserted = self
            .knowledge
            .commit(Wait::Skip, async move { store.insert_user(&new, &order).await })
            .await?;
        match inserted {
            Inserted::Done => self.user_view(user).await,
            Inserted::NameTaken => Err(Error::AlreadyExists),
        }
    }

    /// Finds a user: oneself, or anyone with `user:read`.
    ///
    /// # Errors
    /// [`Error::UserNotFound`], [`Error::PermissionMissing`], [`Error::Invalid`],
    /// [`Error::Unavailable`]; what proves the caller.
    pub async fn get_user(&self, origin: &Origin, target: UserTarget) -> Result<UserView, Error> {
        let id = match target {
            UserTarget::Missing => return Err(Error::field("target", "must be set")),
            UserTarget::Id(id) => {
                Ok(UserId::parse(&id).map_err(|fault| Error::field("user_id", fault))?)
            }
            UserTarget::Name { realm, username } => {
                let realm = self
                    .settings
                    .profiles
                    .realm(&realm)
                    .map_err(|field| Error::field("name.realm", field.fault))?;
                let name = Username::parse(&username)
                    .map_err(|fault| Error::field("name.username", fault))?;
                Err((realm, name))
            }
        };
        let caller = self.caller(origin).await?;
        let id = match id {
            Ok(id) => id,
            Err((realm, name)) => {
                let found = self.store.find_user_by_name(&realm, &name).await?;
                if found.is_none() {
                    // Without the permission nobody learns who exists.
                    caller.need("user:read")?;
                }
                found.ok_or(Error::UserNotFound)?.id
            }
        };
        let user = self.owner(&caller, id, "user:read").await?;
        self.user_view(user).await
    }

    /// Lists a realm's users by name.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Invalid`], [`Error::Unavailable`]; what proves the
    /// caller.
    pub async fn list_users(
        &self,
        origin: &Origin,
        realm: &str,
        page: PageRequest,
    ) -> Result<Page<UserView>, Error> {
        let realm = self.settings.profiles.realm(realm)?;
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, "user:read")?;
        let scope = format!("users {realm}");
        let start = self.read_page(&page, &scope)?;
        let query = NamePage { realm, after: start.after.clone(), limit: start.limit() };
        let found = self.store.list_users(&query).await?;
        let page = self.page(found, &start, &scope, |(name, _)| name.key().to_owned())?;
        let mut items = Vec::with_capacity(page.items.len());
        for (_, user) in page.items {
            items.push(self.user_view(user).await?);
        }
        Ok(Page { items, next: page.next })
    }

    /// Changes a user's state or display name.
    ///
    /// # Errors
    /// As [`Self::get_user`].
    pub async fn update_user(
        &self,
        origin: &Origin,
        request: UpdateUser,
    ) -> Result<UserView, Error> {
        let UpdateUser { user, state, display_name, wait } = request;
        let mut faults = Faults::default();
        let display_name =
            display_name.and_then(|text| faults.take("display_name", parse_text(&text)));
        let id = faults.take("user_id", UserId::parse(&user));
        faults.finish()?;
        let id = id.ok_or(Error::UserNotFound)?;
        let (caller, user) = self.managed(origin, id, "user:update").await?;
        let order = self.order(&caller, origin, AuditOf::new("user.update", &user.realm, &id));
        let update = UserUpdate { id, state, display_name, at: self.now() };
        let store = Arc::clone(&self.store);
        let user = self
            .knowledge
            .commit(wait, async move { store.update_user(&update, &order).await })
            .await?
            .ok_or(Error::UserNotFound)?;
        self.user_view(user).await
    }

    /// Lifts the locks of a user.
    ///
    /// # Errors
    /// As [`Self::get_user`].
    pub async fn unlock_user(&self, origin: &Origin, user: &str) -> Result<(), Error> {
        let id = UserId::parse(user).map_err(|fault| Error::field("user_id", fault))?;
        let (caller, user) = self.managed(origin, id, "user:unlock").await?;
        let order = self.order(&caller, origin, AuditOf::new("user.unlock", &user.realm, &id));
        let store = Arc::clone(&self.store);
        self.knowledge.commit(Wait::Skip, async move { store.unlock_user(id, &order).await }).await
    }

    /// Sets a password and ends the user's grants. Answers how many.
    ///
    /// # Errors
    /// As [`Self::get_user`]; [`Error::BadCredentials`] where the old password is wrong.
    pub async fn set_password(&self, origin: &Origin, request: SetPassword) -> Result<u32, Error> {
        let SetPassword { user, password, old_password, personal_tokens, wait } = request;
        let mut faults = Faults::default();
        let password = read_credential(&mut faults, &password);
        faults.finish()?;
        let password = password.ok_or_else(|| Error::internal("a fault was not named"))?;
        let caller = self.caller(origin).await?;
        let user = self.owner_or_caller(&caller, &user, "user:set-password").await?;
        if matches!(password, Credential::Hash(_)) {
            // Each sign-in pays what the hash costs: not for everybody to choose.
            caller.need("user:set-password")?;
        }
        if caller.is(user.id) {
            self.prove_old_password(origin, &user, old_password).await?;
        } else {
            self.need_all_of(&caller, &user).await?;
        }
        let password_hash = self.hash_credential(origin, password).await?;
        let caller = self.caller_now(origin, caller).await?;
        if !caller.is(user.id) {
            caller.need("user:set-password")?;
            self.need_all_of(&caller, &user).await?;
        }
        let order =
            self.order(&caller, origin, AuditOf::new("user.set-password", &user.realm, &user.id));
        let update =
            PasswordUpdate { user: user.id, password_hash, personal_tokens, at: self.now() };
        let store = Arc::clone(&self.store);
        self.knowledge
            .commit(wait, async move { store.set_password(&update, &order).await })
            .await?
            .ok_or(Error::UserNotFound)
    }

    async fn prove_old_password(
        &self,
        origin: &Origin,
        user: &User,
        password: SecretString,
    ) -> Result<(), Error> {
        let credential = PasswordCredential {
            realm: String::new(),
            username: user.username.clone(),
            password,
            final_newline: FinalNewline::Keep,
            profile: String::new(),
        };
        let (realm, place) = (user.realm.clone(), CredentialPlace::Metadata);
        let check = PasswordCheck { realm, place, lockout: self.settings.lockout };
        self.prove_password(origin, &credential, check).await.map(drop)
    }

    /// Whoever sets a user's password can sign in as them: the caller must hold all that they do.
    async fn need_all_of(&self, caller: &Caller, user: &User) -> Result<(), Error> {
        let view = self.knowledge.view().await?;
        let roles = self.roles(&view, user.roles.iter().copied()).await?;
        caller.need_to_hold(roles.iter().flat_map(|role| &role.permissions))
    }

    /// Removes a user with all of their tokens.
    ///
    /// # Errors
    /// As [`Self::get_user`].
    pub async fn delete_user(&self, origin: &Origin, user: &str, wait: Wait) -> Result<(), Error> {
        let id = UserId::parse(user).map_err(|fault| Error::field("user_id", fault))?;
        let (caller, user) = match self.managed(origin, id, "user:delete").await {
            // Whoever deleted them may have died before all had heard of it.
            Err(Error::UserNotFound) => {
                self.knowledge.catch_up(wait).await?;
                self.managed(origin, id, "user:delete").await?
            }
            managed => managed?,
        };
        let order = self.order(&caller, origin, AuditOf::new("user.delete", &user.realm, &id));
        let store = Arc::clone(&self.store);
        let was_there =
            self.knowledge.commit(wait, async move { store.delete_user(id, &order).await }).await?;
        if was_there { Ok(()) } else { Err(Error::UserNotFound) }
    }

    /// Sets which roles a user has.
    ///
    /// # Errors
    /// As [`Self::get_user`]; [`Error::RoleNotFound`].
    pub async fn set_user_roles(
        &self,
        origin: &Origin,
        request: SetUserRoles,
    ) -> Result<UserView, Error> {
        let SetUserRoles { user, roles, wait } = request;
        let mut faults = Faults::default();
        let roles = read_role_names(&mut faults, "role_ids", &roles);
        let id = faults.take("user_id", UserId::parse(&user));
        faults.finish()?;
        let id = id.ok_or(Error::UserNotFound)?;
        let (caller, user) = self.managed(origin, id, "user:set-roles").await?;
        let roles = self.roles_to_give(&caller, &user.realm, (&roles, &user.roles)).await?;
        let order = self.order(&caller, origin, AuditOf::new("user.set-roles", &user.realm, &id));
        let ids: BTreeSet<RoleId> = roles.iter().map(|role| role.id).collect();
        let store = Arc::clone(&self.store);
        let user = self
            .knowledge
            .commit(wait, async move { store.set_user_roles(id, &ids, &order).await })
            .await?
            .ok_or(Error::UserNotFound)?;
        self.user_view(user).await
    }

    /// Lets the caller act on a user by permission; it does not help that it is themselves.
    async fn managed(
        &self,
        origin: &Origin,
        id: UserId,
        permission: &'static str,
    ) -> Result<(Caller, User), Error> {
        let caller = self.caller(origin).await?;
        caller.need(permission)?;
        let user = self.store.find_user(id).await?.ok_or(Error::UserNotFound)?;
        if !caller.reaches(&user.realm) {
            return Err(Error::UserNotFound);
        }
        Ok((caller, user))
    }

    /// Finds roles by name; of those that are new to the user, the caller must hold all that they
    /// grant.
    async fn roles_to_give(
        &self,
        caller: &Caller,
        realm: &Realm,
        (names, had): (&BTreeSet<RoleName>, &BTreeSet<RoleId>),
    ) -> Result<Vec<Role>, Error> {
        let roles = self.store.find_roles(realm, names).await?;
        if let Some(lacking) = names.iter().find(|name| roles.iter().all(|r| r.name != **name)) {
            return Err(Error::RoleNotFound(lacking.to_string()));
        }
        for role in roles.iter().filter(|role| !had.contains(&role.id)) {
            caller
                .need_to_hold(&role.permissions)
                .map_err(|_| Error::RoleNotHeld(role.name.to_string()))?;
        }
        Ok(roles)
    }

    async fn hash_credential(
        &self,
        origin: &Origin,
        credential: Credential,
    ) -> Result<Option<PasswordHash>, Error> {
        match credential {
            Credential::None => Ok(None),
            Credential::Hash(hash) => Ok(Some(hash)),
            Credential::Plain(password) => self.hash_password(origin, password).await.map(Some),
        }
    }

    pub(super) async fn get_user_by_id(&self, path: &str, id: &str) -> Result<User, Error> {
        let id = UserId::parse(id).map_err(|fault| Error::field(path, fault))?;
        self.store.find_user(id).await?.ok_or(Error::UserNotFound)
    }

    /// A user with the names of their roles.
    pub(super) async fn user_view(&self, user: User) -> Result<UserView, Error> {
        let view = self.knowledge.view().await?;
        let roles = self.roles(&view, user.roles.iter().copied()).await?;
        Ok(UserView { roles: super::accepted::sorted_names(&roles), user })
    }
}

fn read_credential(faults: &mut Faults, password: &NewPassword) -> Option<Credential> {
    match password {
        NewPassword::None => Some(Credential::None),
        NewPassword::Plain(text) => {
            faults.take("password", Password::parse(text)).map(Credential::Plain)
        }
        NewPassword::Hash(text) => {
            faults.take("password_hash", password::import(text)).map(Credential::Hash)
        }
    }
}
