//! What a user who may manage others does to them.

use tokend::pb::{self, UserState};

use super::{Actor, Session};

impl Actor {
    /// Disables or enables a user.
    pub(crate) async fn set_state(&self, user: &Self, state: UserState) {
        let request = pb::UpdateUserRequest {
            user_id: user.id.clone(),
            state: state.into(),
            ..pb::UpdateUserRequest::default()
        };
        self.api().update_user(request).await.expect("a change");
    }

    pub(crate) async fn set_roles<const N: usize>(&self, user: &Self, roles: [&str; N]) {
        let request = pb::SetUserRolesRequest {
            user_id: user.id.clone(),
            role_ids: roles.map(str::to_owned).to_vec(),
            skip_wait: false,
        };
        self.api().set_user_roles(request).await.expect("a change");
    }

    /// Sets the password of somebody else.
    pub(crate) async fn set_password_of(&self, user: &mut Self, new: &str) {
        let request = pb::SetPasswordRequest {
            user_id: user.id.clone(),
            credential: Some(pb::set_password_request::Credential::Password(new.to_owned())),
            ..pb::SetPasswordRequest::default()
        };
        self.api().set_password(request).await.expect("a change");
        new.clone_into(&mut user.password);
    }

    pub(crate) async fn delete(&self, user: &Self) {
        let request = pb::DeleteUserRequest { user_id: user.id.clone(), skip_wait: false };
        self.api().delete_user(request).await.expect("a user less");
    }

    pub(crate) async fn delete_role(&self, id: &str) {
        let request = pb::DeleteRoleRequest {
            realm: String::new(),
            role_id: id.to_owned(),
            skip_wait: false,
        };
        self.api().delete_role(request).await.expect("a role less");
    }

    /// The events that match, oldest first, as `action outcome`.
    pub(crate) async fn events(&self, about: impl Fn(&pb::AuditEvent) -> bool) -> Vec<String> {
        let request = pb::ListAuditEventsRequest { page_size: 500, ..Default::default() };
        let answer = self.api().list_audit_events(request).await.expect("the events");
        let events = answer.events.iter().rev().filter(|event| about(event));
        events.map(|event| format!("{} {}", event.action, event.outcome)).collect()
    }

    /// A token of each kind and form, each named, with the roles that its user has.
    pub(crate) async fn every_kind(&self) -> Vec<(&'static str, Session)> {
        let refreshed = self.sign_in().await.refresh().await.expect("a refresh");
        let fixed = self.sign_in_to("harperdb").await.refresh().await.expect("a refresh");
        vec![
            ("a JWT", self.sign_in().await),
            ("a JWT by refresh", refreshed),
            ("a JWT with a fixed refresh token", self.sign_in_to("harperdb").await),
            ("a JWT by a fixed refresh", fixed),
            ("a symmetric JWT", self.sign_in_to("apinizer").await),
            ("40 hex digits", self.sign_in_to("azion").await),
            ("a personal token", self.sign_in_to("personal").await),
            ("a personal token of apinizer", self.sign_in_to("apinizer-personal").await),
            ("a personal token of epilot", self.sign_in_to("epilot").await),
        ]
    }
}
