//! A way to a server that can be blocked and cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Passes bytes on, in both directions. Dropped, it is gone.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    state: Sender<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    stalls: bool,
    cuts: u64,
    delay: Duration,
}

impl Proxy {
    /// Opens a way to `target`.
    pub(super) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, seen) = channel(State::default());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(link(client, target, seen.clone()));
            }
        });
        Self { address, state, task }
    }

    /// Accepts connections from here on, and passes nothing.
    pub(super) fn stall(&self) {
        self.state.send_modify(|state| state.stalls = true);
    }

    /// Passes on again, what was held back first.
    pub(super) fn go_on(&self) {
        self.state.send_modify(|state| state.stalls = false);
    }

    /// Opens a way to the server of a database, and answers its URL by that way.
    pub(super) async fn before(url: &str) -> (Self, String) {
        let (start, rest) = url.split_once('@').unwrap();
        let (target, name) = rest.split_once('/').unwrap();
        let proxy = Self::start(target.parse().unwrap()).await;
        let through = format!("{start}@{}/{name}", proxy.address);
        (proxy, through)
    }

    /// Lets each answer of the server take this much longer from here on.
    pub(super) fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn link(client: TcpStream, target: SocketAddr, mut state: Receiver<State>) {
    let cuts = state.borrow().cuts;
    let Ok(server) = TcpStream::connect(target).await else { return };
    // Both ends want each word at once.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (up, down) = (state.clone(), state.clone());
    tokio::select! {
        () = pump(from_client, to_server, (up, |_| Duration::ZERO)) => {}
        () = pump(from_server, to_client, (down, |state| state.delay)) => {}
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (mut state, delay): (Receiver<State>, fn(&State) -> Duration),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        if state.wait_for(|state| !state.stalls).await.is_err() {
            return;
        }
        let delay = delay(&state.borrow());
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
