//! Messages that are none, and compressed ones: refused by every service, and never told as a fault
//! of the server.

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokend::pb::DenyReason;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::raw::{Documented, documented, live, statuses};
use crate::support::{Verdict, World};

/// Methods that take one message: some of ours, and of others that answer one or many.
const METHODS: [&str; 5] = [
    "tokend.v1.TokenService/Authorize",
    "tokend.v1.TokenService/CreateToken",
    "tokend.v1.DirectoryService/PutRole",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
];

/// One that takes many.
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// What is no message: text that is none, a compressed one of no encoding, a flag that there is not,
/// one that is cut short, and nothing at all.
const BROKEN: [&[u8]; 5] = [
    &[0, 0, 0, 0, 4, 10, 2, 0xff, 0xfe],
    &[1, 0, 0, 0, 4, 10, 2, b'a', b'b'],
    &[7, 0, 0, 0, 4, 10, 2, b'a', b'b'],
    &[0, 0, 0, 0, 9, 10, 2],
    &[],
];

/// Sends a body to a method, and answers how that ended.
async fn send(to: SocketAddr, method: &str, encoding: Option<&str>, body: &[u8]) -> Status {
    let socket = TcpStream::connect(to).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://test/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let (answer, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
    // It may have been refused before.
    let _ = stream.send_data(Bytes::copy_from_slice(body), true);
    let answer = answer.await.unwrap();
    let status = if let Some(status) = Status::from_header_map(answer.headers()) {
        status
    } else {
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data.unwrap().len()).unwrap();
        }
        Status::from_header_map(&body.trailers().await.unwrap().unwrap()).unwrap()
    };
    driven.abort();
    status
}

fn address(world: &World) -> SocketAddr {
    world.grpc_url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// Twenty megabytes in some twenty kilobytes.
fn bomb() -> Vec<u8> {
    gzip(&vec![0; 20 << 20])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[1][..], &length, message].concat()
}

#[tokio::test]
async fn names_a_message_that_is_none_as_the_callers_fault() {
    let world = World::start().await;
    let to = address(&world);
    for method in METHODS {
        for broken in BROKEN {
            let status = send(to, method, None, broken).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{method}, {broken:?}: {status:?}");
            let details = status.get_error_details();
            let fields = details.bad_request().unwrap().field_violations.clone();
            assert_eq!(fields[0].field, "message", "{method}, {broken:?}");
            assert!(!fields[0].description.contains("\u{fffd}"), "{fields:?}");
        }
    }
    for broken in BROKEN {
        let status = send(to, REFLECTION, None, broken).await;
        assert!(!matches!(status.code(), Code::Unknown), "{broken:?}: {status:?}");
    }
    assert_eq!(world.check("tkd_x").await, Verdict::Deny(DenyReason::UnknownToken));
}

#[tokio::test]
async fn takes_no_compressed_message_whatever_it_would_be() {
    let world = World::start().await;
    let to = address(&world);
    for method in METHODS.into_iter().chain([REFLECTION]) {
        for encoding in ["gzip", "deflate", "zstd", "br", "nonsense"] {
            for message in [compressed(&bomb()), compressed(&gzip(b""))] {
                let status = send(to, method, Some(encoding), &message).await;
                assert_eq!(status.code(), Code::Unimplemented, "{method}, {encoding}: {status:?}");
            }
        }
    }
}

#[tokio::test]
async fn takes_no_compressed_body() {
    let world = World::start().await;
    let admin = world.admin();
    let bearer = admin.sign_in().await.operation;
    let before = live(&world, &admin).await;
    let http = world.http().address();
    for request in documented(&bearer) {
        let Documented { dialect, path, ref body, .. } = request;
        if body.is_empty() {
            continue;
        }
        for inflated in [vec![b' '; 20 << 20], body.clone().into_bytes()] {
            let body = gzip(&inflated);
            let lines = format!(
                "Content-Encoding: gzip\r\nContent-Length: {}\r\n\
                Connection: close\r\n",
                body.len()
            );
            let answered = statuses(http, &request.framed(path.as_bytes(), &lines, &body)).await;
            match dialect {
                // A fault of SOAP is answered so.
                "magento-soap" => assert_eq!(answered, [200]),
                _ => assert!(matches!(answered[..], [400 | 415]), "{dialect}: {answered:?}"),
            }
        }
    }
    assert_eq!(live(&world, &admin).await, before, "no token was made");
}
