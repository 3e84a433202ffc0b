//! What all dialects share, seen through the one that is spoken.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::{Request, Response};
use http_body::Frame;
use tonic::{Code, Status};
use tracing_subscriber::fmt::format::FmtSpan;

use super::{BasePath, DialectSettings, Settings, describe};
use crate::client::{CLIENT_ADDRESS, REQUEST_ID};
use crate::pb::{ErrorReason, GetPublicKeysResponse, JsonWebKey, RevokeTokenResponse};
use fake::{Fake, failure, seen};

pub(super) mod fake;

const BASIC: &str = "Basic dTpw";

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn create() -> Request<Body> {
    Request::post("/tokens").header("authorization", BASIC).body(Body::empty()).unwrap()
}

fn plain(response: &Response<String>) -> (u16, String) {
    (response.status().as_u16(), response.body().clone())
}

fn with_keys() -> Fake {
    let rsa = JsonWebKey {
        kty: "RSA".into(),
        r#use: "sig".into(),
        alg: "RS256".into(),
        kid: "k2".into(),
        n: "AQAB-_".into(),
        e: "AQAB".into(),
        ..JsonWebKey::default()
    };
    let okp = JsonWebKey {
        kty: "OKP".into(),
        kid: "k1".into(),
        crv: "Ed25519".into(),
        x: "11qYAYKx".into(),
        ..JsonWebKey::default()
    };
    let keys = vec![okp, rsa];
    let answer = move || Ok(GetPublicKeysResponse { keys: keys.clone() });
    Fake { keys: Box::new(answer), ..Fake::default() }
}

#[tokio::test]
async fn publishes_the_keys_without_absent_members() {
    let world = with_keys().start();
    let response = world.send(get("/.well-known/jwks.json")).await;
    let headers = ["content-type", "cache-control"];
    let sent = vec!["application/jwk-set+json".to_owned(), "public, max-age=300".to_owned()];
    let body = "{\"keys\":[\
        {\"kty\":\"OKP\",\"kid\":\"k1\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKx\"},\
        {\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"k2\",\
        \"n\":\"AQAB-_\",\"e\":\"AQAB\"}]}";
    assert_eq!(seen(&response, &headers), (200, sent.clone(), body.to_owned()));
    let head = Request::head("/.well-known/jwks.json").body(Body::empty()).unwrap();
    assert_eq!(seen(&world.send(head).await, &headers), (200, sent, String::new()));
    for method in ["POST", "OPTIONS"] {
        let other = Request::builder().method(method).uri("/.well-known/jwks.json");
        let refused = seen(&world.send(other.body(Body::empty()).unwrap()).await, &["allow"]);
        let body = r#"{"error":"method not allowed"}"#.to_owned();
        assert_eq!(refused, (405, vec!["GET, HEAD".to_owned()], body));
    }
}

#[tokio::test]
async fn says_when_to_ask_for_the_keys_again() {
    let unavailable = || Err(failure(Code::Unavailable, ErrorReason::StoreUnavailable));
    let world = Fake { keys: Box::new(unavailable), ..Fake::default() }.start();
    let response = world.send(get("/.well-known/jwks.json")).await;
    let body = r#"{"error":"service unavailable"}"#.to_owned();
    assert_eq!(seen(&response, &["retry-after"]), (503, vec!["1".to_owned()], body));
}

