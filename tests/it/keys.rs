//! Signing keys: replaced without a failed check, ended with all that they signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokend::pb::{self, DenyReason, ErrorReason, SigningKeyState};
use tonic::Code;

use crate::support::{Kind, Verdict, World};

const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);

/// The key that a JWT says it was signed by.
fn kid(jwt: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn of(profile: &str) -> pb::RotateSigningKeyRequest {
    pb::RotateSigningKeyRequest { profile: profile.to_owned(), skip_wait: false }
}

fn key(id: &str) -> pb::RetireSigningKeyRequest {
    pb::RetireSigningKeyRequest { key_id: id.to_owned(), skip_wait: false }
}

#[tokio::test]
async fn verifies_what_an_old_key_signed_after_a_rotation() {
    let mut world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    for profile in ["operation", "apinizer", "harperdb"] {
        let old = alice.sign_in_to(profile).await;
        let rotated = admin.rotate_signing_key(of(profile)).await.unwrap().key.unwrap();
        let new = alice.sign_in_to(profile).await;
        assert_ne!(kid(&old.operation), kid(&new.operation), "{profile}");
        assert_eq!(kid(&new.operation), rotated.id, "{profile}");
        assert_eq!(rotated.state(), SigningKeyState::Active);
        for session in [&old, &new] {
            assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{profile}");
        }
        if !old.refresh.is_empty() {
            let refreshed = old.refresh().await.unwrap();
            assert_eq!(kid(&refreshed.operation), rotated.id, "{profile}");
        }
        world.restart().await;
        assert_eq!(world.check(&old.operation).await, Verdict::Allow, "{profile}: restarted");
    }
}

#[tokio::test]
async fn ends_at_once_all_that_a_retired_key_signed() {
    let mut world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    for profile in ["operation", "apinizer", "harperdb"] {
        let old = alice.sign_in_to(profile).await;
        assert_eq!(world.check(&old.operation).await, Verdict::Allow);
        let retired = admin.retire_signing_key(key(&kid(&old.operation))).await.unwrap();
        assert_eq!(retired.key.unwrap().state(), SigningKeyState::Retired);
        assert_eq!(world.check(&old.operation).await, REVOKED, "{profile}");
        let caller = old.api().get_caller(pb::GetCallerRequest {}).await.unwrap_err();
        assert_eq!(caller, (Code::Unauthenticated, ErrorReason::TokenInvalid), "{profile}");
        let new = alice.sign_in_to(profile).await;
        assert_eq!(world.check(&new.operation).await, Verdict::Allow, "{profile}: a new key");
        let again = admin.retire_signing_key(key(&kid(&old.operation))).await.unwrap();
        assert_eq!(again.key.unwrap().state(), SigningKeyState::Retired);
        world.restart().await;
        assert_eq!(world.check(&old.operation).await, REVOKED, "{profile}: restarted");
        assert_eq!(world.check(&new.operation).await, Verdict::Allow, "{profile}: restarted");
    }
}

#[tokio::test]
async fn goes_on_with_an_opaque_refresh_token_after_a_key_was_retired() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let request = key(&kid(&session.operation));
    world.admin().api().retire_signing_key(request).await.unwrap();
    let refreshed = session.refresh().await.unwrap();
    assert_eq!(world.check(&refreshed.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn retires_an_old_key_and_leaves_the_one_that_signs() {
    let world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    let old = alice.sign_in().await;
    let rotated = admin.rotate_signing_key(of("")).await.unwrap().key.unwrap();
    let new = alice.sign_in().await;
    admin.retire_signing_key(key(&kid(&old.operation))).await.unwrap();
    assert_eq!(world.check(&old.operation).await, REVOKED);
    assert_eq!(world.check(&new.operation).await, Verdict::Allow);
    assert_eq!(kid(&alice.sign_in().await.operation), rotated.id);
}

#[tokio::test]
async fn publishes_what_verifies_and_nothing_symmetric() {
    let world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    let published = async || {
        let request = pb::GetPublicKeysRequest {};
        world.nobody().get_public_keys(request).await.unwrap().keys
    };
    let ids = async || published().await.into_iter().map(|key| key.kid).collect::<Vec<_>>();
    let algorithms: Vec<_> = published().await.into_iter().map(|key| key.alg).collect();
    assert!(algorithms.contains(&"EdDSA".to_owned()) && algorithms.contains(&"RS256".to_owned()));
    assert!(!algorithms.contains(&"HS256".to_owned()), "{algorithms:?}");
    let old = kid(&alice.sign_in().await.operation);
    let new = admin.rotate_signing_key(of("operation")).await.unwrap().key.unwrap().id;
    assert!(ids().await.contains(&old) && ids().await.contains(&new));
    admin.retire_signing_key(key(&old)).await.unwrap();
    assert!(!ids().await.contains(&old));
}

#[tokio::test]
async fn lists_keys_newest_first_without_their_secrets() {
    let world = World::start().await;
    let admin = world.admin().api();
    let before = kid(&world.user("alice").await.sign_in().await.operation);
    world.advance(std::time::Duration::from_secs(1));
    let after = admin.rotate_signing_key(of("operation")).await.unwrap().key.unwrap().id;
    let request = pb::ListSigningKeysRequest { profile: "operation".to_owned() };
    let keys = admin.list_signing_keys(request).await.unwrap().keys;
    let listed: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.state())).collect();
    let states = [SigningKeyState::Active, SigningKeyState::Verifying];
    assert_eq!(listed, [(&*after, states[0]), (&*before, states[1])]);
}

#[tokio::test]
async fn says_what_is_wrong_with_a_key_request() {
    let world = World::start().await;
    let admin = world.admin().api();
    for profile in ["azion", "no-such"] {
        let refused = admin.rotate_signing_key(of(profile)).await.unwrap_err();
        assert_eq!(refused.fields, ["profile"], "{profile}");
    }
    let refused = admin.retire_signing_key(key("0123456789abcdef")).await.unwrap_err();
    assert_eq!(refused, (Code::NotFound, ErrorReason::KeyNotFound));
    let refused = admin.retire_signing_key(key("../../key")).await.unwrap_err();
    assert_eq!(refused.fields, ["key_id"]);
}

#[tokio::test]
async fn goes_on_without_a_signing_key_that_does_not_open() {
    let mut world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    let (old, other) = (alice.sign_in_to("harperdb").await, alice.sign_in_to("azion").await);
    // It is sealed together with the algorithm.
    let keys = if world.database().kind() == Kind::Mariadb { "`keys`" } else { "keys" };
    let spoil = format!("UPDATE {keys} SET algorithm = 'none' WHERE profile = 'harperdb'");
    world.database().run(&spoil);
    for restarted in [false, true] {
        // The keys are read again.
        admin.rotate_signing_key(of("operation")).await.unwrap();
        let new = alice.sign_in().await;
        for session in [&other, &new] {
            assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{restarted}");
        }
        let unknown = Verdict::Deny(DenyReason::UnknownToken);
        assert_eq!(world.check(&old.operation).await, unknown, "{restarted}");
        let refused = alice.draft("harperdb").make().await.err().unwrap();
        assert_eq!(refused.code, Code::Internal, "{restarted}");
        world.restart().await;
    }
    admin.retire_signing_key(key(&kid(&old.operation))).await.unwrap();
    let new = alice.sign_in_to("harperdb").await;
    assert_eq!(world.check(&new.operation).await, Verdict::Allow);
    assert_eq!(world.check(&old.operation).await, REVOKED);
}

#[tokio::test]
async fn leaves_no_key_behind_where_the_master_key_is_another() {
    const OTHER: &str = "EoAUZXqBVFd0W+n+/0MfihMwPxh/pHj6/pFOytDQRiQ=";
    let Some(world) = World::shared().await else { return };
    let session = world.user("alice").await.sign_in().await;
    let keys = async || {
        let request = pb::ListSigningKeysRequest::default();
        world.admin().api().list_signing_keys(request).await.unwrap().keys.len()
    };
    let before = keys().await;
    let refused = world
        .refusal_of_replica(|settings| {
            let twin = settings.profiles["operation"].clone();
            settings.profiles.insert("twin".to_owned(), twin);
            settings.keys.master_key = Some(OTHER.into());
        })
        .await;
    let sentence = "a key in the database does not open with this master key";
    assert_eq!(refused.to_string(), sentence);
    assert_eq!(keys().await, before);
    world.advance(std::time::Duration::from_secs(1));
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
}
