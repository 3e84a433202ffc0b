//! Checks: who may, and why not.

use tokend::pb::DenyReason;

use crate::support::{Verdict, World};

#[tokio::test]
async fn allows_what_a_role_grants_and_names_what_is_missing() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read", "stock:*"]).await.sign_in().await;
    for permission in ["orders:read", "stock:count"] {
        let check = world.check(&alice.operation).permission(permission);
        assert_eq!(check.await, Verdict::Allow, "{permission}");
    }
    let check = world.check(&alice.operation).permission("orders:read").permission("orders:write");
    assert_eq!(check.clone().await, Verdict::Deny(DenyReason::MissingPermission));
    assert_eq!(check.answer().await.unwrap().missing_permissions, ["orders:write"]);
}
