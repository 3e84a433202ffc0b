//! Those who use a server: users, and what they signed in to.

use std::pin::Pin;

use tokend::pb::create_token_request::{Credential, Lifetime};
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, create_user_request};

use super::{Api, Line, Refusal, World};

/// A user, who knows their password.
#[derive(Clone)]
pub(crate) struct Actor {
    line: Line,
    pub(crate) realm: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Empty for the first user, whom nobody made by the contract.
    pub(crate) id: String,
}

/// What one sign-in gave.
#[derive(Clone)]
pub(crate) struct Session {
    line: Line,
    /// What was made, as the contract tells of it.
    pub(crate) token: pb::Token,
    /// The secret that services are shown.
    pub(crate) operation: String,
    /// The secret of the refresh token; empty where the profile has none.
    pub(crate) refresh: String,
}

impl Actor {
    pub(crate) fn new(
        line: Line,
        (realm, username, password): (&str, &str, &str),
        id: String,
    ) -> Self {
        let [realm, username, password] = [realm, username, password].map(str::to_owned);
        Self { line, realm, username, password, id }
    }

    /// The same user, who calls another server.
    pub(crate) fn at(&self, world: &World) -> Self {
        Self { line: world.line(), ..self.clone() }
    }

    /// The contract by name and password.
    pub(crate) fn api(&self) -> Api {
        let named = (&*self.realm, &*self.username, &*self.password);
        Api::of_nobody(self.line.clone()).signed(named)
    }

    /// Their name and password in the body of a request.
    pub(crate) fn credential(&self) -> Credential {
        Credential::Password(pb::PasswordCredential {
            realm: self.realm.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            accept_final_newline: false,
        })
    }

    /// Signs in to the profile `operation`.
    pub(crate) async fn sign_in(&self) -> Session {
        self.sign_in_to("operation").await
    }

    /// Signs in to a profile.
    pub(crate) async fn sign_in_to(&self, profile: &str) -> Session {
        self.draft(profile).make().await.expect("a sign-in")
    }

    /// A token that is still to be made: `alice.draft("personal").roles(["a"]).make().await`.
    pub(crate) fn draft(&self, profile: &str) -> TokenDraft {
        let api = Api::of_nobody(self.line.clone());
        TokenDraft::new(self.line.clone(), api, profile).by(self.credential())
    }

    /// Asks for a new password of their own.
    pub(crate) async fn change_password(&mut self, new: &str) {
        let request = pb::SetPasswordRequest {
            credential: Some(pb::set_password_request::Credential::Password(new.to_owned())),
            old_password: self.password.clone(),
            ..pb::SetPasswordRequest::default()
        };
        self.api().set_password(request).await.expect("a change");
        new.clone_into(&mut self.password);
    }
}

impl Session {
    fn new(line: Line, token: Option<pb::IssuedToken>, refresh: Option<pb::IssuedToken>) -> Self {
        let issued = token.expect("a token");
        Self {
            line,
            token: issued.token.expect("the token of a secret"),
            operation: issued.secret,
            refresh: refresh.map(|refresh| refresh.secret).unwrap_or_default(),
        }
    }

    /// The same tokens, shown to another server.
    pub(crate) fn at(&self, world: &World) -> Self {
        Self { line: world.line(), ..self.clone() }
    }

    /// The contract by the operation token.
    pub(crate) fn api(&self) -> Api {
        Api::of_nobody(self.line.clone()).bearing(&self.operation)
    }

    /// A token made from this one.
    pub(crate) fn draft(&self, profile: &str) -> TokenDraft {
        TokenDraft::new(self.line.clone(), self.api(), profile)
    }

    /// Refreshes, as nobody.
    pub(crate) async fn refresh(&self) -> Result<Self, Refusal> {
        let request = pb::RefreshOperationTokenRequest {
            refresh_token: self.refresh.clone(),
            ..Default::default()
        };
        let nobody = Api::of_nobody(self.line.clone());
        let answer = nobody.refresh_operation_token(request).await?;
        Ok(Self::new(self.line.clone(), answer.operation_token, answer.refresh_token))
    }

