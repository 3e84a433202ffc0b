//! Personal tokens: made by a user for a program of theirs, with a name, until a date or for ever.

use std::time::Duration;

use tokend::domain::clock::Clock as _;
use tokend::pb::create_token_request::Lifetime;
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, TokenKind, TokenState};

use crate::support::{Actor, Session, Verdict, World};

/// The profiles, each with what its secrets and ids begin with and how long the secrets are.
const PROFILES: [(&str, &str, &str, usize); 3] = [
    ("personal", "tkd_", "", 47),
    ("apinizer-personal", "apnz_", "", 40),
    ("epilot", "tkd_", "api_", 47),
];

async fn list(user: &Actor, profile: &str) -> Vec<pb::Token> {
    let (profile, states) = (profile.to_owned(), vec![TokenState::Active.into()]);
    let request = pb::ListTokensRequest { profile, states, ..Default::default() };
    user.api().list_tokens(request).await.unwrap().tokens
}

/// One without an end, made a second before one with an end.
async fn two(world: &World, user: &Actor, profile: &str, end: i64) -> [Session; 2] {
    let end = prost_types::Timestamp { seconds: end, nanos: 0 };
    let endless = user.draft(profile).named("for ever").make().await.unwrap();
    world.advance(Duration::from_secs(1));
    let dated = user.draft(profile).named("a day").lifetime(Lifetime::ExpireTime(end));
    [endless, dated.make().await.unwrap()]
}

#[tokio::test]
async fn lives_until_its_date_or_until_it_is_revoked() {
    for (profile, prefix, id_prefix, length) in PROFILES {
        let world = World::start().await;
        let alice = world.user("alice").with(["orders:read"]).await;
        let end = world.clock().now().seconds() + 24 * 3600;
        let [endless, dated] = two(&world, &alice, profile, end).await;
        assert_eq!(endless.token.expire_time, None, "{profile}");
        assert_eq!(dated.token.expire_time.unwrap().seconds, end, "{profile}");
        for made in [&endless, &dated] {
            let secret = &made.operation;
            assert!(secret.starts_with(prefix) && secret.len() == length, "{profile}: {secret}");
            assert!(made.token.id.starts_with(id_prefix), "{profile}");
            assert_eq!(made.token.kind(), TokenKind::Personal, "{profile}");
        }
        let check = |session: &Session| world.check(&session.operation).permission("orders:read");
        assert_eq!(check(&dated).await, Verdict::Allow, "{profile}");
        world.advance(Duration::from_hours(24) - Duration::from_secs(2));
        assert_eq!(check(&dated).await, Verdict::Allow, "{profile}");
        world.advance(Duration::from_secs(1));
        assert_eq!(check(&dated).await, Verdict::Deny(DenyReason::ExpiredToken), "{profile}");

        world.advance(Duration::from_hours(10 * 365 * 24));
        assert_eq!(check(&endless).await, Verdict::Allow, "{profile}");
        let target = Some(Target::TokenId(endless.token.id.clone()));
        let request = pb::RevokeTokenRequest { target, ..Default::default() };
        assert_eq!(alice.api().revoke_token(request).await.unwrap().revoked_count, 1);
        assert_eq!(check(&endless).await, Verdict::Deny(DenyReason::RevokedToken), "{profile}");
    }
}

#[tokio::test]
async fn is_listed_by_its_name_and_never_shown_again() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let end = world.clock().now().seconds() + 24 * 3600;
    for (profile, ..) in PROFILES {
        let [endless, dated] = two(&world, &alice, profile, end).await;
        let listed = list(&alice, profile).await;
        assert_eq!(listed, [dated.token.clone(), endless.token.clone()], "{profile}");
        let names: Vec<_> = listed.iter().map(|token| token.display_name.as_str()).collect();
        assert_eq!(names, ["a day", "for ever"], "{profile}: the newest first");
        let gone = endless.revoke().await;
        assert_eq!((gone, list(&alice, profile).await), (Ok(1), vec![dated.token]), "{profile}");
    }
}
