//! Between the domain's records and the rows of the tables. Each destructures all fields, so that
//! a new one does not compile until it is kept.

use std::collections::BTreeSet;

use super::convert::{
    key_purpose_word, key_state_word, micros, password_text, read, read_key_purpose,
    read_key_state, read_token_kind, read_user_state, role_id, time, token_kind_word,
    user_state_word,
};
use super::entity::{grant, key, role, token, user};
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Generation, Realm, Role, RoleId, RoleName, User, UserId, Username};
use crate::domain::permission::Permission;
use crate::domain::profile::ProfileName;
use crate::domain::store::{Answer, KeyRow, KeyState, PasswordHash};
use crate::domain::token::{Grant, GrantId, KeyId, RoleChoice, Token, TokenDigest, TokenId};

/// Reads a user, with the roles that another table gives them.
pub(super) fn read_user(row: user::Model, roles: BTreeSet<RoleId>) -> Answer<User> {
    let user::Model {
        id,
        realm,
        username,
        username_key: _,
        display_name,
        password_hash: _,
        state,
        generation,
        created_at,
        updated_at,
    } = row;
    Ok(User {
        id: read("users.id", UserId::parse(&id))?,
        realm: read("users.realm", Realm::parse(&realm))?,
        username,
        display_name,
        state: read_user_state(&state)?,
        generation: Generation(generation),
        roles,
        created_at: Timestamp::from_micros(created_at),
        updated_at: Timestamp::from_micros(updated_at),
    })
}

/// Writes a user; their roles go to another table.
pub(super) fn user_row(
    user: &User,
    username: &Username,
    hash: Option<&PasswordHash>,
) -> user::Model {
    let User {
        id,
        realm,
        username: _,
        display_name,
        state,
        generation,
        roles: _,
        created_at,
        updated_at,
    } = user;
    user::Model {
        id: id.to_string(),
        realm: realm.to_string(),
        username: username.as_str().to_owned(),
        username_key: username.key().to_owned(),
        display_name: display_name.clone(),
        password_hash: password_text(hash),
        state: user_state_word(*state).to_owned(),
        generation: generation.0,
        created_at: created_at.micros(),
        updated_at: updated_at.micros(),
    }
}

/// Reads a role.
pub(super) fn read_role(row: role::Model) -> Answer<Role> {
    let role::Model { id, realm, name, description, permissions } = row;
    let texts: Vec<String> = read("roles.permissions", serde_json::from_str(&permissions))?;
    let permissions = texts.iter().map(|text| Permission::parse(text)).collect::<Result<_, _>>();
    Ok(Role {
        id: role_id(&id)?,
        realm: read("roles.realm", Realm::parse(&realm))?,
        name: read("roles.name", RoleName::parse(&name))?,
        description,
        permissions: read("roles.permissions", permissions)?,
    })
}

/// Writes a role.
pub(super) fn role_row(role: &Role) -> role::Model {
    let Role { id, realm, name, description, permissions } = role;
    let permissions: Vec<_> = permissions.iter().map(Permission::as_str).collect();
    role::Model {
        id: id.0.to_string(),
        realm: realm.to_string(),
        name: name.to_string(),
        description: description.clone(),
        permissions: serde_json::Value::from(permissions).to_string(),
    }
}

/// Reads a grant.
pub(super) fn read_grant(row: grant::Model) -> Answer<Grant> {
    let grant::Model { id, user_id, generation, created_at, expires_at, revoked_at } = row;
    Ok(Grant {
        id: read("grants.id", GrantId::parse(&id))?,
        user: read("grants.user_id", UserId::parse(&user_id))?,
        generation: Generation(generation),
        created_at: Timestamp::from_micros(created_at),
        expires_at: time(expires_at),
        revoked_at: time(revoked_at),
    })
}

/// Writes a grant.
pub(super) fn grant_row(grant: &Grant) -> grant::Model {
    let Grant { id, user, generation, created_at, expires_at, revoked_at } = grant;
    grant::Model {
        id: id.to_string(),
        user_id: user.to_string(),
        generation: generation.0,
        created_at: created_at.micros(),
        expires_at: micros(*expires_at),
        revoked_at: micros(*revoked_at),
    }
}