    /// Revokes the operation token by its secret, as nobody. Answers how many tokens that ended.
    pub(crate) async fn revoke(&self) -> Result<i32, Refusal> {
        let target = Some(Target::Secret(self.operation.clone()));
        let request = pb::RevokeTokenRequest { target, ..pb::RevokeTokenRequest::default() };
        let nobody = Api::of_nobody(self.line.clone());
        nobody.revoke_token(request).await.map(|answer| answer.revoked_count)
    }
}

/// A token that is still to be made.
pub(crate) struct TokenDraft {
    line: Line,
    api: Api,
    request: pb::CreateTokenRequest,
}

impl TokenDraft {
    fn new(line: Line, api: Api, profile: &str) -> Self {
        let profile = profile.to_owned();
        let request = pb::CreateTokenRequest { profile, ..pb::CreateTokenRequest::default() };
        Self { line, api, request }
    }

    fn by(mut self, credential: Credential) -> Self {
        self.request.credential = Some(credential);
        self
    }

    /// With these roles alone.
    pub(crate) fn roles<const N: usize>(mut self, roles: [&str; N]) -> Self {
        let role_ids = roles.map(str::to_owned).to_vec();
        self.request.roles = Some(pb::RoleSelection { role_ids });
        self
    }

    pub(crate) fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.request.lifetime = Some(lifetime);
        self
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.request.display_name);
        self
    }

    pub(crate) async fn make(self) -> Result<Session, Refusal> {
        let answer = self.api.create_token(self.request).await?;
        Ok(Session::new(self.line, answer.token, answer.refresh_token))
    }
}

/// A user who is still to be made.
pub(crate) struct UserDraft {
    by: Actor,
    realm: String,
    username: String,
    permissions: Vec<String>,
    roles: Vec<String>,
}

impl UserDraft {
    pub(crate) fn new(by: Actor, username: &str) -> Self {
        let (realm, username) = ("default".to_owned(), username.to_owned());
        Self { by, realm, username, permissions: Vec::new(), roles: Vec::new() }
    }

    /// With these permissions, through a role that is named like the user.
    pub(crate) fn with<const N: usize>(mut self, permissions: [&str; N]) -> Self {
        self.permissions = permissions.map(str::to_owned).to_vec();
        self
    }

    /// With roles that there are.
    pub(crate) fn roles<const N: usize>(mut self, roles: [&str; N]) -> Self {
        self.roles = roles.map(str::to_owned).to_vec();
        self
    }

    /// Of another realm.
    pub(crate) fn of(mut self, realm: &str) -> Self {
        realm.clone_into(&mut self.realm);
        self
    }

    async fn make(self) -> Actor {
        let Self { by, realm, username, permissions, mut roles } = self;
        if !permissions.is_empty() {
            by.put_role_in(&realm, &username, permissions).await;
            roles.push(username.clone());
        }
        let password = format!("the password of {username}");
        let request = pb::CreateUserRequest {
            realm: realm.clone(),
            username: username.clone(),
            credential: Some(create_user_request::Credential::Password(password.clone())),
            role_ids: roles,
            ..pb::CreateUserRequest::default()
        };
        let made = by.api().create_user(request).await.expect("a user");
        let id = made.user.expect("the user").id;
        Actor::new(by.line.clone(), (&realm, &username, &password), id)
    }
}

impl Actor {
    /// Makes a role of `default`, or sets what it grants.
    pub(crate) async fn put_role<const N: usize>(&self, id: &str, permissions: [&str; N]) {
        let permissions = permissions.map(str::to_owned).to_vec();
        self.put_role_in("default", id, permissions).await;
    }

    async fn put_role_in(&self, realm: &str, id: &str, permissions: Vec<String>) {
        let role = pb::Role {
            realm: realm.to_owned(),
            id: id.to_owned(),
            description: String::new(),
            permissions,
        };
        let request = pb::PutRoleRequest { role: Some(role), skip_wait: false };
        self.api().put_role(request).await.expect("a role");
    }
}

impl IntoFuture for UserDraft {
    type Output = Actor;
    type IntoFuture = Pin<Box<dyn Future<Output = Actor> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}
