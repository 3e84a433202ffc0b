//! Paths that somebody before the server may read otherwise than it does: each is its own route or
//! none, and no other's.

use tokend::pb::TokenKind;

use super::raw::{Documented, basic, documented, live, statuses};
use crate::support::apart::apart;
use crate::support::{Verdict, World};

/// What is put before a path, that somebody may take away again.
const BEFORE: [&str; 13] = [
    "/x/..",
    "/x/../..",
    "/.",
    "/..",
    "/",
    "//",
    "/%2e%2e",
    "/%2e",
    "/x/%2e%2e",
    "/x/%2E%2E%2f",
    "/;",
    "/%00",
    "/\\..",
];

/// What is put behind one.
const BEHIND: [&[u8]; 16] = [
    b"/", b"//", b"/.", b"/..", b"/%2e", b"/%2e%2e", b";", b";x=1", b"%00", b"%2f", b"%20", b"%3f",
    b".", b"%5c", b"\\", b"\x80",
];

/// What is no target at all, or no character of one.
const NO_TARGETS: [&[u8]; 7] =
    [b"", b"*", b"tokens", b"test:80", b"/tokens\0", b"/tok\x7fens", b"http://"];

/// Sends a request to a target and closes.
async fn send(world: &World, request: &Documented, target: &[u8]) -> Vec<u16> {
    let mut request = request.clone();
    request.headers += "Connection: close\r\n";
    statuses(world.http().address(), &request.at(target)).await
}

fn is_refused(statuses: &[u16]) -> bool {
    matches!(statuses, [400 | 404 | 405])
}

async fn gives_each_path_to_one_alone() {
    let world = World::start().await;
    let alice = world.user("alice").with(["token:create"]).await;
    let bearer = alice.sign_in().await.operation;
    for request in documented(&bearer) {
        let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let plain = send(&world, &request, request.path.as_bytes()).await;
        assert!(matches!(plain[..], [200 | 201]), "{}: {plain:?}", request.dialect);
        let count = live(&world, &alice).await;
        let mut targets: Vec<Vec<u8>> = BEFORE
            .iter()
            .map(|before| format!("{before}{path}{query}").into_bytes())
            .chain(BEHIND.map(|behind| [path.as_bytes(), behind, query.as_bytes()].concat()))
            .chain(NO_TARGETS.map(<[u8]>::to_vec))
            .collect();
        if path != "/" {
            targets.push(path.to_ascii_uppercase().replace("/V1/", "/v1/").into_bytes());
            targets.push(path.replacen('/', "/%2f", 1).into_bytes());
            targets.push(path[1..].replace('/', "%2f").into_bytes());
        }
        for target in targets {
            let case = format!("{} at {:?}", request.dialect, String::from_utf8_lossy(&target));
            let answered = send(&world, &request, &target).await;
            assert!(is_refused(&answered), "{case}: {answered:?}");
        }
        assert_eq!(live(&world, &alice).await, count, "{}", request.dialect);
        // The one path, written in the other way that RFC 9112 has: whoever it names.
        let absolute = format!("http://elsewhere.example{}", request.path);
        assert_eq!(send(&world, &request, absolute.as_bytes()).await, plain, "{absolute}");
    }
}

#[tokio::test]
async fn routes_no_path_to_what_it_would_be_once_it_is_tidied() {
    gives_each_path_to_one_alone().await;
}

#[tokio::test]
async fn routes_none_so_in_a_shim_of_its_own_either() {
    Box::pin(apart(gives_each_path_to_one_alone())).await;
}

/// Names for what stands at the end of a path that are not its own: `T` stands for it.
const MISNAMED: [&[u8]; 27] = [
    b"/T",
    b"./T",
    b"x/../T",
    b"../T",
    b"x/%2e%2e/T",
    b"%2e/T",
    b"T/",
    b"T/.",
    b"T/..",
    b"T/x/..",
    b"T;",
    b"T;x=1",
    b";T",
    b"T%00",
    b"%00T",
    b"T\0",
    b"T%20",
    b"%20T",
    b"T%0a",
    b"T%0d%0a",
    b"T%2f",
    b"%2fT",
    b"T.",
    b"T%3f",
    b"T%23",
    b"T\x80",
    b"T%80",
];

/// The same text, each byte as `%` and its digits, `times` over.
fn escaped(text: &str, times: usize) -> String {
    (0..times).fold(text.to_owned(), |text, _| {
        text.bytes().fold(String::new(), |escaped, byte| format!("{escaped}%{byte:02X}"))
    })
}

async fn ends_only_what_is_named() {
    let world = World::start().await;
    let alice = world.user("alice").with(["token:create"]).await;
    let bearer = alice.sign_in().await.operation;
    let (azion, epilot) = (alice.sign_in_to("azion").await, alice.sign_in_to("epilot").await);
    assert_eq!(epilot.token.kind(), TokenKind::Personal);
    let by_basic = basic("alice", &alice.password);
    let by_bearer = format!("Authorization: Bearer {bearer}\r\n");
    for (folder, name, credentials, token) in [
        ("/tokens/", &azion.operation, &by_basic, &azion.operation),
        ("/v1/access-tokens/", &epilot.token.id, &by_bearer, &epilot.operation),
    ] {
        let delete = async |target: &[u8]| {
            let lines =
                format!(" HTTP/1.1\r\nHost: test\r\n{credentials}Connection: close\r\n\r\n");
            let sent = [b"DELETE ", target, lines.as_bytes()].concat();
            statuses(world.http().address(), &sent).await
        };
        let mut targets: Vec<Vec<u8>> = MISNAMED
            .map(|misnamed| {
                let at = misnamed.iter().position(|byte| *byte == b'T').unwrap();
                let (before, behind) = (&misnamed[..at], &misnamed[at + 1..]);
                [folder.as_bytes(), before, name.as_bytes(), behind].concat()
            })
            .to_vec();
        for before in BEFORE {
            targets.push(format!("{before}{folder}{name}").into_bytes());
        }
        targets.push(format!("{}{name}", folder.to_uppercase()).into_bytes());
        targets.push(format!("{folder}{}", escaped(name, 2)).into_bytes());
        for target in targets {
            let case = String::from_utf8_lossy(&target).into_owned();
            let answered = delete(&target).await;
            assert!(is_refused(&answered), "{case}: {answered:?}");
            assert_eq!(world.check(token).await, Verdict::Allow, "{case}");
        }
        // Written out once it is the same name, by RFC 3986.
        let answered = delete(format!("{folder}{}", escaped(name, 1)).as_bytes()).await;
        assert!(matches!(answered[..], [200 | 204]), "{folder}: {answered:?}");
        assert_ne!(world.check(token).await, Verdict::Allow, "{folder}");
    }
}

#[tokio::test]
async fn ends_no_token_by_a_path_that_is_almost_its_own() {
    ends_only_what_is_named().await;
}

#[tokio::test]
async fn ends_none_so_in_a_shim_of_its_own_either() {
    Box::pin(apart(ends_only_what_is_named())).await;
}