/// Reads a token. What a swap left in its row is read by [`super::refresh`].
pub(super) fn read_token(row: token::Model) -> Answer<Token> {
    let token::Model {
        id,
        user_id,
        grant_id,
        display_name,
        profile,
        kind,
        roles,
        digest,
        key_id,
        created_at,
        expires_at,
        revoked_at,
        last_used_at,
        swapped_at: _,
        successor_salt: _,
        successor_key_id: _,
        successor_id: _,
        parent_id,
    } = row;
    let digest = digest.map(<[u8; 32]>::try_from).transpose();
    let parent = parent_id.as_deref().map(TokenId::parse).transpose();
    Ok(Token {
        id: read("tokens.id", TokenId::parse(&id))?,
        user: read("tokens.user_id", UserId::parse(&user_id))?,
        grant: read("tokens.grant_id", GrantId::parse(&grant_id))?,
        display_name,
        profile: read("tokens.profile", ProfileName::parse(&profile))?,
        kind: read_token_kind(&kind)?,
        roles: read_role_choice(roles.as_deref())?,
        digest: read("tokens.digest", digest)?.map(TokenDigest::from_bytes),
        key: read("tokens.key_id", KeyId::parse(&key_id))?,
        created_at: Timestamp::from_micros(created_at),
        expires_at: time(expires_at),
        revoked_at: time(revoked_at),
        last_used_at: time(last_used_at),
        parent: read("tokens.parent_id", parent)?,
    })
}

/// Writes a token that was not swapped.
pub(super) fn token_row(token: &Token) -> token::Model {
    let Token {
        id,
        user,
        grant,
        display_name,
        profile,
        kind,
        roles,
        digest,
        key,
        created_at,
        expires_at,
        revoked_at,
        last_used_at,
        parent,
    } = token;
    token::Model {
        id: id.to_string(),
        user_id: user.to_string(),
        grant_id: grant.to_string(),
        display_name: display_name.clone(),
        profile: profile.to_string(),
        kind: token_kind_word(*kind).to_owned(),
        roles: role_choice_text(roles),
        digest: digest.map(|digest| digest.as_bytes().to_vec()),
        key_id: key.to_string(),
        created_at: created_at.micros(),
        expires_at: micros(*expires_at),
        revoked_at: micros(*revoked_at),
        last_used_at: micros(*last_used_at),
        swapped_at: None,
        successor_salt: None,
        successor_key_id: None,
        successor_id: None,
        parent_id: parent.as_ref().map(TokenId::to_string),
    }
}

fn read_role_choice(text: Option<&str>) -> Answer<RoleChoice> {
    let Some(text) = text else { return Ok(RoleChoice::Inherit) };
    let ids: Vec<String> = read("tokens.roles", serde_json::from_str(text))?;
    let ids: Vec<_> = ids.iter().map(|id| role_id(id)).collect::<Answer<_>>()?;
    Ok(RoleChoice::only(ids))
}

fn role_choice_text(roles: &RoleChoice) -> Option<String> {
    match roles {
        RoleChoice::Inherit => None,
        RoleChoice::Only(ids) => {
            let ids: Vec<_> = ids.iter().map(|id| id.0.to_string()).collect();
            Some(serde_json::Value::from(ids).to_string())
        }
    }
}

/// Reads a key.
pub(super) fn read_key(row: key::Model) -> Answer<KeyRow> {
    let key::Model {
        id,
        purpose,
        profile,
        algorithm,
        state,
        active_for: _,
        sealed,
        created_at,
        retired_at,
    } = row;
    Ok(KeyRow {
        id: read("keys.id", KeyId::parse(&id))?,
        purpose: read_key_purpose(&purpose)?,
        profile,
        algorithm,
        state: read_key_state(&state)?,
        sealed,
        created_at: Timestamp::from_micros(created_at),
        retired_at: time(retired_at),
    })
}

/// Writes a key.
pub(super) fn key_row(key: &KeyRow) -> key::Model {
    let KeyRow { id, purpose, profile, algorithm, state, sealed, created_at, retired_at } = key;
    let purpose = key_purpose_word(*purpose);
    let active = matches!(state, KeyState::Active);
    key::Model {
        id: id.to_string(),
        purpose: purpose.to_owned(),
        profile: profile.clone(),
        algorithm: algorithm.clone(),
        state: key_state_word(*state).to_owned(),
        active_for: active.then(|| format!("{purpose} {profile}")),
        sealed: sealed.clone(),
        created_at: created_at.micros(),
        retired_at: micros(*retired_at),
    }
}
