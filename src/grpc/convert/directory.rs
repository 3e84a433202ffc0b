//! The messages of `DirectoryService`.

use crate::domain::calls::{
    CreateUser, NewPassword, Page, PutRole, RoleView, SetPassword, SetUserRoles, UpdateUser,
    UserTarget, UserView,
};
use crate::domain::error::Error;
use crate::domain::identity::{User, UserState};
use crate::domain::store::PersonalTokens;
use crate::pb;

use super::{names, time, wait};

impl From<pb::CreateUserRequest> for CreateUser {
    fn from(request: pb::CreateUserRequest) -> Self {
        use pb::create_user_request::Credential as Sent;
        let pb::CreateUserRequest { realm, username, display_name, credential, role_ids } = request;
        let password = match credential {
            None => NewPassword::None,
            Some(Sent::Password(password)) => NewPassword::Plain(password.into()),
            Some(Sent::PasswordHash(hash)) => NewPassword::Hash(hash.into()),
        };
        Self { realm, username, display_name, password, roles: role_ids }
    }
}

impl From<pb::GetUserRequest> for UserTarget {
    fn from(request: pb::GetUserRequest) -> Self {
        use pb::get_user_request::Target as Sent;
        let pb::GetUserRequest { target } = request;
        match target {
            None => Self::Missing,
            Some(Sent::UserId(id)) => Self::Id(id),
            Some(Sent::Name(pb::UserName { realm, username })) => Self::Name { realm, username },
        }
    }
}

impl TryFrom<pb::UpdateUserRequest> for UpdateUser {
    type Error = Error;

    fn try_from(request: pb::UpdateUserRequest) -> Result<Self, Error> {
        let pb::UpdateUserRequest { user_id, state, display_name, skip_wait } = request;
        let state = match pb::UserState::try_from(state) {
            Ok(pb::UserState::Unspecified) => None,
            Ok(pb::UserState::Active) => Some(UserState::Active),
            Ok(pb::UserState::Disabled) => Some(UserState::Disabled),
            Err(_) => return Err(Error::field("state", "is not a state of a user")),
        };
        Ok(Self { user: user_id, state, display_name, wait: wait(skip_wait) })
    }
}

impl From<pb::SetPasswordRequest> for SetPassword {
    fn from(request: pb::SetPasswordRequest) -> Self {
        use pb::set_password_request::Credential as Sent;
        let pb::SetPasswordRequest {
            user_id,
            credential,
            old_password,
            keep_personal_tokens,
            skip_wait,
        } = request;
        let password = match credential {
            None => NewPassword::None,
            Some(Sent::Password(password)) => NewPassword::Plain(password.into()),
            Some(Sent::PasswordHash(hash)) => NewPassword::Hash(hash.into()),
        };
        let personal_tokens =
            if keep_personal_tokens { PersonalTokens::Keep } else { PersonalTokens::Revoke };
        Self {
            user: user_id,
            password,
            old_password: old_password.into(),
            personal_tokens,
            wait: wait(skip_wait),
        }
    }
}

impl From<pb::SetUserRolesRequest> for SetUserRoles {
    fn from(request: pb::SetUserRolesRequest) -> Self {
        let pb::SetUserRolesRequest { user_id, role_ids, skip_wait } = request;
        Self { user: user_id, roles: role_ids, wait: wait(skip_wait) }
    }
}

impl TryFrom<pb::PutRoleRequest> for PutRole {
    type Error = Error;

    fn try_from(request: pb::PutRoleRequest) -> Result<Self, Error> {
        let pb::PutRoleRequest { role, skip_wait } = request;
        let pb::Role { realm, id, description, permissions } =
            role.ok_or_else(|| Error::field("role", "must be set"))?;
        Ok(Self { realm, name: id, description, permissions, wait: wait(skip_wait) })
    }
}

impl From<UserView> for pb::User {
    fn from(view: UserView) -> Self {
        let UserView { user, roles } = view;
        // The roles are in the view by name; the generation is no business of a client's.
        let User {
            id,
            realm,
            username,
            display_name,
            state,
            generation: _,
            roles: _,
            created_at,
            updated_at,
        } = user;
        Self {
            id: id.to_string(),
            realm: realm.as_str().to_owned(),
            username,
            display_name,
            state: pb::UserState::from(state).into(),
            role_ids: names(roles),
            create_time: Some(time(created_at)),
            update_time: Some(time(updated_at)),
        }
    }
}

impl From<UserState> for pb::UserState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Active => Self::Active,
            UserState::Disabled => Self::Disabled,
        }
    }
}

impl From<RoleView> for pb::Role {
    fn from(role: RoleView) -> Self {
        let RoleView { realm, name, description, permissions } = role;
        Self {
            realm: realm.as_str().to_owned(),
            id: name.as_str().to_owned(),
            description,
            permissions: permissions.iter().map(|p| p.as_str().to_owned()).collect(),
        }
    }
}

impl From<Page<UserView>> for pb::ListUsersResponse {
    fn from(page: Page<UserView>) -> Self {
        let Page { items, next } = page;
        Self { users: items.into_iter().map(Into::into).collect(), next_page_token: next }
    }
}

impl From<Page<RoleView>> for pb::ListRolesResponse {
    fn from(page: Page<RoleView>) -> Self {
        let Page { items, next } = page;
        Self { roles: items.into_iter().map(Into::into).collect(), next_page_token: next }
    }
}
