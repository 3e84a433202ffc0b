//! Frames of HTTP/2 without end: what each of them costs is not kept.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{Attacked, STRANGER, THIS_MACHINE, connect};

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How much a stranger sends by one connection, at most, in bytes.
const MUCH: usize = 8 << 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 4;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a call of `Authorize`, in the literal form of HPACK.
fn head() -> Vec<u8> {
    // POST, http.
    let mut head = vec![0x83, 0x86];
    let path = b"/tokend.v1.TokenService/Authorize";
    for (name, value) in [
        (&b":path"[..], &path[..]),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ] {
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text);
        }
    }
    head
}

/// A header of HPACK whose value has so many bytes, of 128 or more and fewer than 16,000.
fn long_header(length: usize) -> Vec<u8> {
    let mut header = vec![0, 1, b'x', 0x7f];
    let rest = length - 127;
    header.extend([u8::try_from(rest % 128).unwrap() | 0x80, u8::try_from(rest / 128).unwrap()]);
    header.resize(header.len() + length, b'x');
    header
}

/// The frames of one kind of flood: what comes once, and what comes again and again, by the number
/// of times that it came.
struct Flood {
    first: Vec<u8>,
    again: fn(u32) -> Vec<u8>,
}

/// Those of heads.
fn heads() -> Vec<(&'static str, Flood)> {
    vec![
        (
            "rapid reset",
            Flood {
                first: Vec::new(),
                again: |n| {
                    let mut both = frame(HEADERS, END_HEADERS, 2 * n + 1, &head());
                    both.extend(frame(RESET, 0, 2 * n + 1, &8_u32.to_be_bytes()));
                    both
                },
            },
        ),
        (
            "streams beyond what is allowed",
            Flood { first: Vec::new(), again: |n| frame(HEADERS, END_HEADERS, 2 * n + 1, &head()) },
        ),
        (
            "CONTINUATION",
            Flood {
                first: frame(HEADERS, 0, 1, &head()),
                again: |_| frame(CONTINUATION, 0, 1, &long_header(12_000)),
            },
        ),
        (
            "empty CONTINUATION",
            Flood {
                first: frame(HEADERS, 0, 1, &head()),
                again: |_| frame(CONTINUATION, 0, 1, &[]),
            },
        ),
        (
            "a megabyte of headers in each call",
            Flood {
                first: Vec::new(),
                again: |n| {
                    let stream = 2 * n + 1;
                    let mut all = frame(HEADERS, 0, stream, &head());
                    for part in 0..90 {
                        let end = if part == 89 { END_HEADERS } else { 0 };
                        all.extend(frame(CONTINUATION, end, stream, &long_header(12_000)));
                    }
                    all
                },
            },
        ),
    ]
}

/// Those of frames that are about no call, or about one that has begun.
fn small_frames() -> Vec<(&'static str, Flood)> {
    let begun = || frame(HEADERS, END_HEADERS, 1, &head());
    vec![
        ("empty DATA", Flood { first: begun(), again: |_| frame(DATA, 0, 1, &[]) }),
        ("DATA of one byte", Flood { first: begun(), again: |_| frame(DATA, 0, 1, &[0]) }),
        (
            "SETTINGS",
            Flood {
                first: Vec::new(),
                again: |n| {
                    let mut setting = vec![0, 4];
                    setting.extend((n % 60_000).to_be_bytes());
                    frame(SETTINGS, 0, 0, &setting)
                },
            },
        ),
        (
            "PING",
            Flood {
                first: Vec::new(),
                again: |n| {
                    let mut opaque = n.to_be_bytes().to_vec();
                    opaque.extend([0; 4]);
                    frame(PING, 0, 0, &opaque)
                },
            },
        ),
        (
            "frames of an unknown kind",
            Flood { first: Vec::new(), again: |_| frame(0xbe, 0, 0, &[7; 4096]) },
        ),
    ]
}

/// Sends a flood by one connection until it is ended, takes no more, or had much. Reads nothing.
async fn flood(to: SocketAddr, flood: &Flood) -> tokio::net::TcpStream {
    let mut stranger = connect(STRANGER, to).await;
    let mut sent = Vec::from(GREETING);
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    sent.extend(&flood.first);
    let (mut all, mut n) = (0, 0);
    while all < MUCH {
        while sent.len() < 64 * 1024 {
            sent.extend((flood.again)(n));
            n += 1;
        }
        all += sent.len();
        let taken = timeout(Duration::from_millis(500), stranger.write_all(&sent)).await;
        if !matches!(taken, Ok(Ok(()))) {
            break;
        }
        sent.clear();
    }
    stranger
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_nothing_of_a_flood_and_serves_others() {
    for listener in ["grpc", "rest"] {
        let attacked = Attacked::with_files(4096).await;
        let to = attacked.address(listener);
        for (name, kind) in heads().into_iter().chain(small_frames()) {
            let attack = async {
                let kind = &kind;
                let all = (0..8).map(|_| flood(to, kind));
                futures_util::future::join_all(all).await
            };
            let (strangers, ()) = tokio::join!(attack, attacked.serves_others());
            attacked.serves_others().await;
            attacked.holds_little();
            drop((name, strangers));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_little_of_metadata_of_calls_that_do_not_end() {
    let attacked = Attacked::with_files(4096).await;
    for from in [STRANGER, THIS_MACHINE] {
        let mut strangers = Vec::new();
        for _ in 0..40 {
            let mut stranger = connect(from, attacked.address("grpc")).await;
            let mut sent = Vec::from(GREETING);
            sent.extend(frame(SETTINGS, 0, 0, &[]));
            let mut long = head();
            long.extend(long_header(15_000));
            for n in 0..200 {
                sent.extend(frame(HEADERS, END_HEADERS, 2 * n + 1, &long));
            }
            stranger.write_all(&sent).await.unwrap();
            // What was sent before it was read once it is answered.
            stranger.write_all(&frame(PING, 0, 0, b"pingpong")).await.unwrap();
            let mut said = Vec::new();
            while !said.windows(8).any(|part| part == b"pingpong") {
                assert!(stranger.read_buf(&mut said).await.unwrap() > 0);
            }
            strangers.push(stranger);
        }
        attacked.holds_little();
        attacked.serves_others().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_a_connection_whose_streams_are_reset_as_they_are_opened() {
    let attacked = Attacked::with_files(4096).await;
    let (_, rapid_reset) = heads().swap_remove(0);
    let mut stranger = flood(attacked.address("grpc"), &rapid_reset).await;
    let mut said = Vec::new();
    // To the end, however it ends.
    let _ = stranger.read_to_end(&mut said).await;
    attacked.serves_others().await;
}
