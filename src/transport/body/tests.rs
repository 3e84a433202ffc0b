//! Bodies that come late, in pieces, or not at all.

use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

use super::*;
use crate::transport::{Connection, RequestMemory};

const TIMES: BodyTimes =
    BodyTimes { whole: Duration::from_secs(10), grace: Duration::from_secs(4), rate: 1024 };

fn call(memory: &RequestMemory) -> Result<Arc<Call>, NoRoom> {
    memory.hold(&Connection::of("192.0.2.1:1"), &HeaderMap::new())
}

/// Pieces, one each so long, and then none for ever.
fn body(
    pieces: &[&[u8]],
    each: Duration,
) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin + use<> {
    let pieces: Vec<_> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let pieces = tokio_stream::iter(pieces).then(move |piece| async move {
        sleep(each).await;
        Ok(Frame::data(piece))
    });
    StreamBody::new(Box::pin(pieces.chain(tokio_stream::pending())))
}

async fn read(framing: Framing, pieces: &[&[u8]], each: Duration) -> (RequestError, Duration) {
    let memory = RequestMemory::new(32 << 20);
    let body = RequestBody::new(body(pieces, each), call(&memory), framing, TIMES);
    let began = Instant::now();
    let error = body.collect().await.unwrap_err();
    (error, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn waits_longer_the_more_has_come_but_not_for_ever() {
    let second = Duration::from_secs(1);
    let framing = Framing::Pieces { most: 1 << 20 };
    for (piece, due) in [(0, 4), (256, 5), (512, 7), (10_000, 10)] {
        let piece = vec![0; piece];
        let (error, time) = read(framing, &vec![&piece[..]; 20], second).await;
        assert!(matches!(error, RequestError::Late), "{error:?}");
        assert_eq!(time.as_secs(), due, "{}", piece.len());
    }
}

#[tokio::test]
async fn refuses_a_message_by_its_announced_length_before_it_comes() {
    let framing = Framing::Message { most: 100 };
    for pieces in [&[&[0, 255, 255, 255, 255][..]][..], &[&[0], &[0, 0], &[0, 101]]] {
        let (error, _) = read(framing, pieces, Duration::ZERO).await;
        assert!(matches!(error, RequestError::TooLong(100)), "{error:?}");
    }
}

#[tokio::test]
async fn refuses_more_than_a_message_after_a_message() {
    let framing = Framing::Message { most: 100 };
    let (error, _) = read(framing, &[&[0, 0, 0, 0, 0], &[0; 101]], Duration::ZERO).await;
    assert!(matches!(error, RequestError::TooLong(100)), "{error:?}");
}

#[tokio::test]
async fn holds_what_is_announced_at_once() {
    let memory = RequestMemory::new(16 * 64 * 1024);
    let framing = Framing::Message { most: 1 << 20 };
    let announced = [0, 0, 1, 0, 0];
    let held = RequestBody::new(body(&[], Duration::ZERO), call(&memory), framing, TIMES);
    let Err(error) = held.after(&announced) else { panic!("there is room") };
    assert!(matches!(error, RequestError::NoRoom(NoRoom::Connection)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn is_given_up_for_one_that_comes_later() {
    let memory = RequestMemory::new(16 * 32 * 1024);
    let connection = Connection::of("192.0.2.1:1");
    let hold = || memory.hold(&connection, &HeaderMap::new());
    let framing = Framing::Message { most: 16 * 1024 };
    let announced: &[u8] = &[0, 0, 0, 0x40, 0];
    let first = RequestBody::new(body(&[announced], Duration::ZERO), hold(), framing, TIMES);
    let first = tokio::spawn(first.collect());
    tokio::task::yield_now().await;
    let second = RequestBody::new(body(&[announced], Duration::ZERO), hold(), framing, TIMES);
    let second = tokio::spawn(second.collect());
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert!(matches!(first.unwrap_err(), RequestError::NoRoom(NoRoom::GivenUp)));
    assert!(matches!(second.unwrap_err(), RequestError::Late));
}

#[tokio::test]
async fn keeps_no_buffer_for_a_short_piece_of_it() {
    let memory = RequestMemory::new(32 << 20);
    let buffer = Bytes::from(vec![7; 16 * 1024]);
    let pieces = [Ok::<_, std::io::Error>(Frame::data(buffer.slice(..9)))];
    let inner = StreamBody::new(tokio_stream::iter(pieces));
    let framing = Framing::Pieces { most: 1 << 20 };
    let mut body = RequestBody::new(inner, call(&memory), framing, TIMES);
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, buffer.slice(..9));
    assert!(!buffer.as_ptr_range().contains(&piece.as_ptr()));
}
