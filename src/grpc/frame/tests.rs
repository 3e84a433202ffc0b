//! Bodies in one piece and in many, whole and not.

use http_body_util::{BodyExt as _, StreamBody};
use tokio_stream::StreamExt as _;

use super::*;

const MOST: usize = 16;

fn body(pieces: &[&[u8]]) -> Body {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

async fn all(body: Body) -> Vec<u8> {
    body.collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn reads_one_message_in_however_many_pieces() {
    let pieces: [&[&[u8]]; 4] = [
        &[&[0, 0, 0, 0, 3, 1, 2, 3]],
        &[&[0, 0], &[0, 0, 3, 1], &[2, 3]],
        &[&[0, 0, 0, 0, 3], &[], &[1, 2, 3]],
        &[&[0, 0, 0, 0, 3, 1, 2, 3], &[]],
    ];
    for pieces in pieces {
        let Read::One(whole) = read_one(body(pieces), MOST).await else { panic!("{pieces:?}") };
        assert_eq!(*whole.message(), [1, 2, 3]);
        assert_eq!(all(whole.into_body()).await, [0, 0, 0, 0, 3, 1, 2, 3]);
    }
}

#[tokio::test]
async fn gives_back_untouched_what_is_something_else() {
    let long = [0; PREFIX + MOST + 1];
    let pieces: [&[&[u8]]; 9] = [
        &[],
        &[&[0, 0, 0]],
        // Compressed, or marked as nothing that there is.
        &[&[1, 0, 0, 0, 3, 1, 2, 3]],
        &[&[2, 0, 0, 0, 3, 1, 2, 3]],
        // Shorter and longer than it says, by much and by little.
        &[&[0, 0, 0, 0, 3, 1, 2]],
        &[&[0, 0, 0, 0, 3, 1, 2, 3, 4]],
        &[&[0, 255, 255, 255, 255, 1]],
        // Two messages.
        &[&[0, 0, 0, 0, 1, 1], &[0, 0, 0, 0, 1, 2]],
        &[&long, &[1], &[2]],
    ];
    for pieces in pieces {
        let Read::Other(other) = read_one(body(pieces), MOST).await else { panic!("{pieces:?}") };
        assert_eq!(all(other).await, pieces.concat());
    }
}

#[tokio::test]
async fn reads_no_more_of_a_long_body_than_it_must() {
    let endless = tokio_stream::iter(std::iter::repeat_with(|| {
        Ok::<_, Status>(Frame::data(Bytes::from_static(&[0; 8])))
    }));
    let mut read = 0_usize;
    let counted = endless.map(move |frame| {
        read += 1;
        assert!(read <= 3);
        frame
    });
    let Read::Other(_) = read_one(Body::new(StreamBody::new(counted)), MOST).await else {
        panic!()
    };
}

#[tokio::test]
async fn gives_back_what_came_before_a_body_broke() {
    let frames = [Ok(Frame::data(Bytes::from_static(&[0, 0]))), Err(Status::data_loss("broken"))];
    let broken = Body::new(StreamBody::new(tokio_stream::iter(frames)));
    let Read::Other(mut other) = read_one(broken, MOST).await else { panic!() };
    assert_eq!(other.frame().await.unwrap().unwrap().into_data().unwrap(), &[0, 0][..]);
    assert_eq!(other.frame().await.unwrap().unwrap_err().message(), "broken");
    assert!(other.frame().await.is_none());
}

#[tokio::test]
async fn writes_a_message_and_that_it_went_well() {
    let answered = Answered::with(None, |bytes| bytes.put_slice(&[8, 1]));
    let answered = answered.collect().await.unwrap();
    assert_eq!(answered.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(*answered.to_bytes(), [0, 0, 0, 0, 2, 8, 1]);
}
