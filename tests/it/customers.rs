//! A shop's customers and its guests: what each may, and how a customer ends all that they have.

use tokend::client::REALM;
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Check, Session, Verdict, World};

const CUSTOMER: &str = "magento-customer";
const NO_TOKEN: Verdict = Verdict::Deny(DenyReason::NoToken);
const MISSING: Verdict = Verdict::Deny(DenyReason::MissingPermission);

/// A world with `carol`, a customer, and `alice`, who runs the shop.
async fn shop() -> (World, Actor, Actor) {
    let world = World::start().await;
    let permissions = ["orders:read@self", "orders:cancel"];
    let carol = world.user("carol").of("customers").with(permissions).await;
    let alice = world.user("alice").with(["*"]).await;
    for (realm, permission) in [("customers", "catalog:read"), ("default", "orders:read")] {
        let (realm, id) = (realm.to_owned(), "anonymous".to_owned());
        let permissions = vec![permission.to_owned()];
        let role = pb::Role { realm, id, permissions, ..Default::default() };
        let request = pb::PutRoleRequest { role: Some(role), skip_wait: false };
        world.admin().api().put_role(request).await.unwrap();
    }
    (world, carol, alice)
}

/// The check that asks for nothing but a customer.
fn is_customer(world: &World, secret: &str) -> Check {
    world.check(secret).realm("customers").profile(CUSTOMER)
}

async fn revoke_all(session: &Session, user: &Actor) -> Result<i32, crate::support::Refusal> {
    let target = Some(Target::UserId(user.id.clone()));
    let request = pb::RevokeTokenRequest { target, ..Default::default() };
    let answer = session.api().with(REALM, "customers").revoke_token(request).await;
    answer.map(|answer| answer.revoked_count)
}

#[tokio::test]
async fn ends_all_that_a_customer_has_by_one_of_their_tokens() {
    let (world, carol, _) = shop().await;
    let dave = world.user("dave").of("customers").await;
    let spared = dave.sign_in_to(CUSTOMER).await;
    let [first, second] = [carol.sign_in_to(CUSTOMER).await, carol.sign_in_to(CUSTOMER).await];
    let other = carol.sign_in().await;
    // The refresh token of the third sign-in is a token, too.
    assert_eq!(revoke_all(&first, &carol).await, Ok(4));
    let revoked = Verdict::Deny(DenyReason::RevokedToken);
    for token in [&first.operation, &second.operation, &other.operation] {
        assert_eq!(world.check(token).realm("customers").await, revoked);
    }
    let invalid = (Code::Unauthenticated, ErrorReason::TokenInvalid);
    assert_eq!(revoke_all(&first, &carol).await.unwrap_err(), invalid, "that one included");
    assert_eq!(is_customer(&world, &spared.operation).await, Verdict::Allow);
    let next = carol.sign_in_to(CUSTOMER).await;
    assert_eq!(is_customer(&world, &next.operation).await, Verdict::Allow);
    let denied = (Code::PermissionDenied, ErrorReason::PermissionMissing);
    assert_eq!(revoke_all(&next, &dave).await.unwrap_err(), denied, "another customer's");
}

#[tokio::test]
async fn tells_a_live_customer_from_everybody_else() {
    let (world, carol, alice) = shop().await;
    let live = carol.sign_in_to(CUSTOMER).await;
    assert_eq!(is_customer(&world, &live.operation).await, Verdict::Allow);
    let wrong_profile = carol.sign_in().await.operation;
    let admin = alice.sign_in_to("magento-admin").await.operation;
    for (case, secret, reason) in [
        ("an admin's", &*admin, DenyReason::UnknownToken),
        ("of another profile", &wrong_profile, DenyReason::WrongProfile),
        ("forged", "0123456789abcdefghijklmnopqrstuv", DenyReason::UnknownToken),
        ("none", "", DenyReason::NoToken),
    ] {
        assert_eq!(is_customer(&world, secret).await, Verdict::Deny(reason), "{case}");
        // A guest may, and this asks for nothing.
        assert_eq!(is_customer(&world, secret).or_guest().await, NO_TOKEN, "{case}");
    }
    live.revoke().await.unwrap();
    let revoked = Verdict::Deny(DenyReason::RevokedToken);
    assert_eq!(is_customer(&world, &live.operation).await, revoked);
}

#[tokio::test]
async fn lets_customers_reach_their_own_and_guests_what_everyone_may() {
    let (world, carol, alice) = shop().await;
    let customer = carol.sign_in_to(CUSTOMER).await.operation;
    let admin = alice.sign_in_to("magento-admin").await.operation;
    let own = |check: Check| check.owned_by(&carol.id);
    let ask = |secret: &str, permission: &str| {
        is_customer(&world, secret).permission(permission).or_guest()
    };
    assert_eq!(own(ask(&customer, "orders:read")).await, Verdict::Allow);
    assert_eq!(ask(&customer, "orders:read").owned_by(&alice.id).await, MISSING);
    assert_eq!(ask(&customer, "orders:read").await, MISSING, "nobody's");
    assert_eq!(own(ask(&customer, "orders:cancel")).await, MISSING, "not granted as self");
    assert_eq!(ask(&customer, "catalog:read").await, Verdict::Allow, "what everyone may");
    // An admin's token is none in this realm, however much it may in its own.
    for secret in ["", "forged", &*admin] {
        assert_eq!(ask(secret, "catalog:read").await, Verdict::Allow, "{secret}");
        for permission in ["orders:read", "orders:cancel"] {
            assert_eq!(own(ask(secret, permission)).await, NO_TOKEN, "{secret} {permission}");
        }
    }
}
