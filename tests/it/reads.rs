//! What a call costs the database, counted at the driver.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokend::config::Settings;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::alone::{Log, alone};
use crate::support::{Verdict, World};

const UNKNOWN: Verdict = Verdict::Deny(DenyReason::UnknownToken);

/// A world whose first housekeeping is over: the next comes after half a minute.
pub(crate) async fn quiet(log: &Log) -> World {
    quiet_with(log, |_| {}).await
}

/// The same with settings that a test changes.
pub(crate) async fn quiet_with(log: &Log, change: impl FnOnce(&mut Settings)) -> World {
    // The first world of a process makes the files of all.
    World::start().await.stop().await;
    let from = log.count();
    let world = World::with(change).await;
    log.wait_until(|statements| is_over(&statements[from..])).await;
    world
}

/// Whether a purge ran that found nothing: one that removed something is followed by another.
fn is_over(statements: &[String]) -> bool {
    let mut purges: Vec<_> = statements
        .split_inclusive(|statement| statement.contains("DELETE FROM \"attempts\""))
        .collect();
    purges.pop_if(|last| !last.last().is_some_and(|end| end.contains("DELETE FROM \"attempts\"")));
    purges.iter().any(|purge| !purge.iter().any(|ran| ran.contains("DELETE FROM \"changes\"")))
}

/// Digits that differ with each call, from a generator that any reader can run.
fn digits(seed: &mut u64, alphabet: &[u8], count: usize) -> String {
    let next = |_| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(alphabet[usize::try_from(*seed >> 33).unwrap() % alphabet.len()])
    };
    (0..count).map(next).collect()
}

#[tokio::test]
async fn counts_what_the_driver_runs() {
    let Some(log) = alone("reads::counts_what_the_driver_runs") else { return };
    let world = quiet(&log).await;
    let from = log.count();
    world.user("alice").await;
    let statements = log.statements_since(from);
    assert!(statements.iter().any(|text| text.contains("INSERT INTO \"users\"")), "{statements:?}");
}

#[tokio::test]
async fn reads_nothing_for_a_thousand_forged_tokens() {
    let Some(log) = alone("reads::reads_nothing_for_a_thousand_forged_tokens") else { return };
    let world = quiet(&log).await;
    let base62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut seed = 7;
    let from = log.count();
    for _ in 0..200 {
        for token in [
            format!("tkd_{}", digits(&mut seed, base62, 43)),
            format!("tkr_{}", digits(&mut seed, base62, 43)),
            format!("apnz_{}", digits(&mut seed, base62, 35)),
            digits(&mut seed, &base62[..16], 40).to_lowercase(),
            digits(&mut seed, &base62[..36], 32).to_lowercase(),
        ] {
            assert_eq!(world.check(&token).permission("a").await, UNKNOWN, "{token}");
            let refused = world.nobody().bearing(&token);
            let refused = refused.get_caller(pb::GetCallerRequest {}).await.unwrap_err();
            assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid));
        }
    }
    assert_eq!(log.statements_since(from), [""; 0]);
}

#[tokio::test]
async fn reads_nothing_for_a_forged_jwt() {
    let Some(log) = alone("reads::reads_nothing_for_a_forged_jwt") else { return };
    let world = quiet(&log).await;
    let session = world.user("alice").await.sign_in().await;
    let (message, signature) = session.operation.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let header_with = |from: &str, to: &str| {
        let changed = text(header).replacen(from, to, 1);
        assert_ne!(changed, text(header));
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(changed))
    };
    let kid: serde_json::Value = serde_json::from_str(&text(header)).unwrap();
    let kid = kid["kid"].as_str().unwrap();
    let jti = payload.replacen(&payload[20..24], "AAAA", 1);
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = [
        format!("{message}.{flipped}{}", &signature[1..]),
        format!("{header}.{jti}.{signature}"),
        header_with(kid, "unknown"),
        header_with(kid, "../../key"),
        header_with(kid, &"k".repeat(10_000)),
        header_with("EdDSA", "none"),
        header_with("EdDSA", "HS256"),
        header_with("at+jwt", "JWT"),
        format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#)),
    ];
    let from = log.count();
    for token in &forged {
        assert_eq!(world.check(token).await, UNKNOWN, "{token}");
    }
    assert_eq!(log.statements_since(from), [""; 0]);
}

#[tokio::test]
async fn reads_nothing_for_a_check_that_was_made_before() {
    let Some(log) = alone("reads::reads_nothing_for_a_check_that_was_made_before") else { return };
    let world = quiet(&log).await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let tokens = alice.every_kind().await;
    for (_, session) in &tokens {
        assert_eq!(world.check(&session.operation).permission("orders:read").await, Verdict::Allow);
    }
    let from = log.count();
    for (kind, session) in &tokens {
        for _ in 0..10 {
            let check = world.check(&session.operation).permission("orders:read");
            assert_eq!(check.await, Verdict::Allow, "{kind}");
            let check = world.check(&session.operation).permission("orders:write");
            assert_eq!(check.await, Verdict::Deny(DenyReason::MissingPermission), "{kind}");
        }
    }
    assert_eq!(log.statements_since(from), [""; 0]);
}

