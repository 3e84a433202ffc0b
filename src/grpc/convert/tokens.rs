//! The messages of `TokenService`.

use crate::domain::calls::{
    Bearer, CallerView, Check, CreateFor, CreateToken, Created, Credential, DenyReason,
    FinalNewline, Issued, Lifetime, ListTokens, OnRefused, Page, PageRequest, PasswordCredential,
    Refresh, Refreshed, Revoke, RevokeOutcome, Target, TokenSummary, TokenView, Verdict,
};
use crate::domain::error::{Error, Faults, Field};
use crate::domain::token::{Secret, TokenKind, TokenState};
use crate::pb;

use super::{count, names, read_duration, read_time, time, wait};

impl TryFrom<pb::CreateTokenRequest> for CreateToken {
    type Error = Error;

    fn try_from(request: pb::CreateTokenRequest) -> Result<Self, Error> {
        let pb::CreateTokenRequest { credential, profile, display_name, lifetime, roles } = request;
        Ok(Self {
            credential: credential.map_or(CreateFor::Caller, Into::into),
            profile,
            display_name,
            lifetime: lifetime.map_or(Ok(Lifetime::Default), read_lifetime)?,
            roles: roles.map(|pb::RoleSelection { role_ids }| role_ids),
        })
    }
}

impl From<pb::create_token_request::Credential> for CreateFor {
    fn from(credential: pb::create_token_request::Credential) -> Self {
        use pb::create_token_request::Credential as Sent;
        match credential {
            Sent::Password(password) => Self::Credential(Credential::Password(password.into())),
            Sent::BearerToken(token) => {
                let secret = Secret::new(token);
                Self::Credential(Credential::Bearer { secret, realm: None })
            }
            Sent::UserId(id) => Self::User(id),
        }
    }
}

impl From<pb::PasswordCredential> for PasswordCredential {
    fn from(credential: pb::PasswordCredential) -> Self {
        let pb::PasswordCredential { realm, username, password, accept_final_newline } = credential;
        let final_newline =
            if accept_final_newline { FinalNewline::Accept } else { FinalNewline::Keep };
        let profile = String::new();
        Self { realm, username, password: password.into(), final_newline, profile }
    }
}

fn read_lifetime(lifetime: pb::create_token_request::Lifetime) -> Result<Lifetime, Field> {
    use pb::create_token_request::Lifetime as Sent;
    match lifetime {
        Sent::Ttl(ttl) => read_duration("ttl", ttl).map(Lifetime::For),
        Sent::ExpireTime(end) => read_time("expire_time", end).map(Lifetime::Until),
        Sent::NeverExpires(true) => Ok(Lifetime::Never),
        Sent::NeverExpires(false) => {
            Err(Field::new("never_expires", "must be true where it is set"))
        }
    }
}

impl From<Created> for pb::CreateTokenResponse {
    fn from(created: Created) -> Self {
        let Created { token, refresh_token } = created;
        Self { token: Some(token.into()), refresh_token: refresh_token.map(Into::into) }
    }
}

impl From<Issued> for pb::IssuedToken {
    fn from(issued: Issued) -> Self {
        let Issued { token, secret } = issued;
        Self { token: Some(token.into()), secret: secret.expose().to_owned() }
    }
}

impl From<pb::RevokeTokenRequest> for Revoke {
    fn from(request: pb::RevokeTokenRequest) -> Self {
        use pb::revoke_token_request::Target as Sent;
        let pb::RevokeTokenRequest { target, profile, skip_wait } = request;
        let target = match target {
            None => Target::Missing,
            Some(Sent::TokenId(id)) => Target::Token(id),
            Some(Sent::Secret(secret)) => Target::Secret(Secret::new(secret)),
            Some(Sent::GrantId(id)) => Target::Grant(id),
            Some(Sent::UserId(id)) => Target::User(id),
        };
        Self { target, profile, wait: wait(skip_wait) }
    }
}

impl From<RevokeOutcome> for pb::RevokeTokenResponse {
    fn from(outcome: RevokeOutcome) -> Self {
        let RevokeOutcome { token, count: revoked, stale_for } = outcome;
        Self {
            token: token.map(Into::into),
            revoked_count: count(revoked),
            stale_for: stale_for.and_then(|time| time.try_into().ok()),
        }
    }
}

impl From<pb::RefreshOperationTokenRequest> for Refresh {
    fn from(request: pb::RefreshOperationTokenRequest) -> Self {
        let pb::RefreshOperationTokenRequest { refresh_token, profile, realm } = request;
        Self { refresh_token: Secret::new(refresh_token), profile, realm }
    }
}

impl From<Refreshed> for pb::RefreshOperationTokenResponse {
    fn from(refreshed: Refreshed) -> Self {
        let Refreshed { operation_token, refresh_token } = refreshed;
        Self {
            operation_token: Some(operation_token.into()),
            refresh_token: refresh_token.map(Into::into),
        }
    }
}

impl TryFrom<pb::AuthorizeRequest> for Check {
    type Error = Error;

