//! Tokens, as answers show them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::pb::{IssuedToken, Token};
use crate::rest::timestamp;

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct EpilotNewToken {
    /// The secret of the token, which no other answer tells.
    #[schema(pattern = "^tkd_[A-Za-z0-9]{43}$")]
    token: String,
    #[serde(flatten)]
    item: EpilotToken,
}

/// What a token is.
#[derive(Serialize, ToSchema)]
pub(super) struct EpilotToken {
    /// What the token is known by. Not a secret.
    #[schema(pattern = "^api_[A-Za-z0-9_-]{21}$")]
    id: String,
    /// When it was made.
    #[schema(example = "2019-08-24T14:15:22Z")]
    created_at: String,
    /// What its owner called it.
    name: String,
    /// The roles that it carries now.
    assignments: Vec<String>,
    /// When it ends; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2019-09-23T14:15:22.000Z")]
    expires_at: Option<String>,
}

impl EpilotNewToken {
    /// Shows a token with its secret; `None` where the server left out what the contract promises.
    pub(super) fn of(issued: IssuedToken) -> Option<Self> {
        let IssuedToken { token, secret } = issued;
        Some(Self { token: secret, item: EpilotToken::of(token?)? })
    }
}

impl EpilotToken {
    /// Shows a token; `None` where the server left out what the contract promises.
    pub(super) fn of(token: Token) -> Option<Self> {
        let Token {
            id,
            user_id: _,
            grant_id: _,
            display_name: name,
            profile: _,
            kind: _,
            role_ids: assignments,
            inherits_roles: _,
            state: _,
            create_time,
            expire_time,
            revoke_time: _,
            last_use_time: _,
            parent_id: _,
        } = token;
        let created_at = timestamp::seconds(create_time.as_ref()?)?;
        let expires_at = match &expire_time {
            Some(time) => Some(timestamp::milliseconds(time)?),
            None => None,
        };
        Some(Self { id, created_at, name, assignments, expires_at })
    }
}
