//! A rolling restart under load: no call is lost, whichever way it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokend::client::Upstream;
use tokend::pb;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::calls::{Answer, admin, bounded, check, create};
use super::{Fleet, Held, Replica, http, is_long, kind, tell};
use crate::process::deploy::{Proxy, REST_SOCKET};
use crate::process::{Place, shell};
use crate::support::{Database, Kind};

const TEST: &str = "loses_no_call_while_replicas_are_restarted_one_by_one";

/// How many restarts there are: in the suite one of each replica.
fn restarts() -> usize {
    if is_long() { 51 } else { 3 }
}

/// For how long a replica that stops serves on, and how often the proxy asks. In the suite both are
/// shorter than by default.
fn delay() -> Duration {
    if is_long() { Duration::from_secs(5) } else { Duration::from_millis(1500) }
}

fn faster_checks(text: String) -> String {
    if is_long() { text } else { text.replace("inter 1s", "inter 200ms") }
}

/// How long a replica may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often clients that share their calls out themselves ask who is ready.
const LOOK: Duration = Duration::from_millis(50);

/// What became of the calls that came by one way.
#[derive(Debug)]
struct Way {
    name: &'static str,
    made: AtomicUsize,
    lost: std::sync::Mutex<Vec<String>>,
}

impl Way {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, made: AtomicUsize::new(0), lost: std::sync::Mutex::default() })
    }

    fn note(&self, outcome: Result<(), String>) {
        self.made.fetch_add(1, Ordering::Relaxed);
        if let Err(lost) = outcome {
            self.lost.lock().unwrap().push(lost);
        }
    }
}

/// What every client is told.
#[derive(Clone)]
struct World {
    secret: String,
    /// Which replicas say that they are ready.
    ready: Arc<[AtomicBool]>,
    is_over: Arc<AtomicBool>,
}

impl World {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// A replica that is ready, other than the last one where there is one.
    fn next(&self, last: usize) -> usize {
        let count = self.ready.len();
        let mut turns = (1..=count).map(|step| (last + step) % count);
        turns.find(|at| self.ready[*at].load(Ordering::Relaxed)).expect("one is ready")
    }
}

/// Asks a replica again and again whether it is ready, and notes it.
async fn look(world: World, at: usize, url: String) {
    let client = http();
    while world.goes_on() {
        let answer = client.get(&url).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status() == 200);
        world.ready[at].store(is_ready, Ordering::Relaxed);
        sleep(LOOK).await;
    }
}

/// Calls by gRPC: checks, and now and then a sign-in.
async fn call(upstream: &Upstream, secret: &str, turn: usize) -> Result<(), String> {
    if turn.is_multiple_of(8) {
        return create(upstream, "azion", admin()).await.map(drop).map_err(|lost| lost.to_string());
    }
    if let Answer::Allow(_) = check(upstream, secret, &[]).await {
        return Ok(());
    }
    let request = pb::AuthorizeRequest { token: secret.to_owned(), ..Default::default() };
    let again = bounded(upstream.tokens.clone().authorize(request)).await;
    Err(format!("a check; asked again: {again:?}"))
}

async fn call_by_grpc(world: World, upstreams: Vec<Upstream>, way: Arc<Way>) {
    let (mut at, mut turn) = (0, 0);
    while world.goes_on() {
        at = if upstreams.len() == 1 { 0 } else { world.next(at) };
        turn += 1;
        way.note(call(&upstreams[at], &world.secret, turn).await);
    }
}

/// Signs in by HTTP, through a client that keeps its connections.
async fn sign_in(client: &reqwest::Client, base: &str) -> Result<(), String> {
    let password = Some(crate::support::ADMIN_PASSWORD);
    let request = client.post(format!("{base}/tokens")).basic_auth("admin", password);
    match request.send().await {
        Ok(answer) if answer.status() == 201 => Ok(()),
        Ok(answer) => {
            let status = answer.status();
            Err(format!("{status}: {}", answer.text().await.unwrap_or_default()))
        }
        Err(error) => Err(format!("{error:?}")),
    }
}

async fn call_by_http(
    world: World,
    (client, bases): (reqwest::Client, Vec<String>),
    way: Arc<Way>,
) {
    let mut at = 0;
    // A proxy that has just started has looked at no server yet.
    while world.goes_on() && sign_in(&client, &bases[at]).await.is_err() {
        tokio::task::yield_now().await;
    }
    while world.goes_on() {
        at = if bases.len() == 1 { 0 } else { world.next(at) };
        way.note(sign_in(&client, &bases[at]).await);
    }
}

