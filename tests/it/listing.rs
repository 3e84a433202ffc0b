//! Lists: in order, page by page, by page tokens that are good for nothing else.

use std::time::Duration;

use tokend::domain::clock::Clock as _;
use tokend::pb::{self, ErrorReason, TokenState};
use tonic::Code;

use crate::support::{Actor, Session, Verdict, World};

fn page(size: i32, token: &str) -> pb::ListTokensRequest {
    pb::ListTokensRequest { page_size: size, page_token: token.to_owned(), ..Default::default() }
}

/// Five personal tokens, of which some were made in the same moment.
async fn five(world: &World, user: &Actor) -> Vec<String> {
    let mut ids = Vec::new();
    for pause in [0, 0, 1, 0, 1] {
        world.advance(Duration::from_secs(pause));
        ids.push(user.sign_in_to("personal").await.token.id);
    }
    ids
}

#[tokio::test]
async fn lists_each_token_once_and_the_newest_first() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let made = five(&world, &alice).await;
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let answer = alice.api().list_tokens(page(2, &token)).await.unwrap();
        assert!(answer.tokens.len() <= 2);
        listed.extend(answer.tokens);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let times: Vec<_> = listed.iter().map(|token| token.create_time.unwrap().seconds).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let (mut ids, mut expected): (Vec<_>, _) = (listed.into_iter().map(|t| t.id).collect(), made);
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn lists_by_profile_and_by_state() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let dead = alice.sign_in_to("personal").await;
    dead.revoke().await.unwrap();
    let live = alice.sign_in_to("personal").await;
    let brief = alice.sign_in_to("azion").await;
    world.advance(Duration::from_hours(25));
    let list = async |profile: &str, states: &[TokenState]| {
        let states = states.iter().map(|state| (*state).into()).collect();
        let profile = profile.to_owned();
        let request = pb::ListTokensRequest { profile, states, ..Default::default() };
        let tokens = alice.api().list_tokens(request).await.unwrap().tokens;
        let mut ids: Vec<_> = tokens.into_iter().map(|token| token.id).collect();
        ids.sort();
        ids
    };
    let [live, dead, brief] = [live, dead, brief].map(|session| session.token.id);
    assert_eq!(list("", &[TokenState::Active]).await, std::slice::from_ref(&live));
    assert_eq!(list("", &[TokenState::Revoked]).await, std::slice::from_ref(&dead));
    assert_eq!(list("", &[TokenState::Expired]).await, [brief]);
    let mut both = [live, dead];
    both.sort();
    assert_eq!(list("personal", &[]).await, both);
    assert_eq!(list("personal", &[TokenState::Expired]).await, [""; 0]);
}

#[tokio::test]
async fn takes_a_page_token_for_its_own_list_alone() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    five(&world, &alice).await;
    five(&world, &bob).await;
    let api = alice.api();
    let token = api.list_tokens(page(2, "")).await.unwrap().next_page_token;
    let invalid = (Code::InvalidArgument, ErrorReason::InvalidField);
    let profile = "personal".to_owned();
    let states = vec![TokenState::Active.into()];
    let mut flipped = token.clone().into_bytes();
    flipped[3] = if flipped[3] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let user_id = alice.id.clone();
    for refused in [
        bob.api().list_tokens(page(2, &token)).await.unwrap_err(),
        api.list_tokens(pb::ListTokensRequest { profile, ..page(2, &token) }).await.unwrap_err(),
        api.list_tokens(pb::ListTokensRequest { states, ..page(2, &token) }).await.unwrap_err(),
        api.list_tokens(page(2, &flipped)).await.unwrap_err(),
        api.list_tokens(page(2, &token[..10])).await.unwrap_err(),
        api.list_tokens(page(2, &format!("{token}AA"))).await.unwrap_err(),
        api.list_tokens(page(2, "not base64!")).await.unwrap_err(),
    ] {
        assert_eq!(refused, invalid);
        assert_eq!(refused.fields, ["page_token"]);
    }
    let admin = world.admin().api();
    for refused in [
        admin
            .list_users(pb::ListUsersRequest { page_token: token.clone(), ..Default::default() })
            .await
            .unwrap_err(),
        admin
            .list_roles(pb::ListRolesRequest { page_token: token.clone(), ..Default::default() })
            .await
            .unwrap_err(),
        admin
            .list_audit_events(pb::ListAuditEventsRequest {
                page_token: token.clone(),
                ..Default::default()
            })
            .await
            .unwrap_err(),
    ] {
        assert_eq!(refused.fields, ["page_token"]);
    }
    // The size is not part of the query, and naming oneself is the same list.
    let request = pb::ListTokensRequest { user_id, ..page(1, &token) };
    assert!(api.list_tokens(request).await.is_ok());
}