    fn try_from(request: pb::AuthorizeRequest) -> Result<Self, Error> {
        let pb::AuthorizeRequest {
            token,
            permissions,
            resource,
            realm,
            profiles,
            on_refused_token,
        } = request;
        // What and which the resource is are words of the asking service: no rule reads them.
        let pb::Resource { r#type: _, id: _, owner_user_id } = resource.unwrap_or_default();
        let on_refused = match pb::OnRefusedToken::try_from(on_refused_token) {
            Ok(pb::OnRefusedToken::Unspecified | pb::OnRefusedToken::Deny) => OnRefused::Deny,
            Ok(pb::OnRefusedToken::Guest) => OnRefused::Guest,
            Err(_) => return Err(Error::field("on_refused_token", "is not a known value")),
        };
        let token = (!token.is_empty()).then(|| Secret::new(token));
        Ok(Self { token, permissions, owner: owner_user_id, realm, profiles, on_refused })
    }
}

impl From<Verdict> for pb::AuthorizeResponse {
    fn from(verdict: Verdict) -> Self {
        let Verdict { denied, bearer, missing, facts_age } = verdict;
        let (decision, deny_reason) = match denied {
            None => (pb::Decision::Allow, pb::DenyReason::Unspecified),
            Some(reason) => (pb::Decision::Deny, reason.into()),
        };
        let (token, subject) = match bearer {
            None => (None, None),
            Some(Bearer { token, user }) => {
                let token = pb::TokenSummary::from(token);
                let subject = pb::Subject {
                    user_id: user.id.to_string(),
                    realm: user.realm.as_str().to_owned(),
                    username: user.username.clone(),
                    role_ids: token.role_ids.clone(),
                };
                (Some(token), Some(subject))
            }
        };
        Self {
            decision: decision.into(),
            deny_reason: deny_reason.into(),
            token,
            subject,
            missing_permissions: missing,
            facts_age: facts_age.try_into().ok(),
        }
    }
}

impl From<DenyReason> for pb::DenyReason {
    fn from(reason: DenyReason) -> Self {
        match reason {
            DenyReason::NoToken => Self::NoToken,
            DenyReason::UnknownToken => Self::UnknownToken,
            DenyReason::ExpiredToken => Self::ExpiredToken,
            DenyReason::RevokedToken => Self::RevokedToken,
            DenyReason::WrongKind => Self::WrongKind,
            DenyReason::WrongProfile => Self::WrongProfile,
            DenyReason::DisabledUser => Self::DisabledUser,
            DenyReason::MissingPermission => Self::MissingPermission,
        }
    }
}

impl From<TokenSummary> for pb::TokenSummary {
    fn from(token: TokenSummary) -> Self {
        let TokenSummary { id, grant, profile, kind, roles, expires_at } = token;
        Self {
            id: id.to_string(),
            grant_id: grant.to_string(),
            profile: profile.as_str().to_owned(),
            kind: pb::TokenKind::from(kind).into(),
            role_ids: roles.iter().map(|role| role.name.to_string()).collect(),
            expire_time: expires_at.map(time),
        }
    }
}

impl From<TokenView> for pb::Token {
    fn from(token: TokenView) -> Self {
        let TokenView {
            id,
            user,
            grant,
            display_name,
            profile,
            kind,
            roles,
            inherits_roles,
            state,
            created_at,
            expires_at,
            revoked_at,
            last_used_at,
            parent,
        } = token;
        Self {
            id: id.to_string(),
            user_id: user.to_string(),
            grant_id: grant.to_string(),
            display_name,
            profile: profile.as_str().to_owned(),
            kind: pb::TokenKind::from(kind).into(),
            role_ids: names(roles),
            inherits_roles,
            state: pb::TokenState::from(state).into(),
            create_time: Some(time(created_at)),
            expire_time: expires_at.map(time),
            revoke_time: revoked_at.map(time),
            last_use_time: last_used_at.map(time),
            parent_id: parent.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl From<TokenKind> for pb::TokenKind {
    fn from(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Operation => Self::Operation,
            TokenKind::Refresh => Self::Refresh,
            TokenKind::Personal => Self::Personal,
        }
    }
}

impl From<TokenState> for pb::TokenState {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::Active => Self::Active,
            TokenState::Expired => Self::Expired,
            TokenState::Revoked => Self::Revoked,
        }
    }
}

impl TryFrom<pb::ListTokensRequest> for ListTokens {
    type Error = Error;

    fn try_from(request: pb::ListTokensRequest) -> Result<Self, Error> {
        let pb::ListTokensRequest { user_id, profile, states, page_size, page_token } = request;
        let mut faults = Faults::default();
        let states = states
            .into_iter()
            .enumerate()
            .filter_map(|(at, state)| faults.take_at("states", at, read_state(state)))
            .collect();
        faults.finish()?;
        let page = PageRequest { size: page_size, token: page_token };
        Ok(Self { user: user_id, profile, states, page })
    }
}

fn read_state(state: i32) -> Result<TokenState, &'static str> {
    match pb::TokenState::try_from(state) {
        Ok(pb::TokenState::Active) => Ok(TokenState::Active),
        Ok(pb::TokenState::Expired) => Ok(TokenState::Expired),
        Ok(pb::TokenState::Revoked) => Ok(TokenState::Revoked),
        Ok(pb::TokenState::Unspecified) | Err(_) => Err("is not a state of a token"),
    }
}

impl From<Page<TokenView>> for pb::ListTokensResponse {
    fn from(page: Page<TokenView>) -> Self {
        let Page { items, next } = page;
        Self { tokens: items.into_iter().map(Into::into).collect(), next_page_token: next }
    }
}

impl From<CallerView> for pb::GetCallerResponse {
    fn from(caller: CallerView) -> Self {
        let CallerView { user, token, roles } = caller;
        Self {
            user: user.map(Into::into),
            token: token.map(Into::into),
            roles: roles.into_iter().map(Into::into).collect(),
        }
    }
}
