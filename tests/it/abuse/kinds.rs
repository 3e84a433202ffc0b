//! Each kind of token where another is due: refused, and as good as before where it belongs.

use tokend::pb::create_token_request::Credential;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Session, Verdict, World};

const INVALID: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::TokenInvalid);

/// Shows a secret wherever a bearer is due.
async fn is_no_bearer(world: &World, case: &str, secret: &str) {
    let check = world.check(secret).permission("orders:read");
    assert_eq!(check.clone().await, Verdict::Deny(DenyReason::WrongKind), "{case}");
    let guest = check.or_guest().answer().await.unwrap();
    assert_eq!(guest.deny_reason(), DenyReason::NoToken, "{case}: as a guest");
    let caller = world.nobody().bearing(secret).get_caller(pb::GetCallerRequest {}).await;
    assert_eq!(caller.unwrap_err(), INVALID, "{case}");
    let credential = Some(Credential::BearerToken(secret.to_owned()));
    let request = pb::CreateTokenRequest { credential, ..Default::default() };
    assert_eq!(world.nobody().create_token(request).await.unwrap_err(), INVALID, "{case}");
}

async fn refresh(world: &World, secret: &str) -> Result<Session, crate::support::Refusal> {
    let mut session = world.admin().sign_in().await;
    secret.clone_into(&mut session.refresh);
    session.refresh().await
}

#[tokio::test]
async fn takes_each_kind_where_it_is_due_and_spends_none_elsewhere() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read", "token:create"]).await;
    for profile in ["operation", "harperdb"] {
        let session = alice.sign_in_to(profile).await;
        is_no_bearer(&world, profile, &session.refresh).await;
        assert!(session.refresh().await.is_ok(), "{profile}: it was not spent");
    }
    for (kind, session) in alice.every_kind().await {
        for _ in 0..2 {
            let refused = refresh(&world, &session.operation).await.err().unwrap();
            assert_eq!(refused, INVALID, "{kind}");
        }
        let check = world.check(&session.operation).permission("orders:read").await;
        assert_eq!(check, Verdict::Allow, "{kind}: it was not spent");
        if !session.refresh.is_empty() {
            assert!(session.refresh().await.is_ok(), "{kind}: nor was what goes with it");
        }
    }
}

#[tokio::test]
async fn lets_no_customer_through_where_an_admin_is_due() {
    let world = World::start().await;
    world.admin().put_role("shop", ["orders:read"]).await;
    let admin: Actor = world.user("root").roles(["shop"]).await;
    let customer = world.user("carol").of("customers").with(["orders:read@self"]).await;
    let customer = customer.sign_in_to("magento-customer").await;
    let admin = admin.sign_in_to("magento-admin").await;
    let ask = |session: &Session, profile: &str| {
        world.check(&session.operation).profile(profile).permission("orders:read")
    };
    let unknown = Verdict::Deny(DenyReason::UnknownToken);
    let wrong = Verdict::Deny(DenyReason::WrongProfile);
    // Of another realm it is unknown; where any realm will do, of another profile.
    assert_eq!(ask(&customer, "magento-admin").await, unknown);
    assert_eq!(ask(&customer, "magento-admin").realm("*").await, wrong);
    assert_eq!(ask(&admin, "magento-customer").await, wrong);
    assert_eq!(ask(&admin, "magento-customer").realm("customers").await, unknown);
    let managed = customer.api().list_users(pb::ListUsersRequest::default()).await.unwrap_err();
    assert_eq!(managed, (Code::PermissionDenied, ErrorReason::PermissionMissing));
    // Neither was spent by it.
    assert_eq!(ask(&admin, "magento-admin").await, Verdict::Allow);
    let own = ask(&customer, "magento-customer").realm("customers");
    assert_eq!(own.owned_by(&customer.token.user_id).await, Verdict::Allow);
}
