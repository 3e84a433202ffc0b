//! Many who sign in at once: a newcomer is served, and who is turned away hears why at once.

use std::time::Duration;

use futures_util::future::join_all;
use tokend::config::Settings;
use tokend::pb::{self, ErrorReason};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Code;

use crate::support::{ADMIN_PASSWORD, Refusal, World};

const BAD: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::BadCredentials);
const BUSY: (Code, ErrorReason) = (Code::ResourceExhausted, ErrorReason::Busy);

/// Callers name their clients, nobody is locked, and all may call at once.
fn settings(settings: &mut Settings) {
    settings.grpc.trusted_peers = vec!["127.0.0.0/8".parse().unwrap()];
    // All of them come by one connection.
    settings.grpc.max_concurrent_streams = 2000;
    settings.limits.request_memory = 256 << 20;
    settings.sign_in.lockout.failures = 1_000_000;
    settings.passwords.queue_wait = Duration::from_mins(1);
}

/// A world in which a call waits for a connection to the database for as long as fifty sign-ins take
/// there, one after the other: not so long that it could wait behind a storm.
async fn impatient_world() -> World {
    let mut world = World::with(settings).await;
    let began = Instant::now();
    for _ in 0..10 {
        call(&world, "192.0.2.1", sign_in("admin", ADMIN_PASSWORD)).await.unwrap().unwrap();
    }
    let wait = began.elapsed() * 5;
    world.restart_with(|settings| settings.database.connection_wait = wait).await;
    world
}

fn sign_in(username: &str, password: &str) -> pb::CreateTokenRequest {
    let credential = pb::PasswordCredential {
        username: username.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    };
    let credential = Some(pb::create_token_request::Credential::Password(credential));
    pb::CreateTokenRequest { credential, ..Default::default() }
}

type Call = JoinHandle<Result<pb::CreateTokenResponse, Refusal>>;

fn call(world: &World, address: &str, request: pb::CreateTokenRequest) -> Call {
    let api = world.nobody().with("tokend-client-address", address);
    tokio::spawn(async move { api.create_token(request).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_newcomers_while_one_network_takes_all_that_it_gets() {
    let world = World::with(|all| {
        settings(all);
        all.passwords.memory_kib = 19 * 1024;
        all.passwords.iterations = 2;
        all.passwords.queue = 100;
    })
    .await;
    let (turned_away, mut first) = mpsc::unbounded_channel();
    let crowd: Vec<_> = (0..300)
        .map(|number| {
            let call = call(&world, "192.0.2.1", sign_in(&format!("nobody-{number}"), "a guess"));
            let turned_away = turned_away.clone();
            tokio::spawn(async move {
                let refused = call.await.unwrap().unwrap_err();
                if refused == BUSY {
                    turned_away.send(()).unwrap();
                }
                refused
            })
        })
        .collect();
    first.recv().await.expect("the network has its share");
    let newcomers = join_all((0..8).map(|number| {
        call(&world, &format!("198.51.100.{number}"), sign_in("admin", ADMIN_PASSWORD))
    }));
    for newcomer in newcomers.await {
        assert!(newcomer.unwrap().is_ok());
    }
    let refused: Vec<_> = join_all(crowd).await.into_iter().map(Result::unwrap).collect();
    assert!(refused.iter().all(|refused| *refused == BUSY || *refused == BAD), "{refused:#?}");
    let served = refused.iter().filter(|refused| **refused == BAD).count();
    assert!((1..300).contains(&served), "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_each_of_a_thousand_at_once_and_none_that_the_database_is_away() {
    let world = impatient_world().await;
    let calls = (0..1000).map(|number| {
        let address = format!("198.51.{}.{}", number / 250, number % 250);
        let password = if number % 2 == 0 { ADMIN_PASSWORD } else { "a guess" };
        call(&world, &address, sign_in("admin", password))
    });
    let by_rest = (0..50).map(|_| {
        let http = world.http();
        tokio::spawn(async move {
            http.post("/tokens").basic("admin", ADMIN_PASSWORD).send().await.status
        })
    });
    let (calls, by_rest) = (join_all(calls), join_all(by_rest));
    let (calls, by_rest) = tokio::join!(calls, by_rest);
    let mut served = 0;
    for call in calls {
        match call.unwrap() {
            Ok(_) => served += 1,
            Err(refused) if refused == BUSY => assert!(refused.retry_after.is_some()),
            Err(refused) => assert_eq!(refused, BAD),
        }
    }
    assert!(served > 0);
    for status in by_rest {
        assert!([201, 429].contains(&status.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_a_place_for_others_while_clients_hang_up() {
    let world = World::with(|all| {
        settings(all);
        all.passwords.queue = 16;
    })
    .await;
    let crowd: Vec<_> = (0..500)
        .map(|number| {
            let address = format!("198.51.{}.{}", number / 250, number % 250);
            call(&world, &address, sign_in("admin", "a guess"))
        })
        .collect();
    for (number, call) in crowd.into_iter().enumerate() {
        // Some are answered first, the others hang up while they wait or are judged.
        if number % 50 == 0 {
            drop(call.await);
        } else {
            call.abort();
        }
    }
    let newcomer = call(&world, "192.0.2.1", sign_in("admin", ADMIN_PASSWORD)).await.unwrap();
    assert!(newcomer.is_ok(), "{newcomer:?}");
}
