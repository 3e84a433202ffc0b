//! Making tokens: for whom, with what, for how long.

use std::time::Duration;

use tokend::domain::clock::Clock as _;
use tokend::pb::create_token_request::{Credential, Lifetime};
use tokend::pb::{self, DenyReason, ErrorReason, TokenKind};
use tonic::Code;

use crate::support::{Verdict, World};

const MISSING: Verdict = Verdict::Deny(DenyReason::MissingPermission);
const DENIED: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);
const NOT_HELD: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::RoleNotHeld);

fn ttl(seconds: i64, nanos: i32) -> Lifetime {
    Lifetime::Ttl(prost_types::Duration { seconds, nanos })
}

fn until(seconds: i64) -> Lifetime {
    Lifetime::ExpireTime(prost_types::Timestamp { seconds, nanos: 0 })
}

/// A world with the roles `reader` and `writer`, and `alice` who has both.
async fn two_roles() -> (World, crate::support::Actor) {
    let world = World::start().await;
    world.admin().put_role("reader", ["orders:read", "token:create"]).await;
    world.admin().put_role("writer", ["orders:write"]).await;
    let alice = world.user("alice").roles(["reader", "writer"]).await;
    (world, alice)
}

#[tokio::test]
async fn says_all_of_a_token_and_never_its_secret_again() {
    let (world, alice) = two_roles().await;
    let made = alice.draft("personal").named("for the robot").make().await.unwrap();
    assert_eq!(made.refresh, "");
    let request = pb::GetTokenRequest { token_id: made.token.id.clone() };
    let token = alice.api().get_token(request).await.unwrap().token.unwrap();
    assert_eq!(token, made.token);
    assert_eq!(token.display_name, "for the robot");
    assert_eq!((token.profile.as_str(), token.kind()), ("personal", TokenKind::Personal));
    assert_eq!((&token.user_id, token.inherits_roles), (&alice.id, true));
    assert_eq!(token.role_ids, ["reader", "writer"]);
    assert_eq!(token.expire_time, None);
    assert_eq!(token.create_time.unwrap().seconds, world.clock().now().seconds());
}

#[tokio::test]
async fn takes_the_password_of_the_metadata_too() {
    let (world, alice) = two_roles().await;
    let answer = alice.api().create_token(pb::CreateTokenRequest::default()).await.unwrap();
    let secret = answer.token.unwrap().secret;
    assert_eq!(world.check(&secret).await, Verdict::Allow);
    assert!(answer.refresh_token.is_some());
    let nobody = world.nobody().create_token(pb::CreateTokenRequest::default()).await.unwrap_err();
    assert_eq!(nobody, (Code::Unauthenticated, ErrorReason::BadCredentials));
}

#[tokio::test]
async fn lets_the_credential_of_the_body_beat_the_metadata() {
    let (world, alice) = two_roles().await;
    let bob = world.user("bob").await;
    let request =
        pb::CreateTokenRequest { credential: Some(bob.credential()), ..Default::default() };
    let answer = alice.api().create_token(request).await.unwrap();
    assert_eq!(answer.token.unwrap().token.unwrap().user_id, bob.id);
}

#[tokio::test]
async fn gives_a_token_the_roles_that_were_chosen_and_no_other() {
    let (world, alice) = two_roles().await;
    for profile in ["operation", "azion", "personal"] {
        let token = alice.draft(profile).roles(["reader"]).make().await.unwrap();
        assert_eq!(
            (&*token.token.role_ids, token.token.inherits_roles),
            (&["reader".into()][..], false)
        );
        let check = |permission| world.check(&token.operation).permission(permission);
        assert_eq!(check("orders:read").await, Verdict::Allow, "{profile}");
        assert_eq!(check("orders:write").await, MISSING, "{profile}");
        let none = alice.draft(profile).roles([]).make().await.unwrap();
        assert_eq!(none.token.role_ids, [""; 0]);
        assert_eq!(world.check(&none.operation).await, Verdict::Allow, "{profile}");
        let check = world.check(&none.operation).permission("orders:read");
        assert_eq!(check.await, MISSING, "{profile}");
    }
}

