//! `ListTokens` and `GetCaller`.

use std::sync::Arc;

use super::accepted::sorted_names;
use super::caller::{Caller, ProvenUser};
use super::calls::{CallerView, ListTokens, Origin, Page, RoleView, TokenView, UserView};
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::identity::{Role, User, UserId};
use super::roles::role_view;
use super::store::TokenQuery;
use super::token::TokenId;

impl Core {
    /// Lists a user's tokens, newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::UserNotFound`] for whom the caller may not see,
    /// [`Error::Unavailable`]; what proves the caller.
    pub async fn list_tokens(
        &self,
        origin: &Origin,
        request: ListTokens,
    ) -> Result<Page<TokenView>, Error> {
        let ListTokens { user, profile, states, page } = request;
        let profile = match profile.as_str() {
            "" => None,
            name => Some(self.settings.profiles.get(name)?.name.clone()),
        };
        let caller = self.caller(origin).await?;
        let owner = self.owner_or_caller(&caller, &user, "token:read").await?;
        let scope = format!("tokens {} {profile:?} {states:?}", owner.id);
        let start = self.read_page(&page, &scope)?;
        let after = start.after.as_deref().and_then(read_cursor);
        let now = self.now();
        let limit = start.limit();
        let query = TokenQuery { user: owner.id, profile, states, after, limit, now };
        let found = self.store.list_tokens(&query).await?;
        let page = self.page(found, &start, &scope, |(token, _)| {
            format!("{} {}", token.created_at.micros(), token.id)
        })?;
        let view = self.knowledge.view().await?;
        let mut items = Vec::with_capacity(page.items.len());
        for (mut token, grant) in page.items {
            let state = token.state(grant.revoked_at, now);
            token.revoked_at = token.revoked_at.or(grant.revoked_at);
            items.push(self.token_view(&view, &owner, token, state).await?);
        }
        Ok(Page { items, next: page.next })
    }

    /// Answers who calls.
    ///
    /// # Errors
    /// What proves the caller; [`Error::Unavailable`].
    pub async fn get_caller(&self, origin: &Origin) -> Result<CallerView, Error> {
        // Not by way of `caller`: where stale facts are served, they are enough for a token.
        match self.find_caller(origin).await?.ok_or(Error::BadCredentials)? {
            Caller::Operator => Ok(CallerView { user: None, token: None, roles: vec![] }),
            Caller::User(ProvenUser { user, roles, anonymous: _ }) => {
                let names = sorted_names(&roles);
                let user = Some(UserView { user: (*user).clone(), roles: names });
                Ok(CallerView { user, token: None, roles: role_views(&roles) })
            }
            Caller::Bearer(bearer) => {
                let user = Some(self.user_view((*bearer.user).clone()).await?);
                let roles = role_views(&bearer.roles);
                Ok(CallerView { user, token: Some(bearer.into_bearer().token), roles })
            }
        }
    }

    /// The user that a request names by id, or the caller where it names none.
    pub(super) async fn owner_or_caller(
        &self,
        caller: &Caller,
        id: &str,
        permission: &'static str,
    ) -> Result<User, Error> {
        let id = match (id, caller.user()) {
            ("", Some(own)) => own.id,
            ("", None) => return Err(Error::field("user_id", "must name the user")),
            (id, _) => UserId::parse(id).map_err(|fault| Error::field("user_id", fault))?,
        };
        self.owner(caller, id, permission).await
    }

    /// The user of this id, if the caller is that user or has the permission.
    pub(super) async fn owner(
        &self,
        caller: &Caller,
        id: UserId,
        permission: &'static str,
    ) -> Result<User, Error> {
        let found = self.store.find_user(id).await?;
        match found {
            Some(owner) if caller.owns_or_may(&owner, permission) => Ok(owner),
            // Their own, with a token that was narrowed to manage itself alone.
            Some(owner) if caller.is(owner.id) => {
                Err(Error::PermissionMissing(permission.to_owned()))
            }
            Some(_) | None => {
                // Without the permission nobody learns who exists.
                caller.need(permission)?;
                Err(Error::UserNotFound)
            }
        }
    }
}

fn role_views(roles: &[Arc<Role>]) -> Vec<RoleView> {
    let mut roles: Vec<_> = roles.iter().map(|role| role_view((**role).clone())).collect();
    roles.sort_by(|one, other| one.name.cmp(&other.name));
    roles
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, TokenId)> {
    let (micros, id) = cursor.split_once(' ')?;
    Some((Timestamp::from_micros(micros.parse().ok()?), TokenId::parse(id).ok()?))
}