#[tokio::test]
async fn takes_no_page_token_of_another_realm() {
    let world = World::with(|settings| settings.realms = vec!["tenant".to_owned()]).await;
    for realm in ["default", "tenant"] {
        for name in ["a", "b", "c"] {
            world.user(name).of(realm).await;
        }
    }
    let admin = world.admin().api();
    let list = |realm: &str, token: &str| pb::ListUsersRequest {
        realm: realm.to_owned(),
        page_size: 1,
        page_token: token.to_owned(),
    };
    let first = admin.list_users(list("default", "")).await.unwrap();
    let refused = admin.list_users(list("tenant", &first.next_page_token)).await.unwrap_err();
    assert_eq!(refused.fields, ["page_token"]);
    // Its own realm by another spelling is the same list.
    assert!(admin.list_users(list("", &first.next_page_token)).await.is_ok());
}

#[tokio::test]
async fn holds_a_page_to_its_bounds() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    five(&world, &alice).await;
    let refused = alice.api().list_tokens(page(-1, "")).await.unwrap_err();
    assert_eq!(refused.fields, ["page_size"]);
    for size in [0, 5, 500, i32::MAX] {
        let answer = alice.api().list_tokens(page(size, "")).await.unwrap();
        assert_eq!((answer.tokens.len(), &*answer.next_page_token), (5, ""), "{size}");
    }
}

#[tokio::test]
async fn lists_users_and_roles_by_name() {
    let world = World::start().await;
    for name in ["Zed", "bob", "Alice"] {
        world.user(name).with(["orders:read"]).await;
    }
    let admin = world.admin().api();
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let request =
            pb::ListUsersRequest { page_size: 3, page_token: token, ..Default::default() };
        let answer = admin.list_users(request).await.unwrap();
        names.extend(answer.users.into_iter().map(|user| user.username));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["admin", "Alice", "bob", "Zed"]);
    let request = pb::ListRolesRequest { page_size: 3, ..Default::default() };
    let first = admin.list_roles(request).await.unwrap();
    let request = pb::ListRolesRequest { page_token: first.next_page_token, ..Default::default() };
    let second = admin.list_roles(request).await.unwrap();
    let ids: Vec<_> = first.roles.into_iter().chain(second.roles).map(|role| role.id).collect();
    assert_eq!(ids, ["Alice", "Zed", "admin", "bob"]);
}

#[tokio::test]
async fn notes_the_first_use_and_then_one_a_minute() {
    let mut world = World::start().await;
    let alice = world.user("alice").await;
    let sessions = [alice.sign_in_to("azion").await, alice.sign_in().await];
    let began = world.clock().now();
    let check = async |world: &World| {
        for session in &sessions {
            assert_eq!(world.check(&session.operation).await, Verdict::Allow);
        }
    };
    check(&world).await;
    world.advance(Duration::from_secs(59));
    check(&world).await;
    // What was noted is written at the end.
    world.restart().await;
    for session in &sessions {
        assert_eq!(last_use(&alice, session).await, Some(began.seconds()), "the first");
    }
    check(&world).await;
    world.advance(Duration::from_mins(1));
    check(&world).await;
    world.restart().await;
    for session in &sessions {
        assert_eq!(last_use(&alice, session).await, Some(began.seconds() + 119), "a minute later");
    }
}

async fn last_use(alice: &Actor, session: &Session) -> Option<i64> {
    let request = pb::GetTokenRequest { token_id: session.token.id.clone() };
    let token = alice.api().get_token(request).await.unwrap().token.unwrap();
    token.last_use_time.map(|time| time.seconds)
}
