//! Signing in by password: one answer for all that fails, and a lock that guesses cannot beat.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokend::config::Settings;
use tokend::pb::{self, ErrorReason, UserState};
use tonic::Code;

use crate::support::{Actor, Refusal, Verdict, World};

const BAD: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::BadCredentials);

/// A known answer of the reference implementation for `password`, of another cost than ours.
const IMPORTED: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

/// A name is locked from its third failure on, for ten seconds.
fn strict(settings: &mut Settings) {
    settings.sign_in.lockout.failures = 3;
    settings.sign_in.lockout.first_lock = Duration::from_secs(10);
}

fn someone(realm: &str, username: &str, password: &str) -> pb::CreateTokenRequest {
    let credential = pb::PasswordCredential {
        realm: realm.to_owned(),
        username: username.to_owned(),
        password: password.to_owned(),
        accept_final_newline: false,
    };
    let credential = Some(pb::create_token_request::Credential::Password(credential));
    pb::CreateTokenRequest { credential, ..Default::default() }
}

async fn try_as(world: &World, username: &str, password: &str) -> Option<Refusal> {
    world.nobody().create_token(someone("", username, password)).await.err()
}

async fn fail(world: &World, username: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(try_as(world, username, "a guess").await.unwrap(), BAD);
    }
}

async fn is_let_in(user: &Actor) -> bool {
    user.draft("operation").make().await.is_ok()
}

#[tokio::test]
async fn answers_unknown_wrong_disabled_and_locked_exactly_alike() {
    let world = World::with(strict).await;
    let [alice, locked, disabled] = ["alice", "locked", "disabled"].map(|name| world.user(name));
    let (alice, locked, disabled) = (alice.await, locked.await, disabled.await);
    world.admin().set_state(&disabled, UserState::Disabled).await;
    fail(&world, "locked", 3).await;
    let without = pb::CreateUserRequest { username: "without".to_owned(), ..Default::default() };
    world.admin().api().create_user(without).await.unwrap();
    let wrong = try_as(&world, &alice.username, "wrong").await.unwrap();
    assert_eq!(wrong, BAD);
    for (case, username, password) in [
        ("unknown", "nobody", "wrong"),
        ("disabled", "disabled", &*disabled.password),
        ("disabled and wrong", "disabled", "wrong"),
        ("locked", "locked", &*locked.password),
        ("without a password", "without", "wrong"),
    ] {
        assert_eq!(try_as(&world, username, password).await, Some(wrong.clone()), "{case}");
    }
    for (case, user) in [("locked", &locked), ("disabled", &disabled)] {
        let refused = user.api().get_caller(pb::GetCallerRequest {}).await.unwrap_err();
        assert_eq!(refused, wrong, "{case}, by the metadata");
    }
    for other_realm in ["customers", "nowhere"] {
        let named = (other_realm, "alice", &*alice.password);
        let api = world.nobody().signed(named);
        let refused = api.get_caller(pb::GetCallerRequest {}).await.unwrap_err();
        assert_eq!(refused, wrong, "{other_realm}");
    }
}

#[tokio::test]
async fn takes_every_spelling_of_a_name_for_one() {
    let world = World::with(strict).await;
    let bob = world.user("Bob").await;
    for name in ["bob", "BOB", "bob ", " Bob", "ＢＯＢ", "bo\u{ff42}"] {
        let session = world.nobody().create_token(someone("", name, &bob.password)).await;
        let token = session.unwrap_or_else(|_| panic!("{name:?}")).token.unwrap().token.unwrap();
        assert_eq!(token.user_id, bob.id, "{name:?}");
        let request = pb::CreateUserRequest { username: name.to_owned(), ..Default::default() };
        let refused = world.admin().api().create_user(request).await.unwrap_err();
        assert_eq!(refused, (Code::AlreadyExists, ErrorReason::AlreadyExists), "{name:?}");
    }
    let newline = try_as(&world, "bob\n", &bob.password).await.unwrap();
    assert_eq!(newline.fields, ["password.username"]);
    for name in ["bob", "BOB", "ＢＯＢ "] {
        fail(&world, name, 1).await;
    }
    assert!(!is_let_in(&bob).await, "all spellings share one counter");
}

#[tokio::test]
async fn locks_a_name_and_lifts_the_lock_after_its_time() {
    let world = World::with(strict).await;
    let alice = world.user("alice").await;
    fail(&world, "alice", 2).await;
    assert!(is_let_in(&alice).await, "two failures lock nobody");
    fail(&world, "alice", 3).await;
    assert!(!is_let_in(&alice).await);
    world.advance(Duration::from_secs(9));
    assert!(!is_let_in(&alice).await);
    world.advance(Duration::from_secs(2));
    assert!(is_let_in(&alice).await);
    fail(&world, "alice", 2).await;
    assert!(is_let_in(&alice).await, "a sign-in forgets the failures before it");
}

