//! Users: made, found, changed and removed. Nobody gives away what they do not hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::SecretString;

use super::authority::Need;
use super::caller::{Caller, Intent};
use super::calls::{
    CreateUser, FinalNewline, NewPassword, Origin, Page, PageRequest, PasswordCredential,
    SetPassword, SetUserRoles, UpdateUser, UserTarget, UserView, Wait,
};
use super::core::Core;
use super::error::{Error, Faults};
use super::identity::{
    Generation, Realm, RoleId, RoleName, User, UserId, UserState, Username, parse_text,
};
use super::issue::read_role_names;
use super::password::{self, Password};
use super::sign_in::{CredentialPlace, PasswordCheck};
use super::store::{Inserted, NamePage, NewUser, PasswordHash, PasswordUpdate, UserUpdate};

const CREATE: &str = "user:create";
const UPDATE: &str = "user:update";
const UNLOCK: &str = "user:unlock";
const SET_PASSWORD: &str = "user:set-password";
const DELETE: &str = "user:delete";
const SET_ROLES: &str = "user:set-roles";

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
        let username = faults
            .take("username", Username::parse(&username))
            .and_then(|name| faults.take("username", name.check_new().map(|()| name)));
        let display_name = faults.take("display_name", parse_text(&display_name));
        let password = self.read_credential(&mut faults, &password);
        let roles = read_role_names(&mut faults, "role_ids", &roles);
        faults.finish()?;
        let (Some(realm), Some(username), Some(display_name), Some(password)) =
            (realm, username, display_name, password)
        else {
            return Err(Error::internal("a fault was not named"));
        };
        let caller = self.caller(origin).await?;
        caller.need_in(&realm, CREATE)?;
        let password_hash = self.hash_credential(origin, password).await?;
        let caller = self.caller_now(origin, caller).await?;
        caller.need_in(&realm, CREATE)?;
        let roles = self.find_roles(&realm, &roles).await?;
        let needs = vec![Need::permission(CREATE, &realm), Need::Give(roles.clone())];
        let now = self.now();
        let user = User {
            id: UserId(self.random.uuid(now)?),
            realm,
            username: username.as_str().to_owned(),
            display_name,
            state: UserState::Active,
            generation: Generation(1),
            roles,
            created_at: now,
            updated_at: now,
        };
        let intent = Intent::new("user.create", &user.realm, &user.id, needs);
        let order = self.order(&caller, origin, intent);
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
    /// As [`Self::get_user`]; [`Error::PermissionMissing`], too, for what the user holds and the
    /// caller does not.
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
        let (caller, user) = self.managed(origin, id, UPDATE).await?;
        let order = self.order(&caller, origin, to_manage("user.update", &user, UPDATE));
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
    /// As [`Self::update_user`].
    pub async fn unlock_user(&self, origin: &Origin, user: &str) -> Result<(), Error> {
        let id = UserId::parse(user).map_err(|fault| Error::field("user_id", fault))?;
        let (caller, user) = self.managed(origin, id, UNLOCK).await?;
        let order = self.order(&caller, origin, to_manage("user.unlock", &user, UNLOCK));
        let store = Arc::clone(&self.store);
        self.knowledge.commit(Wait::Skip, async move { store.unlock_user(id, &order).await }).await
    }

    /// Sets a password and ends the user's grants. Answers how many.
    ///
    /// # Errors
    /// As [`Self::update_user`]; [`Error::BadCredentials`] where the old password is wrong.
    pub async fn set_password(&self, origin: &Origin, request: SetPassword) -> Result<u32, Error> {
        let SetPassword { user, password, old_password, personal_tokens, wait } = request;
        let mut faults = Faults::default();
        let password = self.read_credential(&mut faults, &password);
        faults.finish()?;
        let password = password.ok_or_else(|| Error::internal("a fault was not named"))?;
        let imported = matches!(password, Credential::Hash(_));
        let caller = self.caller(origin).await?;
        let user = self.owner_or_caller(&caller, &user, SET_PASSWORD).await?;
        if imported {
            // Each sign-in pays what the hash costs: not for everybody to choose.
            caller.need(SET_PASSWORD)?;
        }
        if caller.is(user.id) {
            self.prove_old_password(origin, &user, old_password).await?;
        } else {
            // Before the hash is paid for.
            self.need_all_of(&caller, &user).await?;
        }
        let password_hash = self.hash_credential(origin, password).await?;
        let caller = self.caller_now(origin, caller).await?;
        let missing = || Error::PermissionMissing(SET_PASSWORD.to_owned());
        let mut needs = caller.needs_to_touch(&user, SET_PASSWORD).ok_or_else(missing)?;
        if imported {
            needs.push(Need::permission(SET_PASSWORD, &user.realm));
        }
        if !caller.is(user.id) {
            needs.push(Need::Manage(user.id));
        }
        let intent = Intent::new("user.set-password", &user.realm, &user.id, needs);
        let order = self.order(&caller, origin, intent);
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
    /// As [`Self::update_user`].
    pub async fn delete_user(&self, origin: &Origin, user: &str, wait: Wait) -> Result<(), Error> {
        let id = UserId::parse(user).map_err(|fault| Error::field("user_id", fault))?;
        let (caller, user) = match self.managed(origin, id, DELETE).await {
            // Whoever deleted them may have died before all had heard of it.
            Err(Error::UserNotFound) => {
                self.knowledge.catch_up(wait).await?;
                self.managed(origin, id, DELETE).await?
            }
            managed => managed?,
        };
        let order = self.order(&caller, origin, to_manage("user.delete", &user, DELETE));
        let store = Arc::clone(&self.store);
        let was_there =
            self.knowledge.commit(wait, async move { store.delete_user(id, &order).await }).await?;
        if was_there { Ok(()) } else { Err(Error::UserNotFound) }
    }

    /// Sets which roles a user has. Where these are the roles that they have, nothing is done, and
    /// that takes no more than the permission.
    ///
    /// # Errors
    /// As [`Self::update_user`]; [`Error::RoleNotFound`]; [`Error::RoleNotHeld`] for a role that is
    /// new to the user and grants what the caller does not hold.
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
        let (caller, user) = self.managed(origin, id, SET_ROLES).await?;
        let ids = self.find_roles(&user.realm, &roles).await?;
        let needs = vec![Need::permission(SET_ROLES, &user.realm), Need::SetRoles(id, ids.clone())];
        let order =
            self.order(&caller, origin, Intent::new("user.set-roles", &user.realm, &id, needs));
        let store = Arc::clone(&self.store);
        let user = self
            .knowledge
            .commit(wait, async move { store.set_user_roles(id, &ids, &order).await })
            .await?
            .ok_or(Error::UserNotFound)?;
        self.user_view(user).await
    }

    /// Lets the caller act on a user by permission; it does not help that it is themselves. Whether
    /// the user is stronger than the caller is judged with the rest of [`to_manage`].
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

    /// Finds roles by name.
    async fn find_roles(
        &self,
        realm: &Realm,
        names: &BTreeSet<RoleName>,
    ) -> Result<BTreeSet<RoleId>, Error> {
        let roles = self.store.find_roles(realm, names).await?;
        match names.iter().find(|name| roles.iter().all(|role| role.name != **name)) {
            None => Ok(roles.into_iter().map(|role| role.id).collect()),
            Some(lacking) => Err(Error::RoleNotFound(lacking.to_string())),
        }
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

    fn read_credential(&self, faults: &mut Faults, password: &NewPassword) -> Option<Credential> {
        match password {
            NewPassword::None => Some(Credential::None),
            NewPassword::Plain(text) => {
                faults.take("password", Password::parse(text)).map(Credential::Plain)
            }
            NewPassword::Hash(text) => {
                let hash = password::import(text, self.settings.dearest_hash);
                faults.take("password_hash", hash).map(Credential::Hash)
            }
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

/// To act on a user, who must be no stronger than the caller: one rule for all that manages users.
fn to_manage(action: &'static str, user: &User, permission: &'static str) -> Intent {
    let needs = vec![Need::permission(permission, &user.realm), Need::Manage(user.id)];
    Intent::new(action, &user.realm, &user.id, needs)
}
