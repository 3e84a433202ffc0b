//! What is remembered: who did what, in order, and no secret.

use tokend::pb::{self, UserState};

use crate::support::World;

#[tokio::test]
async fn tells_what_happened_in_order() {
    let world = World::start().await;
    let admin = world.admin();
    let mut alice = world.user("alice").with(["orders:read"]).await;
    let session = alice.sign_in().await;
    session.refresh().await.unwrap();
    session.revoke().await.unwrap();
    alice.change_password("new").await;
    admin.set_roles(&alice, []).await;
    admin.set_state(&alice, UserState::Disabled).await;
    admin.delete(&alice).await;
    admin.delete_role("alice").await;
    let events = admin.events(|event| event.realm == "default").await;
    let told = [
        "service.bootstrap ok",
        "role.put ok",
        "user.create ok",
        "token.create ok",
        "token.refresh ok",
        "token.revoke ok",
        "user.set-password ok",
        "user.set-roles ok",
        "user.update ok",
        "user.delete ok",
        "role.delete ok",
    ];
    assert_eq!(events, told);
}

#[tokio::test]
async fn names_who_did_it_to_whom_and_from_where() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let session = alice.sign_in().await;
    let request = pb::ListAuditEventsRequest { user_id: alice.id.clone(), ..Default::default() };
    let events = world.admin().api().list_audit_events(request).await.unwrap().events;
    let [created, made] = &*events else { panic!("{events:?}") };
    assert_eq!((&created.action, &created.actor), (&"token.create".to_owned(), &alice.id));
    assert_eq!(created.target, session.token.id);
    assert_eq!(created.client_address, "127.0.0.1");
    assert_eq!((&made.action, &made.target), (&"user.create".to_owned(), &alice.id));
    assert_ne!(made.actor, alice.id);
    assert!(created.id > made.id);
}

#[tokio::test]
async fn lists_events_page_by_page() {
    let world = World::start().await;
    for name in ["a", "b", "c"] {
        world.user(name).await;
    }
    let admin = world.admin().api();
    let request = pb::ListAuditEventsRequest { page_size: 2, ..Default::default() };
    let first = admin.list_audit_events(request.clone()).await.unwrap();
    let page_token = first.next_page_token.clone();
    let second = admin
        .list_audit_events(pb::ListAuditEventsRequest { page_token, ..request })
        .await
        .unwrap();
    let ids: Vec<_> = first.events.iter().chain(&second.events).map(|event| event.id).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}

#[tokio::test]
async fn tells_a_lock_once_it_is_put() {
    let world = World::with(|settings| settings.sign_in.lockout.failures = 2).await;
    let mut alice = world.user("Alice").await;
    alice.password = "a guess".to_owned();
    for _ in 0..2 {
        assert!(alice.draft("operation").make().await.is_err());
    }
    let request = pb::ListAuditEventsRequest { page_size: 1, ..Default::default() };
    let events = world.admin().api().list_audit_events(request).await.unwrap().events;
    assert_eq!((&*events[0].action, &*events[0].outcome), ("sign_in", "locked"));
    assert_eq!((&*events[0].actor, &*events[0].target), ("", "alice"));
}
