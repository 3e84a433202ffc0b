//! How a process ends that is asked to.

use std::net::TcpStream;

use rustix::process::Signal;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Place, SERVING, http};

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
