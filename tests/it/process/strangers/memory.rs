//! Requests that do not come to their end, and answers that are not taken.

use bytes::Bytes;
use h2::SendStream;
use std::net::SocketAddr;

use h2::client::{ResponseFuture, SendRequest};
use tokio::task::JoinSet;

use super::{Attacked, MOST, STRANGER, THIS_MACHINE, connect};

/// As many calls as a connection may have open.
const STREAMS: usize = 200;

/// How long a stranger waits for room to send.
const STALLED: std::time::Duration = std::time::Duration::from_millis(300);

/// A method of each service, with what it takes, and one of nobody's.
const METHODS: [&str; 5] = [
    "tokend.v1.TokenService/Authorize",
    "tokend.v1.TokenService/CreateToken",
    "tokend.v1.DirectoryService/PutRole",
    "grpc.health.v1.Health/Check",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// A stranger's connection, and the calls that are open on it.
struct Stranger {
    client: SendRequest<Bytes>,
    open: Vec<(ResponseFuture, SendStream<Bytes>)>,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Stranger {
    async fn connect(from: [u8; 4], to: SocketAddr, window: u32) -> Self {
        let socket = connect(from, to).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (client, connection) = builder.handshake(socket).await.unwrap();
        // However it ends.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { client, open: Vec::new(), connection }
    }

    /// Begins a call.
    async fn begin(&mut self, method: &str) -> Option<&mut SendStream<Bytes>> {
        let mut client = self.client.clone().ready().await.ok()?;
        let request = http::Request::post(format!("http://test/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        self.open.push(client.send_request(request, false).ok()?);
        self.open.last_mut().map(|(_, stream)| stream)
    }

    /// Begins a call, and sends so much of its message. Answers whether it went well: whoever refuses
    /// a call may not take all of it.
    async fn send(&mut self, method: &str, mut message: Bytes) -> bool {
        let Some(stream) = self.begin(method).await else { return false };
        while !message.is_empty() {
            stream.reserve_capacity(message.len());
            let granted = std::future::poll_fn(|cx| stream.poll_capacity(cx));
            // It waits for a window that may never come.
            match tokio::time::timeout(STALLED, granted).await {
                Ok(Some(Ok(count))) => {
                    let part = message.split_to(count.min(message.len()));
                    if stream.send_data(part, false).is_err() {
                        return true;
                    }
                }
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// All but the end of a message of so many bytes.
fn unfinished(length: u32) -> Bytes {
    let mut message = vec![0];
    message.extend(length.to_be_bytes());
    message.resize(usize::try_from(length).unwrap() - 1, 0x0a);
    message.into()
}

/// Has strangers do something, each by a connection of their own and all at once.
async fn all<F>(count: usize, stranger: impl Fn() -> F) -> Vec<Stranger>
where
    F: Future<Output = Stranger> + Send + 'static,
{
    let mut strangers = JoinSet::new();
    for _ in 0..count {
        strangers.spawn(stranger());
    }
    strangers.join_all().await
}

/// Has as many strangers begin as many calls as they can, none of which ends.
async fn begin_all(attacked: &Attacked, from: [u8; 4], connections: usize, length: u32) {
    let to = attacked.address("grpc");
    for method in METHODS {
        let strangers = all(connections, || {
            let message = unfinished(length);
            async move {
                let mut stranger = Stranger::connect(from, to, 65535).await;
                for _ in 0..STREAMS {
                    if !stranger.send(method, message.clone()).await {
                        break;
                    }
                }
                stranger
            }
        })
        .await;
        // Twice as many calls as the bound is for, or five times, may take half as much again.
        let most = if connections > 6 { MOST + MOST / 2 } else { MOST };
        attacked.holds_at_most(most);
        attacked.serves_others().await;
        attacked.holds_at_most(most);
        drop(strangers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_little_of_long_messages_that_do_not_end() {
    let attacked = Attacked::with_files(4096).await;
    for from in [STRANGER, THIS_MACHINE] {
        begin_all(&attacked, from, 6, 1_000_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_little_of_messages_that_do_not_end_and_are_as_long_as_they_may_be() {
    let attacked = Attacked::with_files(4096).await;
    for from in [STRANGER, THIS_MACHINE] {
        begin_all(&attacked, from, 12, 65_000).await;
        begin_all(&attacked, from, 30, 8000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_little_of_streams_that_stay_open() {
    let attacked = Attacked::with_files(4096).await;
    let to = attacked.address("grpc");
    for from in [STRANGER, THIS_MACHINE] {
        for (method, message) in [
            ("grpc.health.v1.Health/Watch", &b"\0\0\0\0\0"[..]),
            (
                "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                b"\0\0\0\0\x1c\x22\x1atokend.v1.DirectoryService",
            ),
        ] {
            let strangers = all(20, || async move {
                // No answer fits: not a byte of one may be sent.
                let mut stranger = Stranger::connect(from, to, 0).await;
                for _ in 0..STREAMS {
                    let stream = stranger.begin(method).await;
                    // It may be refused by now.
                    drop(stream.map(|s| s.send_data(Bytes::from_static(message), false)));
                }
                stranger
            })
            .await;
            attacked.serves_others().await;
            attacked.holds_little();
            drop(strangers);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_little_of_answers_that_nobody_takes() {
    let attacked = Attacked::with_files(4096).await;
    let to = attacked.address("grpc");
    let mut strangers = Vec::new();
    for _ in 0..60 {
        let mut stranger = Stranger::connect(STRANGER, to, 0).await;
        for _ in 0..STREAMS {
            let stream = stranger.begin("tokend.v1.TokenService/Authorize").await;
            drop(stream.map(|s| s.send_data(Bytes::from_static(&[0; 5]), true)));
        }
        strangers.push(stranger);
    }
    attacked.serves_others().await;
    attacked.holds_little();

    // The largest file that anybody may ask for.
    let attacked = Attacked::with_files(4096).await;
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let socket = connect(STRANGER, attacked.address("rest")).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(0);
        let (client, connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
        strangers.push(tokio::spawn(async move { drop(connection.await) }));
        for _ in 0..16 {
            let Ok(mut client) = client.clone().ready().await else { break };
            let request = http::Request::get("http://test/docs/swagger-ui-bundle.js");
            drop(client.send_request(request.body(()).unwrap(), true));
        }
    }
    attacked.serves_others().await;
    attacked.holds_little();
    for stranger in strangers {
        stranger.abort();
    }
}
