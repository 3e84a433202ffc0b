//! How long a request is: one reading alone, or none. Whoever stands before the server and reads
//! another length must not have the rest taken for somebody else's request.

use super::raw::{Documented, basic, documented, live, statuses};
use crate::support::apart::apart;
use crate::support::{Actor, Verdict, World};

/// Lines about the length of a body, by which nobody may read one: 400.
fn malformed(length: usize) -> Vec<String> {
    let other = length + 7;
    let mut lines = vec![
        format!("Content-Length: {length}\r\nContent-Length: {other}\r\n"),
        format!("Content-Length: {other}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, {length}\r\n"),
        format!("Content-Length: {length}, {other}\r\n"),
        format!("Content-Length: {length} {length}\r\n"),
        format!("Content-Length : {length}\r\n"),
        format!(" Content-Length: {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: {length}\0\r\n"),
    ];
    let words = [
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length: 1.0",
        "Content-Length: ",
        "Content-Length: 18446744073709551616",
        "Content-Length: 99999999999999999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked;q=1",
        "X: y\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
    ];
    lines.extend(words.map(|line| format!("{line}\r\n")));
    lines
}

/// Lines by which a body is sent in chunks, whatever else they say.
fn chunked(length: usize) -> Vec<String> {
    vec![
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding: Chunked\r\nContent-Length: {length}\r\n"),
    ]
}

/// What a smuggled request would do: end a token of alice.
struct Prey {
    alice: Actor,
    token: String,
}

impl Prey {
    async fn of(world: &World) -> Self {
        let alice = world.user("alice").with(["token:create"]).await;
        let token = alice.sign_in_to("azion").await.operation;
        Self { alice, token }
    }

    fn smuggled(&self) -> Vec<u8> {
        let credentials = basic("alice", &self.alice.password);
        format!("DELETE /tokens/{} HTTP/1.1\r\nHost: test\r\n{credentials}\r\n", self.token)
            .into_bytes()
    }

    async fn assert_lives(&self, world: &World, case: &str) {
        assert_eq!(world.check(&self.token).await, Verdict::Allow, "{case}");
    }
}

/// Sends a request whose length two readers could read in two ways, with another behind it. Answers
/// what came back.
async fn attack(
    (world, prey): (&World, &Prey),
    request: &Documented,
    (lines, body): (&str, &[u8]),
) -> Vec<u16> {
    let case = format!("{}: {lines:?}", request.dialect);
    let sent = request.framed(request.path.as_bytes(), lines, &[body, &prey.smuggled()].concat());
    let statuses = statuses(world.http().address(), &sent).await;
    prey.assert_lives(world, &case).await;
    statuses
}

async fn reads_one_length_or_none() {
    let world = World::start().await;
    let prey = Prey::of(&world).await;
    let bearer = prey.alice.sign_in().await.operation;
    for request in documented(&bearer) {
        let (path, body) = (request.path.as_bytes(), request.body.as_bytes());
        let closing = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
        let plain = statuses(world.http().address(), &request.framed(path, &closing, body)).await;
        assert!(matches!(plain[..], [200 | 201]), "{}: {plain:?}", request.dialect);
        let before = live(&world, &prey.alice).await;
        for lines in malformed(body.len()) {
            let statuses = attack((&world, &prey), &request, (&lines, body)).await;
            assert_eq!(statuses, [400], "{}: {lines:?}", request.dialect);
        }
        assert_eq!(live(&world, &prey.alice).await, before, "{}", request.dialect);
        // Chunks win whatever a length beside them says, and nothing behind them is heard.
        let chunks = request.chunked().into_bytes();
        for lines in chunked(body.len()).into_iter().chain(chunked(chunks.len() + 100)) {
            let statuses = attack((&world, &prey), &request, (&lines, &chunks)).await;
            assert_eq!(statuses, plain, "{}: {lines:?}", request.dialect);
        }
        // The same length twice is that length, and then nothing is left to smuggle: what follows
        // is a request of its own, of whoever holds the connection.
        let twice = format!("{0}Content-Length: {1}\r\n", closing, body.len());
        let statuses = attack((&world, &prey), &request, (&twice, body)).await;
        assert_eq!(statuses, plain, "{}: a length twice", request.dialect);
    }
}

#[tokio::test]
async fn reads_the_length_of_a_request_in_one_way_or_not_at_all() {
    reads_one_length_or_none().await;
}

#[tokio::test]
async fn reads_it_in_one_way_in_a_shim_of_its_own_too() {
    Box::pin(apart(reads_one_length_or_none())).await;
}

/// Chunks that are none, behind the line that promises them.
const BROKEN_CHUNKS: [&str; 9] = [
    "-1\r\n",
    "0x1\r\na\r\n0\r\n\r\n",
    "1 \n\na\r\n0\r\n\r\n",
    "g\r\n",
    "\r\n0\r\n\r\n",
    "ffffffffffffffff1\r\n",
    "1\r\nab\r\n0\r\n\r\n",
    "1\r\na0\r\n\r\n",
    "1;\n\r\na\r\n0\r\n\r\n",
];

#[tokio::test]
async fn takes_no_broken_chunk_for_the_end_of_a_request() {
    let world = World::start().await;
    let prey = Prey::of(&world).await;
    let bearer = prey.alice.sign_in().await.operation;
    for request in documented(&bearer) {
        let before = live(&world, &prey.alice).await;
        for chunks in BROKEN_CHUNKS {
            let case = format!("{}: {chunks:?}", request.dialect);
            let parts = ("Transfer-Encoding: chunked\r\n", chunks.as_bytes());
            let statuses = attack((&world, &prey), &request, parts).await;
            assert!(matches!(statuses[..], [] | [400]), "{case}: {statuses:?}");
        }
        assert_eq!(live(&world, &prey.alice).await, before, "{}", request.dialect);
        let old = request.framed(
            request.path.as_bytes(),
            "Transfer-Encoding: chunked\r\n",
            request.chunked().as_bytes(),
        );
        let old = String::from_utf8(old).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
        let statuses = statuses(world.http().address(), old.as_bytes()).await;
        assert_eq!(statuses, [400], "{}: chunks of HTTP/1.0", request.dialect);
    }
}