/// A client of HTTP/1.1 that tries nothing again, and keeps its connection until it is told that it
/// ends.
struct Plain {
    address: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Plain {
    async fn get(&mut self) -> Result<(), String> {
        let kept = self.sender.take().filter(|sender| !sender.is_closed());
        let mut sender = if let Some(sender) = kept {
            sender
        } else {
            let stream = TcpStream::connect(&self.address).await;
            let stream = stream.map_err(|error| format!("no connection: {error}"))?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        };
        sender.ready().await.map_err(|error| format!("not ready: {error}"))?;
        let request = http::Request::get("/.well-known/jwks.json").header("host", "tokend");
        let request = request.body(Full::default()).unwrap();
        let answer = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(|error| format!("half an answer: {error}"))?;
        if head.status != 200 {
            return Err(head.status.to_string());
        }
        if head.headers.get("connection").is_none_or(|value| value != "close") {
            self.sender = Some(sender);
        }
        Ok(())
    }
}

async fn call_plainly(world: World, addresses: Vec<String>, way: Arc<Way>) {
    let mut clients: Vec<_> =
        addresses.into_iter().map(|address| Plain { address, sender: None }).collect();
    let mut at = 0;
    while world.goes_on() {
        at = world.next(at);
        way.note(clients[at].get().await);
    }
}

/// Starts clients of every sort: through the proxy, and straight to whoever is ready.
fn load(world: &World, fleet: &Fleet, (proxy, socket): (&Proxy, &Place)) -> Clients {
    let rest: Vec<_> = fleet.replicas.iter().map(Replica::rest).collect();
    let bases: Vec<_> = rest.iter().map(|address| format!("http://{address}")).collect();
    let unix = reqwest::Client::builder().unix_socket(socket.path(REST_SOCKET)).build().unwrap();
    let builder = reqwest::Client::builder().no_proxy();
    let http2 = builder.http2_prior_knowledge().build().unwrap();
    let mut clients = Clients::default();
    clients.add("gRPC, proxy", |way| {
        call_by_grpc(world.clone(), vec![proxy.upstream([127, 0, 0, 1])], way)
    });
    clients.add("gRPC", |way| call_by_grpc(world.clone(), fleet.upstreams(), way));
    clients.add("HTTP/1.1, proxy", |way| {
        call_by_http(world.clone(), (unix, vec!["http://tokend".to_owned()]), way)
    });
    clients.add("HTTP/2", |way| call_by_http(world.clone(), (http2, bases), way));
    clients.add("HTTP/1.1", |way| call_plainly(world.clone(), rest, way));
    clients
}

#[derive(Default)]
struct Clients {
    ways: Vec<Arc<Way>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    fn add<F>(&mut self, name: &'static str, client: impl FnOnce(Arc<Way>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let way = Way::new(name);
        self.tasks.push(tokio::spawn(client(Arc::clone(&way))));
        self.ways.push(way);
    }
}

async fn until_ready(world: &World, at: usize) {
    let began = Instant::now();
    while !world.ready[at].load(Ordering::Relaxed) {
        assert!(began.elapsed() < PATIENCE, "replica {at} is not ready");
        sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loses_no_call_while_replicas_are_restarted_one_by_one() {
    let Some(kind) = kind(TEST) else { return };
    if !shell::has(&["haproxy"], TEST) {
        return;
    }
    let database = Database::copy(crate::support::template(kind).await);
    let mut fleet = Fleet::start(Held::Shared(database), 3, |_, place| {
        place
            .with("TOKEND__REST__ENABLED", "true")
            .with("TOKEND__REPLICA__LEASE", "200ms")
            .with("TOKEND__SHUTDOWN__DELAY", format!("{}ms", delay().as_millis()))
    });
    let of_proxy = Place::new();
    let servers: Vec<_> = fleet.replicas.iter().filter_map(|it| it.running.as_ref()).collect();
    let proxy = Proxy::start_with(&of_proxy, &servers, faster_checks);
    let secret = create(&proxy.upstream([127, 0, 0, 1]), "azion", admin()).await.unwrap().0;
    let ready = (0..3).map(|_| AtomicBool::new(true)).collect();
    let world = World { secret, ready, is_over: Arc::default() };
    for (at, replica) in fleet.replicas.iter().enumerate() {
        let url = format!("http://{}/readyz", replica.management);
        tokio::spawn(look(world.clone(), at, url));
    }
    let clients = load(&world, &fleet, (&proxy, &of_proxy));

    for restart in 0..restarts() {
        let at = restart % 3;
        fleet.replicas[at].stop();
        fleet.replicas[at].start_again();
        until_ready(&world, at).await;
    }
    world.is_over.store(true, Ordering::Relaxed);
    for task in clients.tasks {
        task.await.unwrap();
    }
    if is_long() {
        tell(&format!("{:?}, {} restarts under load", Kind::of_this_run(), restarts()));
    }
    for way in clients.ways {
        let (made, lost) = (way.made.load(Ordering::Relaxed), way.lost.lock().unwrap().clone());
        if is_long() {
            tell(&format!("| {} | {made} calls | {} lost |", way.name, lost.len()));
        }
        assert!(made > restarts(), "{way:?}");
        assert_eq!(lost, [""; 0], "{}", way.name);
    }
}
