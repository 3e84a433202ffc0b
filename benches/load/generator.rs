//! The one who calls: gRPC over HTTP/2, so many connections with so many calls open on each, every
//! answer judged. The same for every server.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::figures::{float, micros, now};
use crate::histogram::Histogram;
use crate::server::Process;
use crate::traffic::{Counted, Traffic};
use crate::{Result, fail, wire};

/// How much an answer, and all answers of a connection, may hold before they are read.
const WINDOW: u32 = 1 << 24;

/// How many calls are open at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Connections.
    pub(crate) connections: usize,
    /// Calls on each.
    pub(crate) streams: usize,
}

impl Load {
    /// Calls open at once.
    pub(crate) const fn calls(self) -> usize {
        self.connections * self.streams
    }
}

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span<'a> {
    /// For this long, after a fifth of it that does not count.
    For(Duration),
    /// Until no script has another call. All of it counts.
    ToTheEnd,
    /// Until this is set. All of it counts.
    Until(&'a AtomicBool),
}

/// One call.
pub(crate) struct Call {
    pub(crate) head: Request<()>,
    pub(crate) body: Bytes,
}

/// What one of the open calls does, one call after the other.
pub(crate) trait Script: Send {
    /// The next call; `None`: there is none.
    fn next(&mut self) -> Option<Call>;

    /// Judges the answer to it.
    fn answered(&mut self, message: Bytes) -> Result<()>;
}

/// Gives each of the open calls its script, by number.
pub(crate) type Cast<'a> = &'a (dyn Fn(usize) -> Box<dyn Script> + Sync);

/// What was counted.
#[derive(Default)]
pub(crate) struct Slice {
    /// Calls that were answered, rightly.
    pub(crate) calls: u64,
    /// For how long.
    pub(crate) time: Duration,
    /// The server's processor time.
    pub(crate) cpu: Duration,
    /// How long each call took.
    pub(crate) times: Histogram,
    /// All calls, those before it counted too, and the bytes that went and came over TCP for them.
    made: u64,
    sent: u64,
    received: u64,
}

impl Slice {
    /// The server's processor time for one call, in microseconds.
    pub(crate) fn cpu_micros(&self) -> f64 {
        micros(self.cpu) / float(self.calls)
    }

    /// The bytes of a call and of its answer, with what HTTP/2 puts around them.
    pub(crate) fn bytes(&self) -> (f64, f64) {
        (float(self.sent) / float(self.made), float(self.received) / float(self.made))
    }

    /// Calls in a second by the clock.
    pub(crate) fn calls_per_second(&self) -> f64 {
        float(self.calls) / self.time.as_secs_f64()
    }
}

/// Where in a slice the callers are.
struct Stage {
    phase: AtomicU8,
    /// Whether any call was counted.
    counted: AtomicBool,
}

const WARM_UP: u8 = 0;
const COUNT: u8 = 1;
const STOP: u8 = 2;

impl Stage {
    fn tell_counted(&self) {
        // Written once: a write each time would take the line from the other threads.
        if !self.counted.load(Ordering::Relaxed) {
            self.counted.store(true, Ordering::Relaxed);
        }
    }
}

/// How long a slice waits for its first call: far longer than the slowest takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls a server, and counts.
///
/// # Errors
/// The first answer that is wrong, and how many are.
pub(crate) fn drive(server: &Process, load: Load, span: Span<'_>, cast: Cast<'_>) -> Result<Slice> {
    let phase = if matches!(span, Span::For(_)) { WARM_UP } else { COUNT };
    let stage = Stage { phase: AtomicU8::new(phase), counted: AtomicBool::new(false) };
    let (go, gone) = watch::channel(false);
    let threads = thread::available_parallelism()?.get().min(load.connections);
    let (connected, connections) = channel();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..threads)
            .map(|thread| {
                let (stage, connected) = (&stage, connected.clone());
                let lines = (thread..load.connections).step_by(threads).collect::<Vec<_>>();
                let crew = Crew { address: server.address, lines, streams: load.streams, stage };
                let gone = gone.clone();
                scope.spawn(move || crew.run(gone, connected, cast))
            })
            .collect();
        drop(connected);
        let mut slice = Slice::default();
        // A thread that could not connect is not heard, and says why when it is joined.
        if connections.iter().count() == threads {
            go.send(true)?;
            (slice.time, slice.cpu) = measure(server, span, &stage, || {
                callers.iter().all(thread::ScopedJoinHandle::is_finished)
            })?;
        }
        stage.phase.store(STOP, Ordering::Relaxed);
        drop(go);
        let mut wrong = Wrong::default();
        for caller in callers {
            let tally = caller.join().unwrap_or_else(|_| fail("a caller panicked"))?;
            slice.calls += tally.times.total();
            slice.made += tally.made;
            slice.sent += tally.sent;
            slice.received += tally.received;
            slice.times.add(&tally.times);
            wrong.add(tally.wrong);
        }
        wrong.into_result()?;
        if slice.calls == 0 && !matches!(span, Span::Until(_)) {
            return fail("no call was answered in time");
        }
        Ok(slice)
    })
}