#[tokio::test]
async fn reads_nothing_for_what_is_known_to_be_revoked() {
    let Some(log) = alone("reads::reads_nothing_for_what_is_known_to_be_revoked") else { return };
    let world = quiet(&log).await;
    let tokens = world.user("alice").await.every_kind().await;
    for (_, session) in &tokens {
        session.revoke().await.unwrap();
        world.check(&session.operation).await;
    }
    let from = log.count();
    for (kind, session) in &tokens {
        let verdict = world.check(&session.operation).await;
        assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken), "{kind}");
    }
    assert_eq!(log.statements_since(from), [""; 0]);
}

#[tokio::test]
async fn costs_a_wrong_password_the_same_whether_or_not_the_name_exists() {
    let test = "reads::costs_a_wrong_password_the_same_whether_or_not_the_name_exists";
    let Some(log) = alone(test) else { return };
    let world = quiet(&log).await;
    let mut alice = world.user("alice").await;
    let mut disabled = world.user("disabled").await;
    world.admin().set_state(&disabled, pb::UserState::Disabled).await;
    let mut nobody = alice.clone();
    nobody.username = "nobody".to_owned();
    let mut costs = Vec::new();
    for user in [&mut alice, &mut nobody, &mut disabled] {
        user.password = "a guess".to_owned();
        costs.push(statements_of_a_failure(&log, user).await);
    }
    assert!(costs.iter().all(|cost| *cost == costs[0] && *cost > 0), "{costs:?}");
}

async fn statements_of_a_failure(log: &Arc<Log>, user: &crate::support::Actor) -> usize {
    // The first failure of a name may make its row.
    assert!(user.draft("operation").make().await.is_err());
    let from = log.count();
    assert!(user.draft("operation").make().await.is_err());
    log.statements_since(from).len()
}

/// How many statements a new password costs whose user keeps so many personal tokens, each with a
/// JWT and an opaque token that were made from it.
async fn statements_of_a_password(log: &Log, world: &World, kept: usize) -> usize {
    let mut user = world.user(&format!("with-{kept}")).with(["token:create"]).await;
    let session = user.sign_in().await;
    let mut tokens = Vec::new();
    for _ in 0..kept {
        let personal = session.draft("personal").make().await.unwrap();
        for profile in ["operation", "azion"] {
            personal.draft(profile).make().await.unwrap();
        }
        tokens.push(personal);
    }
    let request = pb::SetPasswordRequest {
        credential: Some(pb::set_password_request::Credential::Password("new".to_owned())),
        old_password: user.password.clone(),
        keep_personal_tokens: true,
        ..Default::default()
    };
    let from = log.count();
    user.api().set_password(request).await.unwrap();
    let statements = log.statements_since(from).len();
    "new".clone_into(&mut user.password);
    for token in [tokens.first(), tokens.last()] {
        assert_eq!(world.check(&token.unwrap().operation).await, Verdict::Allow, "{kept}");
    }
    statements
}

#[tokio::test]
async fn costs_a_new_password_as_much_for_a_few_kept_tokens_as_for_hundreds() {
    let test = "reads::costs_a_new_password_as_much_for_a_few_kept_tokens_as_for_hundreds";
    let Some(log) = alone(test) else { return };
    let world = quiet(&log).await;
    let few = statements_of_a_password(&log, &world, 16).await;
    let many = statements_of_a_password(&log, &world, 128).await;
    // What the service does by itself may come in between.
    assert!(many <= few + 8, "{few} and {many}");
}

/// What a revocation may cost, beside the beginning and the end of its transaction and two reads of
/// the tail.
const MOST_FOR_A_REVOCATION: usize = 10;

/// What it may cost beside that to judge a caller by the rows that their rights come from.
const MOST_FOR_A_JUDGEMENT: usize = 4;

#[tokio::test]
async fn costs_a_revocation_few_statements() {
    let Some(log) = alone("reads::costs_a_revocation_few_statements") else { return };
    let world = quiet(&log).await;
    let alice = world.user("alice").with(["token:create"]).await;
    let admin = world.admin().sign_in().await;
    let mut costs = Vec::new();
    for (kind, session) in alice.every_kind().await {
        let from = log.count();
        assert_eq!(session.revoke().await.unwrap(), 1, "{kind}");
        costs.push((kind, "by its secret", MOST_FOR_A_REVOCATION, log.statements_since(from)));
        let from = log.count();
        assert_eq!(session.revoke().await.unwrap(), 0, "{kind}");
        costs.push((kind, "once more", MOST_FOR_A_REVOCATION, log.statements_since(from)));
    }
    let most = MOST_FOR_A_REVOCATION + MOST_FOR_A_JUDGEMENT;
    for (kind, session) in alice.every_kind().await {
        let target = Some(pb::revoke_token_request::Target::TokenId(session.token.id));
        let request = pb::RevokeTokenRequest { target, ..Default::default() };
        let from = log.count();
        let answer = admin.api().revoke_token(request).await;
        // What a refresh made has no row to be found by.
        let has_row = !kind.ends_with("refresh");
        assert_eq!(answer.is_ok_and(|answer| answer.revoked_count == 1), has_row, "{kind}");
        costs.push((kind, "by its id, by another", most, log.statements_since(from)));
    }
    for (kind, how, most, statements) in costs {
        let count = statements.len();
        assert!((1..=most).contains(&count), "{kind}, {how}: {count}: {statements:#?}");
    }
}
