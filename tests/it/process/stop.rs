//! How a process ends that is asked to.

use std::net::TcpStream;

use rustix::process::Signal;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Place, Running, SERVING, http};

#[tokio::test(flavor = "multi_thread")]
async fn stops_though_a_watch_and_idle_connections_are_open() {
    // Who waits for the grace is found out by the patience of these tests.
    let place = Place::new().with("TOKEND__SHUTDOWN__GRACE", "1h");
    let server = place.serve();
    let idle: Vec<_> = ["grpc", "rest", "management"]
        .map(|listener| TcpStream::connect(server.address(listener)).unwrap())
        .into();
    let client = http();
    let ready = client.get(format!("{}/readyz", server.url("management"))).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let keys = format!("{}/.well-known/jwks.json", server.url("rest"));
    assert_eq!(client.get(keys).send().await.unwrap().status(), 200);
    let channel = tokend::server::remote(&server.url("grpc").parse().unwrap()).unwrap();
    let mut health = HealthClient::new(channel);
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(request).await.unwrap().into_inner();
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::Serving);

    server.signal(Signal::TERM);
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::NotServing);
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.last().unwrap().ends_with("stopped"), "{ended:#?}");
    drop(idle);
}

#[test]
fn takes_an_interrupt_as_well_and_closes_its_database() {
    let place = Place::on_sqlite();
    let server = place.serve();
    server.signal(Signal::INT);
    assert_eq!(server.ended().code, Some(0));
    let left: Vec<_> = place.names().into_iter().collect();
    assert_eq!(left, ["tokend.db", "tokend.db.key", "tokend.db.lock"]);
}

#[test]
fn stops_a_shim_of_its_own_too() {
    let place = Place::on_sqlite();
    let mut shim = place.start(&["rest", "--upstream", "http://127.0.0.1:9"], "");
    shim.wait_for(SERVING);
    assert_eq!(shim.stop().code, Some(0));
}

async fn readyz(server: &Running) -> (u16, String) {
    let answer = http().get(format!("{}/readyz", server.url("management"))).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Asks for the public keys on a connection of its own, and answers the head.
async fn keys(server: &Running) -> reqwest::Response {
    let url = format!("{}/.well-known/jwks.json", server.url("rest"));
    let answer = http().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_everything_for_a_while_after_it_has_said_that_it_stops() {
    // It does not come to its end within this test.
    let place = Place::new().with("TOKEND__SHUTDOWN__DELAY", "1h");
    let mut server = place.serve();
    assert!(!keys(&server).await.headers().contains_key("connection"));
    server.signal(Signal::TERM);
    server.wait_for("still serving");

    let (status, why) = readyz(&server).await;
    assert_eq!((status, why.contains("stopping")), (503, true), "{why}");
    for probe in [["--server", &server.url("grpc")], ["--management", &server.url("management")]] {
        let [flag, url] = probe;
        let sentence = place.run(&["healthcheck", flag, url]).sentence();
        assert!(sentence.ends_with("is not ready"), "{sentence}");
    }
    // New connections are taken, and told to end.
    for _ in 0..3 {
        assert_eq!(keys(&server).await.headers()["connection"], "close");
    }
    let request = tokend::pb::GetPublicKeysRequest {};
    assert!(server.upstream().keys.get_public_keys(request).await.is_ok());

    // Who can't wait asks again.
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_to_its_end_once_the_delay_is_over() {
    let place = Place::new().with("TOKEND__SHUTDOWN__DELAY", "1ms");
    let ended = place.serve().stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.iter().any(|line| line.contains("delay_seconds=0.001")), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_five_seconds_where_no_terminal_is_near_and_nothing_is_set() {
    let place = Place::on_sqlite().without("TOKEND__SHUTDOWN__DELAY");
    let mut server = place.serve();
    server.signal(Signal::TERM);
    let line = server.wait_for("still serving");
    assert!(line.contains("delay_seconds=5.0"), "{line}");
    server.kill();
}