#[tokio::test]
async fn follows_the_users_roles_where_none_were_chosen() {
    let (world, alice) = two_roles().await;
    world.admin().put_role("packer", ["parcels:pack"]).await;
    let (inherited, chosen) =
        (alice.sign_in().await, alice.draft("operation").roles(["reader"]).make().await.unwrap());
    world.admin().set_roles(&alice, ["packer"]).await;
    let check = |token: &str, permission| world.check(token).permission(permission);
    assert_eq!(check(&inherited.operation, "parcels:pack").await, Verdict::Allow);
    assert_eq!(check(&inherited.operation, "orders:read").await, MISSING);
    assert_eq!(check(&chosen.operation, "parcels:pack").await, MISSING);
    assert_eq!(check(&chosen.operation, "orders:read").await, MISSING);
}

#[tokio::test]
async fn refuses_roles_that_are_not_held_or_come_twice() {
    let (world, alice) = two_roles().await;
    world.admin().put_role("boss", ["*"]).await;
    for role in ["boss", "admin", "no-such-role"] {
        let refused = alice.draft("personal").roles(["reader", role]).make().await.err().unwrap();
        assert_eq!(refused, NOT_HELD, "{role}");
        assert_eq!(refused.metadata["role_id"], role);
    }
    let twice = alice.draft("personal").roles(["reader", "writer", "reader"]).make().await;
    assert_eq!(twice.err().unwrap().fields, ["roles.role_ids[2]"]);
    let wild = alice.draft("personal").roles(["*"]).make().await;
    assert_eq!(wild.err().unwrap().fields, ["roles.role_ids[0]"]);
}

#[tokio::test]
async fn passes_on_by_a_token_no_more_than_the_token_has() {
    let (world, alice) = two_roles().await;
    let narrow = alice.draft("operation").roles(["reader"]).make().await.unwrap();
    let wider = narrow.draft("personal").roles(["writer"]).make().await.err().unwrap();
    assert_eq!(wider, NOT_HELD);
    for draft in [narrow.draft("personal"), narrow.draft("azion").roles(["reader"])] {
        let child = draft.make().await.unwrap();
        assert_eq!(child.token.role_ids, ["reader"]);
        let check = |permission| world.check(&child.operation).permission(permission);
        assert_eq!(check("orders:read").await, Verdict::Allow);
        assert_eq!(check("orders:write").await, MISSING);
    }
}

#[tokio::test]
async fn makes_no_token_from_one_that_may_not() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await.sign_in().await;
    let refused = alice.draft("personal").make().await.err().unwrap();
    assert_eq!(refused, DENIED);
    assert_eq!(refused.metadata["permission"], "token:create");
    let request = pb::CreateTokenRequest {
        credential: Some(Credential::BearerToken(alice.refresh.clone())),
        ..Default::default()
    };
    let refused = world.nobody().create_token(request).await.unwrap_err();
    assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid));
    assert!(alice.refresh().await.is_ok(), "it was not consumed");
}

#[tokio::test]
async fn makes_tokens_for_a_user_without_proof_for_the_operator_alone() {
    let (world, alice) = two_roles().await;
    let request = pb::CreateTokenRequest {
        credential: Some(Credential::UserId(alice.id.clone())),
        ..Default::default()
    };
    for api in [world.admin().api(), alice.api(), world.nobody()] {
        assert!(api.create_token(request.clone()).await.is_err());
    }
}

#[tokio::test]
async fn makes_no_token_that_outlives_the_sign_in_it_is_made_from() {
    let (world, alice) = two_roles().await;
    let session = alice.sign_in_to("azion").await;
    let child = session.draft("azion").make().await.unwrap();
    assert_eq!(child.token.expire_time, session.token.expire_time);
    assert_eq!(child.token.grant_id, session.token.grant_id);
    world.advance(Duration::from_hours(23));
    let refused = session.draft("azion").lifetime(ttl(2 * 3600, 0)).make().await.err().unwrap();
    assert_eq!(refused.fields, ["ttl"]);
    assert!(session.draft("azion").lifetime(ttl(3600, 0)).make().await.is_ok());
}

