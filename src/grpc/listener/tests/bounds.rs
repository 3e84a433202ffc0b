//! What one connection may do, and for how long.

use prost::bytes::Bytes;

use super::*;

/// A connection of HTTP/2 that says when it has ended.
async fn connect(address: SocketAddr) -> (h2::client::SendRequest<Bytes>, JoinHandle<()>) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    // However it ends.
    (client, tokio::spawn(async move { drop(connection.await) }))
}

/// Begins a call by a connection, and sends so much of its message.
fn begin(
    client: &mut h2::client::SendRequest<Bytes>,
    method: &str,
    message: &'static [u8],
) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    let request = http::Request::post(format!("http://test/grpc.health.v1.Health/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (answer, mut stream) = client.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(message), message.len() == 5).unwrap();
    (answer, stream)
}

#[tokio::test(start_paused = true)]
async fn ends_a_connection_without_calls_and_keeps_one_with_a_stream() {
    let health = serving().await;
    let limits = Limits { idle_time: Duration::from_mins(5), ..Limits::default() };
    let (address, _) = start(Routes::new(health.server()), limits, &CancellationToken::new()).await;
    let began = tokio::time::Instant::now();
    let (_silent, ended) = connect(address).await;
    ended.await.unwrap();
    assert!((limits.idle_time..limits.idle_time * 2).contains(&began.elapsed()));
    let (mut client, mut ended) = connect(address).await;
    let (watch, _) = begin(&mut client, "Watch", &[0; 5]);
    let watch = watch.await.unwrap();
    let early = tokio::time::timeout(limits.idle_time * 3, &mut ended).await;
    assert!(early.is_err(), "a stream was open");
    drop(watch);
    ended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_a_message_that_does_not_come_long_before_the_deadline() {
    let health = serving().await;
    let limits = Limits::default();
    let (address, _) = start(Routes::new(health.server()), limits, &CancellationToken::new()).await;
    let began = tokio::time::Instant::now();
    let (mut client, _ended) = connect(address).await;
    for message in [&b""[..], &[0, 0, 0, 0, 9, 0]] {
        let (answer, _stream) = begin(&mut client, "Check", message);
        assert_eq!(code(answer.await.unwrap().headers()), "4", "{message:?}");
    }
    assert!(began.elapsed() < limits.body_times.whole * 2);
}

#[tokio::test(start_paused = true)]
async fn cuts_a_connection_whose_answers_are_not_taken() {
    let health = serving().await;
    let limits = Limits::default();
    let (address, _) = start(Routes::new(health.server()), limits, &CancellationToken::new()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    // No answer fits: not a byte of one may be sent.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(0);
    let (mut client, connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
    let mut ended = tokio::spawn(async move { drop(connection.await) });
    let began = tokio::time::Instant::now();
    let (answer, _stream) = begin(&mut client, "Check", &[0; 5]);
    let _answer = answer.await.unwrap();
    let early = tokio::time::timeout(limits.call_time / 2, &mut ended).await;
    assert!(early.is_err(), "it had time to take its answer");
    ended.await.unwrap();
    assert!(began.elapsed() < limits.call_time * 2);
}

#[tokio::test]
async fn refuses_a_message_that_is_longer_than_its_method_takes() {
    for limits in both(Limits::default()) {
        let health = serving().await;
        let routes = Routes::new(health.server());
        let (address, _) = start(routes, limits, &CancellationToken::new()).await;
        let (mut client, _ended) = connect(address).await;
        for method in ["Check", "Watch"] {
            let (answer, _stream) = begin(&mut client, method, &[0, 255, 255, 255, 255, 0]);
            assert_eq!(code(answer.await.unwrap().headers()), "3", "{method}");
        }
    }
}

#[tokio::test]
async fn has_room_for_some_streams_of_a_connection() {
    for limits in both(Limits::default()) {
        let health = serving().await;
        let routes = Routes::new(health.server());
        let (address, _) = start(routes, limits, &CancellationToken::new()).await;
        let (mut client, _ended) = connect(address).await;
        let mut open = Vec::new();
        let refused = loop {
            let (answer, stream) = begin(&mut client, "Watch", &[0; 5]);
            let answer = answer.await.unwrap();
            if answer.headers().contains_key("grpc-status") {
                break answer;
            }
            open.push((answer, stream));
        };
        assert_eq!(code(refused.headers()), "8");
        assert!((10..100).contains(&open.len()), "{}", open.len());
        let (answer, _stream) = begin(&mut client, "Check", &[0; 5]);
        assert!(!answer.await.unwrap().headers().contains_key("grpc-status"));
    }
}

#[tokio::test]
async fn takes_a_short_message_of_every_call_that_may_be_open_at_once() {
    const CALLS: u32 = 2000;
    let hour = Duration::from_hours(1);
    let body_times = BodyTimes { whole: hour, grace: hour, rate: 1 };
    for limits in both(Limits { streams_per_connection: CALLS, body_times, ..Limits::default() }) {
        let health = serving().await;
        let routes = Routes::new(health.server());
        let listener = listen_holding(1 << 30).await;
        let (address, _) = start_on(listener, routes, limits, &CancellationToken::new());
        let (mut client, _ended) = connect(address).await;
        // Its settings have come, so that all calls go out at once.
        let (answer, _stream) = begin(&mut client, "Check", &[0; 5]);
        answer.await.unwrap();
        let calls: Vec<_> =
            (0..CALLS).map(|_| begin(&mut client, "Check", &[0, 0, 0, 0, 2, 10, 0])).collect();
        for (answer, mut stream) in calls {
            // As gRPC's clients end a call: with a frame of its own.
            stream.send_data(Bytes::new(), true).unwrap();
            let answer = soon(answer).await.unwrap();
            assert!(!answer.headers().contains_key("grpc-status"), "{answer:?}");
        }
    }
}
