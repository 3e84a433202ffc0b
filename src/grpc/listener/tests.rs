//! The listener over real sockets.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use http::HeaderMap;
use reqwest::Client;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthRpcs, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::WatchStream;

use super::*;
use crate::grpc::Health;
use crate::grpc::elsewhere::Elsewhere;
use crate::grpc::layers::{Layers, Rpcs, around};
use crate::grpc::metered::{Metered, Rules};
use crate::transport::{Admission, AdmissionLimits, RequestMemory};

mod bounds;

const MAX_DEADLINE: Duration = Duration::from_mins(1);

type Serving = JoinHandle<Result<(), ServeError>>;

async fn start(
    routes: Routes,
    limits: Limits,
    shutdown: &CancellationToken,
) -> (SocketAddr, Serving) {
    start_on(listen().await, routes, limits, shutdown)
}

/// The same on a listener that was made.
fn start_on(
    (incoming, address): (Incoming, SocketAddr),
    routes: Routes,
    limits: Limits,
    shutdown: &CancellationToken,
) -> (SocketAddr, Serving) {
    let rpcs = Arc::new(Rpcs::read(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap());
    let layers =
        Layers { rpcs: Arc::clone(&rpcs), max_deadline: MAX_DEADLINE, shutdown: shutdown.clone() };
    let routes = around(routes, layers);
    let shutdown = shutdown.clone();
    let rules = Arc::new(Rules { rpcs, request_bytes: 1024, times: limits.body_times });
    let serving = match NonZero::new(limits.cores) {
        None => tokio::spawn(async move {
            let make = move |peer| Metered::new(routes.clone(), peer, Arc::clone(&rules));
            serve_here(incoming, make, limits, shutdown).await;
            Ok(())
        }),
        Some(cores) => {
            let routes = Elsewhere::new(routes, Handle::current(), MAX_DEADLINE);
            let make = move || {
                let (routes, rules) = (routes.clone(), Arc::clone(&rules));
                move |peer| Metered::new(routes.clone(), peer, Arc::clone(&rules))
            };
            tokio::spawn(serve_on_cores(incoming, make, Cores { cores, limits }, shutdown))
        }
    };
    (address, serving)
}

/// A listener that has places for all.
async fn listen() -> (Incoming, SocketAddr) {
    listen_holding(32 << 20).await
}

/// One that holds so many bytes of requests.
async fn listen_holding(memory: usize) -> (Incoming, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = AdmissionLimits { connections: 100, per_address: 100, trusted: Vec::new() };
    let admission = Admission::new("test", places, RequestMemory::new(memory));
    (Incoming::new(listener, admission), address)
}

/// Limits of a listener on the runtime of a test, and of one with threads of its own.
fn both(limits: Limits) -> [Limits; 2] {
    [limits, Limits { cores: 2, ..limits }]
}

async fn call(address: SocketAddr, method: &str, timeout: &str) -> reqwest::Response {
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    call_by(&client, address, method, timeout).await
}

async fn call_by(
    client: &Client,
    address: SocketAddr,
    method: &str,
    timeout: &str,
) -> reqwest::Response {
    client
        .post(format!("http://{address}/grpc.health.v1.Health/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(vec![0; 5])
        .send()
        .await
        .unwrap()
}

/// Fails where something takes as if for ever.
async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

fn code(headers: &HeaderMap) -> &str {
    headers["grpc-status"].to_str().unwrap()
}

/// Says when it is called, and answers nothing, ever.
struct Stuck(Arc<Notify>);

#[tonic::async_trait]
impl HealthRpcs for Stuck {
    type WatchStream = WatchStream;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.notify_one();
        std::future::pending().await
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<WatchStream>, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn says_deadline_exceeded_before_the_transport_says_cancelled() {
    for limits in both(Limits::default()) {
        let routes = Routes::new(HealthServer::new(Stuck(Arc::default())));
        let (address, _) = start(routes, limits, &CancellationToken::new()).await;
        assert_eq!(code(call(address, "Check", "40m").await.headers()), "4");
    }
}

#[tokio::test]
async fn drops_a_peer_that_never_speaks() {
    for limits in both(Limits { greeting: Duration::from_millis(1), ..Limits::default() }) {
        let (address, _) = start(Routes::default(), limits, &CancellationToken::new()).await;
        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut heard = Vec::new();
        // To the end, however the connection ends.
        let _ = soon(peer.read_to_end(&mut heard)).await;
    }
}

#[tokio::test]
async fn does_not_wait_for_a_peer_that_never_spoke() {
    let long = Duration::from_hours(1);
    for limits in both(Limits { greeting: long, drain: long, ..Limits::default() }) {
        let (health, shutdown) = (serving().await, CancellationToken::new());
        let (address, served) = start(Routes::new(health.server()), limits, &shutdown).await;
        let silent = TcpStream::connect(address).await.unwrap();
        // Taken after the silent one.
        drop(call(address, "Check", "10S").await);
        shutdown.cancel();
        soon(served).await.unwrap().unwrap();
        drop(silent);
    }
}

#[tokio::test]
async fn tells_watchers_that_it_stops_and_does_not_wait_for_them() {
    for limits in both(Limits { drain: Duration::from_hours(1), ..Limits::default() }) {
        let (health, shutdown) = (serving().await, CancellationToken::new());
        let (address, served) = start(Routes::new(health.server()), limits, &shutdown).await;
        let mut watch = call(address, "Watch", "1H").await;
        let said = |status: u8| vec![0, 0, 0, 0, 2, 8, status];
        assert_eq!(watch.chunk().await.unwrap().unwrap(), said(1), "SERVING");
        health.stop().await;
        assert_eq!(watch.chunk().await.unwrap().unwrap(), said(2), "NOT_SERVING");
        shutdown.cancel();
        assert_eq!(watch.chunk().await.unwrap(), None);
        soon(served).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn waits_no_longer_than_it_may_for_a_call_that_is_stuck() {
    for limits in both(Limits { drain: Duration::from_millis(1), ..Limits::default() }) {
        let shutdown = CancellationToken::new();
        let called = Arc::new(Notify::new());
        let routes = Routes::new(HealthServer::new(Stuck(Arc::clone(&called))));
        let (address, served) = start(routes, limits, &shutdown).await;
        let stuck = tokio::spawn(async move { call(address, "Check", "1M").await });
        called.notified().await;
        shutdown.cancel();
        soon(served).await.unwrap().unwrap();
        stuck.abort();
    }
}

#[tokio::test]
async fn judges_anew_for_whoever_asks_and_tells_those_who_watch() {
    for limits in both(Limits::default()) {
        let can_serve = Arc::new(Mutex::new(ServingStatus::NotServing));
        let judged = Arc::clone(&can_serve);
        let health = Health::new(move || {
            let judged = *judged.lock().unwrap();
            async move { judged }
        });
        let health = health.await;
        let (address, _) =
            start(Routes::new(health.server()), limits, &CancellationToken::new()).await;
        let said = |status: u8| vec![0, 0, 0, 0, 2, 8, status];
        let mut watch = call(address, "Watch", "1H").await;
        assert_eq!(watch.chunk().await.unwrap().unwrap(), said(2), "NOT_SERVING");
        for (status, number) in [(ServingStatus::Serving, 1), (ServingStatus::NotServing, 2)] {
            *can_serve.lock().unwrap() = status;
            let mut answer = call(address, "Check", "10S").await;
            assert_eq!(answer.chunk().await.unwrap().unwrap(), said(number), "{status}");
            assert_eq!(watch.chunk().await.unwrap().unwrap(), said(number), "{status}");
        }
        health.stop().await;
        *can_serve.lock().unwrap() = ServingStatus::Serving;
        let mut answer = call(address, "Check", "10S").await;
        assert_eq!(answer.chunk().await.unwrap().unwrap(), said(2), "it stops");
    }
}

/// Says that it serves.
async fn serving() -> Health {
    Health::new(|| async { ServingStatus::Serving }).await
}

#[tokio::test]
async fn answers_those_who_had_come_before_the_shutdown() {
    for limits in both(Limits::default()) {
        let (incoming, address) = listen().await;
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        // They wait in the kernel's queue, and ask once they are let in.
        let mut sockets = Vec::new();
        for _ in 0..20 {
            sockets.push(TcpStream::connect(address).await.unwrap());
        }
        let routes = Routes::new(serving().await.server());
        let serving = match NonZero::new(limits.cores) {
            None => tokio::spawn(async move {
                serve_here(incoming, move |_| routes.clone(), limits, shutdown).await;
                Ok(())
            }),
            Some(cores) => {
                let make = move || {
                    let routes = routes.clone();
                    move |_| routes.clone()
                };
                tokio::spawn(serve_on_cores(incoming, make, Cores { cores, limits }, shutdown))
            }
        };
        for socket in sockets {
            let (mut h2, connection) = h2::client::handshake(socket).await.unwrap();
            let driven = tokio::spawn(connection);
            let request = http::Request::post("http://test/grpc.health.v1.Health/Check")
                .header("content-type", "application/grpc")
                .header("te", "trailers");
            let (answer, mut body) = h2.send_request(request.body(()).unwrap(), false).unwrap();
            body.send_data(vec![0; 5].into(), true).unwrap();
            assert_eq!(soon(answer).await.unwrap().status(), 200);
            driven.abort();
        }
        soon(serving).await.unwrap().unwrap();
    }
}

/// Says on which thread it was called, and on which its connection is.
struct Where(Arc<Mutex<HashSet<ThreadId>>>);

#[tonic::async_trait]
impl HealthRpcs for Where {
    type WatchStream = WatchStream;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.lock().unwrap().insert(thread::current().id());
        Ok(Response::new(HealthCheckResponse::default()))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<WatchStream>, Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn spreads_connections_over_the_threads_and_keeps_waiting_calls_off_them() {
    let threads = Arc::<Mutex<HashSet<ThreadId>>>::default();
    let (incoming, address) = listen().await;
    let limits = Limits { cores: 3, ..Limits::default() };
    let cores = Cores { cores: NonZero::new(3).unwrap(), limits };
    // Without the detour: so each call runs on the thread of its connection.
    let routes = Routes::new(HealthServer::new(Where(Arc::clone(&threads))));
    let make = move || {
        let routes = routes.clone();
        move |_| routes.clone()
    };
    tokio::spawn(serve_on_cores(incoming, make, cores, CancellationToken::new()));
    let mut open = Vec::new();
    for _ in 0..3 {
        // Each has a connection of its own, which stays open with its client.
        let client = Client::builder().http2_prior_knowledge().build().unwrap();
        call_by(&client, address, "Check", "10S").await;
        open.push(client);
    }
    assert_eq!(threads.lock().unwrap().len(), 3);

    let (incoming, address) = listen().await;
    threads.lock().unwrap().clear();
    let routes = Routes::new(HealthServer::new(Where(Arc::clone(&threads))));
    let routes = Elsewhere::new(routes, Handle::current(), MAX_DEADLINE);
    let make = move || {
        let routes = routes.clone();
        move |_| routes.clone()
    };
    tokio::spawn(serve_on_cores(incoming, make, cores, CancellationToken::new()));
    call(address, "Check", "10S").await;
    // The runtime of a test is its own thread.
    assert_eq!(*threads.lock().unwrap(), HashSet::from([thread::current().id()]));
}