#[tokio::test]
async fn doubles_each_further_lock() {
    let world = World::with(strict).await;
    let alice = world.user("alice").await;
    fail(&world, "alice", 3).await;
    world.advance(Duration::from_secs(10));
    fail(&world, "alice", 1).await;
    world.advance(Duration::from_secs(19));
    assert!(!is_let_in(&alice).await);
    world.advance(Duration::from_secs(1));
    assert!(is_let_in(&alice).await);
}

#[tokio::test]
async fn counts_an_attempt_before_it_is_judged() {
    let world = World::with(strict).await;
    let alice = world.user("alice").await;
    let guesses = (0..20).map(|n| {
        let api = world.nobody();
        tokio::spawn(async move { api.create_token(someone("", "alice", &n.to_string())).await })
    });
    for guess in guesses.collect::<Vec<_>>() {
        assert_eq!(guess.await.unwrap().unwrap_err(), BAD);
    }
    assert!(!is_let_in(&alice).await);
    // Had they been counted after their hashes, each beyond the third would have locked anew.
    let locks = world.admin().events(|event| event.outcome == "locked").await;
    assert_eq!(locks, ["sign_in locked"]);
}

#[tokio::test]
async fn lets_an_operator_lift_a_lock() {
    let world = World::with(strict).await;
    let alice = world.user("alice").await;
    fail(&world, "alice", 3).await;
    let request = pb::UnlockUserRequest { user_id: alice.id.clone() };
    world.admin().api().unlock_user(request).await.unwrap();
    assert!(is_let_in(&alice).await);
}

#[tokio::test]
async fn touches_no_token_by_a_lock() {
    let world = World::with(strict).await;
    let alice = world.user("alice").with(["token:create"]).await;
    let tokens = alice.every_kind().await;
    let session = alice.sign_in().await;
    fail(&world, "alice", 5).await;
    assert!(!is_let_in(&alice).await);
    for (kind, token) in tokens {
        assert_eq!(world.check(&token.operation).await, Verdict::Allow, "{kind}");
        assert!(token.draft("personal").make().await.is_ok(), "{kind}");
    }
    assert!(session.refresh().await.is_ok());
}