#[tokio::test]
async fn refuses_every_lifetime_that_it_would_have_to_clamp() {
    let (world, alice) = two_roles().await;
    let now = world.clock().now().seconds();
    let year = 365 * 24 * 3600;
    let cases = [
        ("operation", ttl(-1, 0), "ttl"),
        ("operation", ttl(0, 0), "ttl"),
        ("operation", ttl(0, 999_999_999), "ttl"),
        ("operation", ttl(1, -5), "ttl"),
        ("operation", ttl(1, i32::MAX), "ttl"),
        ("operation", ttl(901, 0), "ttl"),
        ("operation", ttl(i64::MAX, 0), "ttl"),
        ("operation", ttl(i64::MIN, 0), "ttl"),
        ("personal", ttl(i64::MAX, 0), "ttl"),
        ("personal", ttl(8000 * i64::from(year), 0), "ttl"),
        ("operation", until(now), "expire_time"),
        ("operation", until(now - 1), "expire_time"),
        ("operation", until(-1), "expire_time"),
        ("operation", until(now + 901), "expire_time"),
        ("personal", until(i64::MAX), "expire_time"),
        ("personal", until(253_402_300_800), "expire_time"),
        ("operation", Lifetime::NeverExpires(true), "never_expires"),
        ("epilot", Lifetime::NeverExpires(true), "never_expires"),
        ("epilot", ttl(i64::from(year) + 1, 0), "ttl"),
    ];
    for (profile, lifetime, field) in cases {
        let made = alice.draft(profile).lifetime(lifetime).make().await;
        let refused = made.err().unwrap_or_else(|| panic!("{profile}: {lifetime:?}"));
        assert_eq!(refused.fields, [field], "{profile}: {lifetime:?}");
        assert_eq!(refused.code, Code::InvalidArgument);
    }
}

#[tokio::test]
async fn gives_a_token_the_lifetime_that_was_chosen() {
    let (world, alice) = two_roles().await;
    let now = world.clock().now().seconds();
    let cases = [
        ("operation", ttl(60, 0), Some(now + 60)),
        ("operation", ttl(900, 0), Some(now + 900)),
        ("personal", until(now + 5), Some(now + 5)),
        ("personal", Lifetime::NeverExpires(true), None),
        ("epilot", ttl(365 * 24 * 3600, 0), Some(now + 365 * 24 * 3600)),
    ];
    for (profile, lifetime, end) in cases {
        let made = alice.draft(profile).lifetime(lifetime).make().await.unwrap();
        assert_eq!(made.token.expire_time.map(|end| end.seconds), end, "{profile}: {lifetime:?}");
    }
}

#[tokio::test]
async fn names_every_faulty_field_at_once() {
    let world = World::start().await;
    let password = pb::PasswordCredential {
        realm: "nowhere".to_owned(),
        username: "a:b".to_owned(),
        password: "x".repeat(1025),
        accept_final_newline: false,
    };
    let request = pb::CreateTokenRequest {
        credential: Some(Credential::Password(password)),
        profile: "operation".to_owned(),
        display_name: "n".repeat(256),
        lifetime: Some(ttl(-5, 0)),
        roles: Some(pb::RoleSelection { role_ids: vec!["a b".to_owned()] }),
    };
    let mut refused = world.nobody().create_token(request.clone()).await.unwrap_err();
    assert_eq!(refused, (Code::InvalidArgument, ErrorReason::InvalidField));
    refused.fields.sort();
    let fields = [
        "display_name",
        "password.password",
        "password.realm",
        "password.username",
        "roles.role_ids[0]",
        "ttl",
    ];
    assert_eq!(refused.fields, fields);
    let request = pb::CreateTokenRequest { profile: "no-such".to_owned(), ..request };
    let refused = world.nobody().create_token(request).await.unwrap_err();
    assert!(refused.fields.contains(&"profile".to_owned()), "{:?}", refused.fields);
}

#[tokio::test]
async fn wants_a_user_with_a_role_where_the_profile_does() {
    let (world, alice) = two_roles().await;
    let nobody = world.user("nobody").await;
    let refused = nobody.draft("magento-admin").make().await.err().unwrap();
    assert_eq!(refused, (Code::PermissionDenied, ErrorReason::UserWithoutRole));
    let made = alice.sign_in_to("magento-admin").await;
    assert_eq!(world.check(&made.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn revokes_the_longest_unused_token_beyond_the_bound_of_a_profile() {
    let world = World::with(|settings| {
        settings.profiles.get_mut("personal").unwrap().max_live_per_user = Some(2);
    })
    .await;
    let alice = world.user("alice").with(["token:create"]).await;
    let first = alice.sign_in_to("personal").await;
    let made = [first.draft("operation").make().await, first.draft("azion").make().await];
    world.advance(Duration::from_secs(1));
    let second = alice.sign_in_to("personal").await;
    world.advance(Duration::from_secs(1));
    let third = alice.sign_in_to("personal").await;
    let revoked = Verdict::Deny(DenyReason::RevokedToken);
    assert_eq!(world.check(&first.operation).await, revoked);
    for token in made {
        assert_eq!(world.check(&token.unwrap().operation).await, revoked, "made from it");
    }
    for token in [second, third] {
        assert_eq!(world.check(&token.operation).await, Verdict::Allow);
    }
}
