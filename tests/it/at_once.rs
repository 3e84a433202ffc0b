//! Checks that memory answers at once, before anything else is asked. They are told from the others
//! by their request id: none is made for them, for nothing of them is in a log.

use tokend::client::REQUEST_ID;
use tokend::config::{Callers, Runtime};

use crate::support::World;

#[tokio::test]
async fn answers_at_once_whatever_memory_knows() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    for (kind, session) in alice.every_kind().await {
        let forged = format!("{}x", session.operation);
        let revoked = alice.sign_in_to(&session.token.profile).await;
        revoked.revoke().await.unwrap();
        for secret in [&session.operation, &forged, &revoked.operation] {
            for permission in ["orders:read", "orders:write"] {
                let check = world.check(secret).permission(permission);
                // It may have to read first.
                let (first, _) = check.clone().answer_under().await;
                let (second, id) = check.answer_under().await;
                assert_eq!(id, None, "{kind}");
                assert_eq!(first.unwrap(), second.unwrap(), "{kind}");
            }
        }
    }
    let (guest, id) = world.check("").answer_under().await;
    assert!(id.is_none() && guest.is_ok());
}

#[tokio::test]
async fn echoes_an_id_that_a_check_came_with() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let check = world.check(&session.operation);
    let _ = check.clone().answer().await.unwrap();
    let named = world.nobody().with(REQUEST_ID, "mine-1");
    let (_, id) = check.by(named).answer_under().await;
    assert_eq!(id.as_deref(), Some("mine-1"));
}

#[tokio::test]
async fn leaves_to_others_what_is_wrong_or_asks_for_a_caller() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    for _ in 0..2 {
        let wrong = world.check(&session.operation).permission("not a permission");
        let (refused, id) = wrong.answer_under().await;
        assert!(refused.is_err() && id.is_some());
    }
    let world = World::with(|settings| settings.authorize.callers = Callers::Authenticated).await;
    let session = world.user("alice").await.sign_in().await;
    for _ in 0..2 {
        let check = world.check(&session.operation).by(session.api());
        let (answer, id) = check.answer_under().await;
        assert!(answer.is_ok() && id.is_some());
    }
}

#[tokio::test]
async fn answers_alike_on_the_threads_that_do_everything_else() {
    let world = World::with(|settings| settings.grpc.runtime = Runtime::Shared).await;
    let session = world.user("alice").await.sign_in().await;
    let check = world.check(&session.operation);
    let (first, _) = check.clone().answer_under().await;
    let (second, id) = check.answer_under().await;
    assert_eq!((first.unwrap(), id), (second.unwrap(), None));
}