#[tokio::test]
async fn keeps_strangers_from_locking_out_a_user_who_signed_in_from_elsewhere() {
    let world = World::with(|settings| {
        strict(settings);
        settings.grpc.trusted_peers = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let alice = world.user("alice").await;
    let from = |address: &str| world.nobody().with("tokend-client-address", address);
    let right = || someone("", "alice", &alice.password);
    from("192.0.2.1").create_token(right()).await.unwrap();
    for _ in 0..4 {
        let guess = someone("", "alice", "a guess");
        assert_eq!(from("192.0.2.2").create_token(guess).await.unwrap_err(), BAD);
    }
    assert_eq!(from("192.0.2.2").create_token(right()).await.unwrap_err(), BAD);
    assert!(from("192.0.2.1").create_token(right()).await.is_ok());
}

#[tokio::test]
async fn limits_the_attempts_of_one_address_and_says_when_to_come_back() {
    let world = World::with(|settings| {
        settings.sign_in.rate_per_minute = 1;
        settings.sign_in.burst = 3;
        settings.grpc.trusted_peers = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let from = |address: &str| world.nobody().with("tokend-client-address", address);
    let guess = || someone("", "admin", "a guess");
    for _ in 0..3 {
        assert_eq!(from("192.0.2.1").create_token(guess()).await.unwrap_err(), BAD);
    }
    let refused = from("192.0.2.1").create_token(guess()).await.unwrap_err();
    assert_eq!(refused, (Code::ResourceExhausted, ErrorReason::RateLimited));
    let wait = refused.retry_after.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1), "{wait:?}");
    assert_eq!(from("192.0.2.2").create_token(guess()).await.unwrap_err(), BAD);
}

#[tokio::test]
async fn does_not_believe_a_strangers_word_on_where_they_are() {
    let world = World::with(|settings| {
        settings.sign_in.rate_per_minute = 1;
        settings.sign_in.burst = 3;
    })
    .await;
    let mut refused = None;
    for n in 0..4 {
        let api = world.nobody().with("tokend-client-address", format!("192.0.2.{n}"));
        refused = api.create_token(someone("", "admin", "a guess")).await.err();
    }
    assert_eq!(refused.unwrap(), (Code::ResourceExhausted, ErrorReason::RateLimited));
}

#[tokio::test]
async fn names_a_password_that_can_be_none() {
    let world = World::start().await;
    for password in [String::new(), "a\0b".to_owned(), "x".repeat(1025)] {
        let refused = try_as(&world, "admin", &password).await.unwrap();
        assert_eq!(refused, (Code::InvalidArgument, ErrorReason::InvalidField));
        assert_eq!(refused.fields, ["password.password"]);
        let api = world.nobody().signed(("default", "admin", &password));
        let refused = api.get_caller(pb::GetCallerRequest {}).await.unwrap_err();
        assert_eq!(refused, BAD, "by the metadata");
    }
}

#[tokio::test]
async fn tries_without_the_final_line_end_where_that_is_asked() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let request = |accept| {
        let credential = pb::PasswordCredential {
            realm: String::new(),
            username: "alice".to_owned(),
            password: format!("{}\n", alice.password),
            accept_final_newline: accept,
        };
        let credential = Some(pb::create_token_request::Credential::Password(credential));
        pb::CreateTokenRequest { credential, ..Default::default() }
    };
    assert_eq!(world.nobody().create_token(request(false)).await.unwrap_err(), BAD);
    assert!(world.nobody().create_token(request(true)).await.is_ok());
}

#[tokio::test]
async fn changes_ones_own_password_for_the_old_one_alone() {
    let world = World::start().await;
    let mut alice = world.user("alice").await;
    let session = alice.sign_in().await;
    let request = |old: &str| pb::SetPasswordRequest {
        credential: Some(pb::set_password_request::Credential::Password("new".to_owned())),
        old_password: old.to_owned(),
        ..Default::default()
    };
    for old in ["", "wrong"] {
        assert_eq!(session.api().set_password(request(old)).await.unwrap_err(), BAD);
    }
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    let old = alice.password.clone();
    alice.change_password("new").await;
    assert!(is_let_in(&alice).await);
    assert_eq!(try_as(&world, "alice", &old).await.unwrap(), BAD);
}

#[tokio::test]
async fn lets_in_by_an_imported_hash_and_makes_it_its_own() {
    let world = World::start().await;
    let credential = pb::create_user_request::Credential::PasswordHash(IMPORTED.to_owned());
    let (username, credential) = ("imported".to_owned(), Some(credential));
    let request = pb::CreateUserRequest { username, credential, ..Default::default() };
    world.admin().api().create_user(request).await.unwrap();
    assert_eq!(try_as(&world, "imported", "Password").await.unwrap(), BAD);
    // The second time by the hash that replaced it.
    for _ in 0..2 {
        assert!(try_as(&world, "imported", "password").await.is_none());
    }
}

#[tokio::test]
async fn lets_in_a_user_whose_name_no_new_user_may_have() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    world.database().run(
        "UPDATE users SET username = 'al\u{200b}ice', username_key = 'al\u{200b}ice' \
         WHERE username = 'alice'",
    );
    assert_eq!(try_as(&world, "alice", &alice.password).await.unwrap(), BAD);
    assert!(try_as(&world, "al\u{200b}ice", &alice.password).await.is_none());
}

/// A hash of `password`.
fn made_with(memory_kib: u32, iterations: u32) -> String {
    use tokend::domain::password::{HashCost, Password, hash};
    let cost = HashCost { memory_kib, iterations, parallelism: 1 };
    let hash = hash(&Password::parse(&"password".into()).unwrap(), &[1; 16], cost).unwrap();
    hash.0.expose_secret().to_owned()
}

#[tokio::test]
async fn tries_no_stored_hash_that_is_too_dear() {
    let world = World::with(|settings| settings.passwords.max_import_cost = 1).await;
    world.user("alice").await;
    let dear = made_with(39_000, 1);
    for (hash, is_let_in) in [(&*dear, false), (IMPORTED, true)] {
        world
            .database()
            .run(&format!("UPDATE users SET password_hash = '{hash}' WHERE username = 'alice'"));
        assert_eq!(try_as(&world, "alice", "password").await.is_none(), is_let_in, "{hash}");
    }
}

#[tokio::test]
async fn turns_away_at_once_who_finds_no_place_in_the_queue() {
    let world = World::with(|settings| {
        settings.passwords.queue = 1;
        settings.passwords.memory_kib = 19 * 1024;
        settings.sign_in.lockout.failures = 1_000;
    })
    .await;
    let guesses = (0..50).map(|_| try_as(&world, "nobody", "a guess"));
    let mut busy = 0;
    for refused in futures_util::future::join_all(guesses).await {
        let refused = refused.unwrap();
        if refused == (Code::ResourceExhausted, ErrorReason::Busy) {
            assert!(refused.retry_after.is_some());
            busy += 1;
        } else {
            assert_eq!(refused, BAD);
        }
    }
    assert!((1..50).contains(&busy), "{busy}");
}
