//! A check, asked and answered.

use std::pin::Pin;

use tokend::pb::{self, DenyReason, OnRefusedToken};

use super::{Api, Refusal};

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny(DenyReason),
}

/// A check that is still to be asked. Awaited, it is the verdict.
#[derive(Clone)]
pub(crate) struct Check {
    api: Api,
    request: pb::AuthorizeRequest,
}

impl Check {
    pub(crate) fn new(api: Api, secret: &str) -> Self {
        let token = secret.to_owned();
        let request = pb::AuthorizeRequest { token, ..pb::AuthorizeRequest::default() };
        Self { api, request }
    }

    /// Asked by this caller.
    pub(crate) fn by(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    pub(crate) fn permission(mut self, permission: &str) -> Self {
        self.request.permissions.push(permission.to_owned());
        self
    }

    /// On a resource of this user.
    pub(crate) fn owned_by(mut self, user_id: &str) -> Self {
        let owner_user_id = user_id.to_owned();
        self.request.resource = Some(pb::Resource { owner_user_id, ..pb::Resource::default() });
        self
    }

    pub(crate) fn realm(mut self, realm: &str) -> Self {
        realm.clone_into(&mut self.request.realm);
        self
    }

    /// Accepts this profile.
    pub(crate) fn profile(mut self, profile: &str) -> Self {
        self.request.profiles.push(profile.to_owned());
        self
    }

    /// Takes the bearer of a token that is refused for a guest.
    pub(crate) fn or_guest(mut self) -> Self {
        self.request.on_refused_token = OnRefusedToken::Guest.into();
        self
    }

    /// The whole answer, or the failure.
    pub(crate) async fn answer(self) -> Result<pb::AuthorizeResponse, Refusal> {
        self.api.authorize(self.request).await
    }

    /// The same, and the id of the request, which what memory answers at once has only where it
    /// came with one.
    pub(crate) async fn answer_under(
        self,
    ) -> (Result<pb::AuthorizeResponse, Refusal>, Option<String>) {
        self.api.authorize_under(self.request).await
    }

    async fn verdict(self) -> Verdict {
        let answer = self.answer().await.expect("a decision");
        match answer.decision() {
            pb::Decision::Allow => {
                assert_eq!(answer.deny_reason(), DenyReason::Unspecified);
                Verdict::Allow
            }
            pb::Decision::Deny => Verdict::Deny(answer.deny_reason()),
            pb::Decision::Unspecified => panic!("no decision: {answer:?}"),
        }
    }
}

impl IntoFuture for Check {
    type Output = Verdict;
    type IntoFuture = Pin<Box<dyn Future<Output = Verdict> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.verdict())
    }
}