#[tokio::test]
async fn finds_nothing_where_no_dialect_has_the_path() {
    let world = Fake::default().start();
    for path in ["/", "/Tokens", "/tokens/", "/tokens/a/b", "//tokens", "/tokens;a=b", "/nothing"] {
        let response = world.send(get(path)).await;
        let expected =
            (404, vec!["application/json".to_owned()], r#"{"error":"not found"}"#.to_owned());
        assert_eq!(seen(&response, &["content-type"]), expected, "{path}");
    }
}

#[tokio::test]
async fn speaks_a_dialect_where_the_settings_put_it() {
    let base_path = BasePath::parse("/cdn/azion").unwrap();
    let azion = DialectSettings { base_path, ..DialectSettings::with_profile("azion") };
    let settings = Settings { azion, ..Settings::default() };
    let world = Fake { settings, ..Fake::default() }.start();
    assert_eq!(world.send(get("/cdn/azion/tokens")).await.status(), 405);
    let not_found = (404, r#"{"error":"not found"}"#.to_owned());
    assert_eq!(plain(&world.send(get("/tokens")).await), not_found);
    assert_eq!(plain(&world.send(get("/cdn/azion/other")).await), not_found);

    let azion = DialectSettings { enabled: false, ..DialectSettings::with_profile("azion") };
    let settings = Settings { azion, ..Settings::default() };
    let world = Fake { settings, ..Fake::default() }.start();
    assert_eq!(plain(&world.send(create()).await), not_found);
}

#[tokio::test]
async fn describes_all_paths_and_no_others() {
    let base_path = BasePath::parse("/cdn").unwrap();
    let azion = DialectSettings { base_path, ..DialectSettings::with_profile("azion") };
    let settings = Settings { azion, ..Settings::default() };
    let world = Fake { settings: settings.clone(), ..Fake::default() }.start();
    let served = world.send(get("/openapi.json")).await;
    assert_eq!(served.body(), &describe(&settings).unwrap());
    let document: serde_json::Value = serde_json::from_str(served.body()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/cdn/tokens"]["post"].is_object());
    assert!(document["paths"]["/tokens"].is_null());
}

#[test]
fn describes_every_schema_that_it_names() {
    let text = describe(&Settings::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let named = text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for pointer in named {
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let identifiers = text.split("\"operationId\": ").skip(1);
    let mut identifiers: Vec<_> = identifiers.map(|rest| rest.lines().next().unwrap()).collect();
    let all = identifiers.len();
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), all, "two operations have one id");
}

#[tokio::test]
async fn shows_the_description_without_a_network() {
    let world = Fake::default().start();
    let entered = world.send(get("/docs")).await;
    assert_eq!(seen(&entered, &["location"]), (308, vec!["docs/".to_owned()], String::new()));
    for file in ["", "index.html", "index.css", "swagger-ui.css", "swagger-initializer.js"] {
        let page = world.send(get(&format!("/docs/{file}"))).await;
        assert_eq!(page.status(), 200, "{file}");
        assert!(!page.body().contains("src=\"http"), "{file}");
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
    }
    let start = world.send(get("/docs/swagger-initializer.js")).await;
    assert!(start.body().contains("\"../openapi.json\""), "{}", start.body());
    let not_found = (404, r#"{"error":"not found"}"#.to_owned());
    for absent in ["/docs/nothing.js", "/docs/%ff", "/docs/%2e%2e"] {
        assert_eq!(plain(&world.send(get(absent)).await), not_found, "{absent}");
    }
}

#[test]
fn takes_only_paths_that_routes_can_stand_under() {
    for good in ["", "/a", "/a/b-c/v1.0_x"] {
        assert_eq!(BasePath::parse(good).map(|path| path.as_str().to_owned()).as_deref(), Ok(good));
    }
    for bad in ["a", "/", "/a/", "//a", "/{a}", "/*a", "/:a", "/a b", "/..", "/a/./b", "/a?b", "/ä"]
    {
        assert!(BasePath::parse(bad).is_err(), "{bad}");
    }
}

/// Frames of the same content, as many as told, and then silence for ever or the end.
#[derive(Default)]
struct Chunks {
    left: usize,
    ends: bool,
    taken: Arc<AtomicUsize>,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left > 0 {
            self.left -= 1;
            self.taken.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1024])))));
        }
        if self.ends { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[tokio::test]
async fn reads_no_more_of_a_body_than_64_kib() {
    let azion = (413, r#"{"detail":"Payload Too Large"}"#.to_owned());
    let own = (413, r#"{"error":"payload too large"}"#.to_owned());
    let world = with_keys().start();
    for (path, expected) in [
        ("/tokens", &azion),
        ("/tokens/abc", &azion),
        ("/.well-known/jwks.json", &own),
        ("/nothing", &own),
    ] {
        // Of a length that is said beforehand, and of one that is not.
        let whole = create().map(|_| Body::from(vec![b'x'; 65 * 1024]));
        let endless = create()
            .map(|_| Body::new(Chunks { left: usize::MAX, ends: true, ..Chunks::default() }));
        for mut request in [whole, endless] {
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(plain(&world.send(request).await), *expected, "{path}");
        }
    }
    assert!(world.was_asked_nothing());
    // A sender of a little too much is listened to, so that they come to hear the answer.
    for (sent, taken) in [(70, 70), (usize::MAX, 64 + 1024 + 2)] {
        let chunks = Chunks { left: sent, ends: true, ..Chunks::default() };
        let counted = Arc::clone(&chunks.taken);
        assert_eq!(world.send(create().map(|_| chunks)).await.status(), 413);
        assert_eq!(counted.load(Ordering::Relaxed), taken);
    }
    let fitting = create().map(|_| Chunks { left: 64, ends: true, ..Chunks::default() });
    assert_eq!(world.send(fitting).await.status(), 500, "the server was asked");
    world.asked();
}

#[tokio::test]
async fn waits_no_longer_for_a_body_than_the_deadline() {
    let settings = Settings { deadline: Duration::ZERO, ..Settings::default() };
    let world = Fake { settings, ..Fake::default() }.start();
    let response =
        world.send(create().map(|_| Chunks { left: 1, ends: false, ..Chunks::default() })).await;
    assert_eq!(plain(&response), (408, r#"{"detail":"Request Timeout"}"#.to_owned()));
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn answers_a_panic_in_the_dialect_s_words() {
    let world = Fake { create: Box::new(|| panic!("with a secret")), ..Fake::default() }.start();
    let expected = (500, r#"{"detail":"Internal Server Error"}"#.to_owned());
    assert_eq!(plain(&world.send(create()).await), expected);
    let world = Fake { keys: Box::new(|| panic!("with a secret")), ..Fake::default() }.start();
    let expected = (500, r#"{"error":"internal server error"}"#.to_owned());
    assert_eq!(plain(&world.send(get("/.well-known/jwks.json")).await), expected);
}

#[tokio::test]
async fn tells_the_server_the_client_s_address() {
    let settings =
        Settings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Settings::default() };
    let world = Fake { settings, ..Fake::default() }.start();
    for (peer, expected) in [("192.0.2.1:9", "192.0.2.1"), ("10.0.0.1:9", "1.2.3.4")] {
        let mut request = create();
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.headers_mut().insert("x-forwarded-for", "6.6.6.6, 1.2.3.4".parse().unwrap());
        request.headers_mut().insert(CLIENT_ADDRESS, "6.6.6.6".parse().unwrap());
        world.send(request).await;
        let (metadata, _) = world.asked();
        let told: Vec<_> = metadata.get_all(CLIENT_ADDRESS).iter().collect();
        assert_eq!(told, [expected]);
    }
}

#[tokio::test]
async fn carries_the_request_s_id_both_ways() {
    let refused = || Err(failure(Code::Unauthenticated, ErrorReason::BadCredentials));
    for fake in [Fake { create: Box::new(refused), ..Fake::default() }, Fake::default()] {
        let world = fake.start();
        for (given, forwarded) in [
            ("0af7651916cd_43-X", true),
            ("", false),
            ("with space", false),
            ("a.b", false),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
        ] {
            let mut request = create();
            request.headers_mut().insert(REQUEST_ID, given.parse().unwrap());
            let response = world.send(request).await;
            assert_eq!(response.headers()[REQUEST_ID], "made-by-the-server");
            let (metadata, _) = world.asked();
            let sent = metadata.get(REQUEST_ID).map(|id| id.to_str().unwrap());
            assert_eq!(sent, forwarded.then_some(given));
        }
    }
    let mut unasked = get("/nothing");
    unasked.headers_mut().insert(REQUEST_ID, "mine".parse().unwrap());
    assert_eq!(Fake::default().start().send(unasked).await.headers()[REQUEST_ID], "mine");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn writes_the_route_and_never_the_path_or_the_credentials_to_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // What another test came by first at this very moment may have been noted as unheard.
    Fake::default().start().send(get("/nothing")).await;
    tracing::callsite::rebuild_interest_cache();
    let revoked: [fn() -> Result<RevokeTokenResponse, Status>; 3] = [
        || Ok(RevokeTokenResponse { token: None, revoked_count: 1, stale_for: None }),
        || Err(Status::unavailable("tcp connect error")),
        || Err(failure(Code::NotFound, ErrorReason::TokenNotFound)),
    ];
    for revoke in revoked {
        let world = Fake { revoke: Box::new(revoke), ..Fake::default() }.start();
        let request = Request::delete("/tokens/3a110f2990cfbce7").header("authorization", BASIC);
        world.send(request.body(Body::empty()).unwrap()).await;
        world.send(get("/tokens/3a110f2990cfbce7/more")).await;
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for field in
        ["method=\"DELETE\"", "route=\"/tokens/{token}\"", "dialect=\"azion\"", "status=204"]
    {
        assert!(log.contains(field), "{field} is not in {log}");
    }
    for secret in ["3a110f2990cfbce7", "dTpw"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
