//! HTTP/1.1 byte by byte, for what no client library sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{ADMIN_PASSWORD, Actor, World};

/// A request that a dialect documents, and that is answered with a new token.
#[derive(Debug, Clone)]
pub(super) struct Documented {
    pub(super) dialect: &'static str,
    pub(super) path: &'static str,
    /// Header lines, each with its end.
    pub(super) headers: String,
    pub(super) body: String,
}

impl Documented {
    /// The request with this target instead of its path.
    pub(super) fn at(&self, target: &[u8]) -> Vec<u8> {
        let lengths = format!("Content-Length: {}\r\n", self.body.len());
        self.framed(target, &lengths, self.body.as_bytes())
    }

    /// The request with these lines about its length, and this behind its head.
    pub(super) fn framed(&self, target: &[u8], lengths: &str, body: &[u8]) -> Vec<u8> {
        let headers = format!("Host: test\r\n{}{lengths}\r\n", self.headers);
        [b"POST ", target, b" HTTP/1.1\r\n", headers.as_bytes(), body].concat()
    }

    /// The body as one chunk and the last one.
    pub(super) fn chunked(&self) -> String {
        let body = &self.body;
        let chunk =
            if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) };
        format!("{chunk}0\r\n\r\n")
    }
}

/// One request for each dialect. `bearer` may make tokens of its own.
pub(super) fn documented(bearer: &str) -> [Documented; 6] {
    let fields = format!(r#""username":"admin","password":"{ADMIN_PASSWORD}""#);
    let of = |dialect, path, headers: &str, body: String| Documented {
        dialect,
        path,
        headers: headers.to_owned(),
        body,
    };
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let soap = "Content-Type: application/soap+xml\r\n";
    let operation = "integrationAdminTokenServiceV1CreateAdminAccessTokenRequest";
    [
        of("azion", "/tokens", &basic("admin", ADMIN_PASSWORD), String::new()),
        of(
            "apinizer",
            "/apiops/auth/token",
            form,
            format!("grant_type=client_credentials&client_id=admin&client_secret={ADMIN_PASSWORD}"),
        ),
        of(
            "harperdb",
            "/",
            json,
            format!(r#"{{"operation":"create_authentication_tokens",{fields}}}"#),
        ),
        of("magento", "/V1/integration/admin/token", json, format!("{{{fields}}}")),
        of(
            "magento-soap",
            "/soap/default?services=integrationAdminTokenServiceV1",
            soap,
            format!(
                "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body>\
                 <{operation}><username>admin</username><password>{ADMIN_PASSWORD}</password>\
                 </{operation}></e:Body></e:Envelope>"
            ),
        ),
        of(
            "epilot",
            "/v1/access-tokens",
            &format!("{json}Authorization: Bearer {bearer}\r\n"),
            r#"{"name":"Token for my application"}"#.to_owned(),
        ),
    ]
}

/// The header line of a name and a password.
pub(super) fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    format!("Authorization: Basic {pair}\r\n")
}

/// Sends bytes, and answers the statuses of all that came back until the connection's end.
pub(super) async fn statuses(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may have closed before it has all: what it said is read all the same.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    read_statuses(&answer)
}

/// The statuses of answers, one behind the other, each as long as it says.
fn read_statuses(mut answer: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
        statuses.push(head[9..12].parse().unwrap());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        answer = &answer[end + 4 + length..];
    }
    assert_eq!(answer, b"", "half an answer");
    statuses
}

/// How many live tokens there are of the first user and of another.
pub(super) async fn live(world: &World, other: &Actor) -> usize {
    let mut count = 0;
    for actor in [&world.admin(), other] {
        let states = vec![tokend::pb::TokenState::Active.into()];
        let request =
            tokend::pb::ListTokensRequest { states, page_size: 1000, ..Default::default() };
        count += actor.api().list_tokens(request).await.unwrap().tokens.len();
    }
    count
}