/// Waits for the span to pass, and answers how long it was and what it cost the server.
fn measure(
    server: &Process,
    span: Span<'_>,
    stage: &Stage,
    all_done: impl Fn() -> bool,
) -> Result<(Duration, Duration)> {
    let mut begun = (now(), server.cpu()?);
    match span {
        Span::For(time) => {
            thread::sleep(time / 5);
            stage.phase.store(COUNT, Ordering::Relaxed);
            begun = (now(), server.cpu()?);
            thread::sleep(time);
            while !stage.counted.load(Ordering::Relaxed) && begun.0.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Span::ToTheEnd => {
            while !all_done() {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Span::Until(end) => {
            while !end.load(Ordering::Relaxed) && !all_done() {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    stage.phase.store(STOP, Ordering::Relaxed);
    Ok((begun.0.elapsed(), server.cpu()?.saturating_sub(begun.1)))
}

/// The callers of one thread.
struct Crew<'a> {
    address: SocketAddr,
    /// The connections that are its own, by number.
    lines: Vec<usize>,
    streams: usize,
    stage: &'a Stage,
}

impl Crew<'_> {
    fn run(
        self,
        go: watch::Receiver<bool>,
        connected: Sender<()>,
        cast: Cast<'_>,
    ) -> Result<Tally> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = LocalSet::new();
        tasks.block_on(&runtime, self.call(go, connected, cast))
    }

    async fn call(
        self,
        mut go: watch::Receiver<bool>,
        connected: Sender<()>,
        cast: Cast<'_>,
    ) -> Result<Tally> {
        let mut callers = Vec::new();
        let tally = Rc::new(RefCell::new(Tally::default()));
        let traffic = Rc::<Traffic>::default();
        for line in &self.lines {
            let send = connect(self.address, Rc::clone(&traffic)).await?;
            for stream in 0..self.streams {
                let script = cast(line * self.streams + stream);
                callers.push((send.clone(), script));
            }
        }
        connected.send(())?;
        drop(connected);
        if !go.wait_for(|go| *go).await.is_ok_and(|go| *go) {
            return Ok(Tally::default());
        }
        let working = callers
            .into_iter()
            .map(|(send, script)| work(send, script, self.stage, Rc::clone(&tally)));
        for done in futures_util::future::join_all(working).await {
            done?;
        }
        let mut tally = tally.take();
        (tally.sent, tally.received) = (traffic.sent.get(), traffic.received.get());
        Ok(tally)
    }
}

/// What one thread counted.
#[derive(Default)]
struct Tally {
    times: Histogram,
    /// All calls, and their bytes.
    made: u64,
    sent: u64,
    received: u64,
    wrong: Wrong,
}

/// Answers that were wrong.
#[derive(Default)]
struct Wrong {
    count: u64,
    first: Option<String>,
}

impl Wrong {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.take().or(other.first);
    }

    fn into_result(self) -> Result<()> {
        match self.first {
            Some(first) => fail(format!("{} answers were wrong; the first: {first}", self.count)),
            None => Ok(()),
        }
    }
}

async fn connect(address: SocketAddr, traffic: Rc<Traffic>) -> Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (send, connection) = client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(Counted::new(stream, traffic))
        .await?;
    // Why it ended is heard by whoever calls over it.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(send)
}

/// Makes the calls of a script, until it ends or is stopped.
async fn work(
    mut send: SendRequest<Bytes>,
    mut script: Box<dyn Script>,
    stage: &Stage,
    tally: Rc<RefCell<Tally>>,
) -> Result<()> {
    while stage.phase.load(Ordering::Relaxed) != STOP {
        let Some(call) = script.next() else { break };
        let begun = now();
        let answer = exchange(&mut send, call).await;
        let time = begun.elapsed();
        let judged = answer.and_then(|message| script.answered(message));
        let mut tally = tally.borrow_mut();
        tally.made += 1;
        match judged {
            Ok(()) if stage.phase.load(Ordering::Relaxed) == COUNT => {
                tally.times.record(time);
                stage.tell_counted();
            }
            Ok(()) => {}
            Err(fault) => {
                tally.wrong.add(Wrong { count: 1, first: Some(fault.to_string()) });
                break;
            }
        }
    }
    Ok(())
}

/// Makes one call, and answers its message.
///
/// # Errors
/// Where the status of HTTP or of gRPC says anything but that it went well.
async fn exchange(send: &mut SendRequest<Bytes>, call: Call) -> Result<Bytes> {
    std::future::poll_fn(|context| send.poll_ready(context)).await?;
    let (answer, mut request) = send.send_request(call.head, false)?;
    request.send_data(call.body, true)?;
    let (head, mut body) = answer.await?.into_parts();
    let mut framed = Bytes::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        framed = if framed.is_empty() { chunk } else { joined(&framed, &chunk) };
    }
    let trailers = body.trailers().await?;
    if head.status != StatusCode::OK {
        return fail(format!("HTTP answers {}", head.status));
    }
    went_well(trailers.as_ref().unwrap_or(&head.headers))?;
    wire::unframe(&framed)
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut all = BytesMut::from(first);
    all.extend_from_slice(second);
    all.freeze()
}

fn went_well(trailers: &HeaderMap) -> Result<()> {
    match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        status => fail(format!(
            "gRPC answers {}: {}",
            String::from_utf8_lossy(status.unwrap_or(b"no status")),
            String::from_utf8_lossy(
                trailers.get("grpc-message").map_or(b"", |text| text.as_bytes())
            ),
        )),
    }
}

/// Makes one call to a server and answers its message.
pub(crate) fn ask(server: &Process, call: Call) -> Result<Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        exchange(&mut connect(server.address, Rc::default()).await?, call).await
    })
}

/// What scripts share without locks that anybody waits for.
pub(crate) type Shared<T> = Arc<[T]>;
