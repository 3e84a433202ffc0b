//! The rows of `docs/dialects/epilot.md`, before a server that answers as it is told.

mod calls;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::pb::{
    CreateTokenResponse, ErrorReason, GetCallerResponse, IssuedToken, ListTokensResponse,
    RevokeTokenResponse, Token,
};
use crate::rest::tests::fake::{Fake, World, come_back, failure, invalid, seen};

const TOKENS: &str = "/v1/access-tokens";
const ID: &str = "api_5ZugdRXasLfWBypHi93Fk";
const BEARER: &str = "Bearer tkd_abc";
const DOCUMENTED: &str = r#"{"name":"Postman Access Token","assume_roles":["123:owner"]}"#;
// As the vendor's page has it.
const TOKEN: &str = "{\"id\":\"api_5ZugdRXasLfWBypHi93Fk\",\
    \"created_at\":\"2019-08-24T14:15:22Z\",\
    \"name\":\"Postman Access Token\",\
    \"assignments\":[\"123:owner\"]}";
const UNAUTHORIZED: &str = r#"{"message":"Unauthorized"}"#;
const NOT_FOUND: &str = r#"{"status":404,"error":"Not Found"}"#;

fn token() -> Token {
    Token {
        id: ID.to_owned(),
        display_name: "Postman Access Token".to_owned(),
        role_ids: vec!["123:owner".to_owned()],
        create_time: Some(Timestamp { seconds: 1_566_656_122, nanos: 999_999_999 }),
        ..Token::default()
    }
}

fn issued(token: Token) -> CreateTokenResponse {
    let secret = "tkd_made".to_owned();
    CreateTokenResponse {
        token: Some(IssuedToken { token: Some(token), secret }),
        refresh_token: None,
    }
}

fn good() -> Fake {
    Fake {
        create: Box::new(|| Ok(issued(token()))),
        list: Box::new(|| {
            Ok(ListTokensResponse { tokens: vec![token()], next_page_token: String::new() })
        }),
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: Some(token()), revoked_count: 1, stale_for: None })
        }),
        caller: Box::new(|| Ok(GetCallerResponse::default())),
        ..Fake::default()
    }
}

/// Refuses every call that does something; the token itself is good.
fn failing(status: impl Fn() -> Status + Clone + Send + Sync + 'static) -> Fake {
    let (create, list, revoke) = (status.clone(), status.clone(), status);
    Fake {
        create: Box::new(move || Err(create())),
        list: Box::new(move || Err(list())),
        revoke: Box::new(move || Err(revoke())),
        ..good()
    }
}

fn nobody(mut fake: Fake) -> Fake {
    fake.caller = Box::new(|| Err(failure(Code::Unauthenticated, ErrorReason::TokenInvalid)));
    fake
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("authorization", BEARER);
    request.body(body.into()).unwrap()
}

fn create(body: impl Into<Body>) -> Request<Body> {
    request("POST", TOKENS, body)
}

fn list() -> Request<Body> {
    request("GET", TOKENS, "")
}

fn delete(id: &str) -> Request<Body> {
    request("DELETE", &format!("{TOKENS}/{id}"), "")
}

fn each() -> [Request<Body>; 3] {
    [create(DOCUMENTED), list(), delete(ID)]
}

/// Status, `Retry-After`, `Allow` and body of an answer in JSON.
async fn answer(world: &World, request: Request<Body>) -> (u16, [String; 2], String) {
    let response = world.send(request).await;
    let (status, headers, body) = seen(&response, &["retry-after", "allow", "content-type"]);
    let [retry_after, allow, content_type] = headers.try_into().unwrap();
    assert_eq!(content_type, "application/json", "{body}");
    (status, [retry_after, allow], body)
}

async fn plain(world: &World, request: Request<Body>) -> (u16, String) {
    let (status, headers, body) = answer(world, request).await;
    assert_eq!(headers, [String::new(), String::new()], "{status} {body}");
    (status, body)
}

fn refusal(status: u16, error: &str) -> (u16, String) {
    (status, format!("{{\"status\":{status},\"error\":\"{error}\"}}"))
}

#[tokio::test]
async fn e5_answers_every_bad_token_alike() {
    for reason in [
        ErrorReason::BadCredentials,
        ErrorReason::TokenInvalid,
        ErrorReason::TokenExpired,
        ErrorReason::RefreshTokenReused,
    ] {
        let world = failing(move || failure(Code::Unauthenticated, reason)).start();
        for request in each() {
            let answered = plain(&world, request).await;
            assert_eq!(answered, (401, UNAUTHORIZED.to_owned()), "{reason:?}");
        }
    }
}

#[tokio::test]
async fn e5_asks_nobody_where_there_is_no_bearer() {
    let world = good().start();
    let cases: [&[&[u8]]; 8] = [
        &[],
        &[b""],
        &[b"Bearer"],
        &[b"Token tkd_abc"],
        &[b"Basic dTpw"],
        &[b"Bearer a b"],
        &[b"Bearer \xff"],
        &[b"Bearer tkd_abc", b"Bearer tkd_abc"],
    ];
    for values in cases {
        for mut request in each().into_iter().chain([create("{"), delete("%ff")]) {
            request.headers_mut().remove("authorization");
            for value in values {
                let value = HeaderValue::from_bytes(value).unwrap();
                request.headers_mut().append("authorization", value);
            }
            let answered = plain(&world, request).await;
            assert_eq!(answered, (401, UNAUTHORIZED.to_owned()), "{values:?}");
        }
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn e5_comes_before_what_is_wrong_with_the_request() {
    let worlds = [
        nobody(good()),
        nobody(failing(|| invalid(&["display_name"]))),
        nobody(failing(|| invalid(&["token_id"]))),
    ];
    for (fake, request) in worlds.into_iter().zip([create("{"), create(DOCUMENTED), delete("x")]) {
        let world = fake.start();
        assert_eq!(plain(&world, request).await, (401, UNAUTHORIZED.to_owned()));
    }
    // Where nobody can say whether the token is good, nobody says more.
    let fake = Fake {
        caller: Box::new(|| Err(failure(Code::Unavailable, ErrorReason::StoreUnavailable))),
        ..good()
    };
    assert_eq!(answer(&fake.start(), create("{")).await.0, 503);
}

#[tokio::test]
async fn e6_e7_tells_what_the_caller_may_not() {
    for reason in [ErrorReason::PermissionMissing, ErrorReason::UserWithoutRole] {
        let world = failing(move || failure(Code::PermissionDenied, reason)).start();
        for request in each() {
            assert_eq!(plain(&world, request).await, refusal(403, "Forbidden"), "{reason:?}");
        }
    }
    let world = failing(|| failure(Code::PermissionDenied, ErrorReason::RoleNotHeld)).start();
    let sentence = "The caller does not hold the role ``.";
    assert_eq!(plain(&world, create(DOCUMENTED)).await, refusal(403, sentence));
}

#[tokio::test]
async fn e11_says_when_to_come_back() {
    for (reason, millis, seconds) in
        [(ErrorReason::RateLimited, 41_001, "42"), (ErrorReason::Busy, 0, "1")]
    {
        let delay = Duration::from_millis(millis);
        let world = failing(move || come_back(Code::ResourceExhausted, reason, delay)).start();
        for request in each() {
            let (status, body) = refusal(429, "Too Many Requests");
            let expected = (status, [seconds.to_owned(), String::new()], body);
            assert_eq!(answer(&world, request).await, expected);
        }
    }
}

#[tokio::test]
async fn e13_refuses_other_methods_before_all_else() {
    let world = good().start();
    for (method, path, allow) in [
        ("PUT", TOKENS.to_owned(), "GET, HEAD, POST"),
        ("BREW", TOKENS.to_owned(), "GET, HEAD, POST"),
        ("GET", format!("{TOKENS}/{ID}"), "DELETE"),
        ("HEAD", format!("{TOKENS}/{ID}"), "DELETE"),
        ("DELETE", format!("{TOKENS}/.well-known/jwks.json"), "GET, HEAD"),
    ] {
        let (status, body) = refusal(405, "Method Not Allowed");
        let body = if method == "HEAD" { String::new() } else { body };
        let expected = (status, [String::new(), allow.to_owned()], body);
        assert_eq!(answer(&world, request(method, &path, "")).await, expected, "{method} {path}");
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn says_so_in_its_own_shape_when_the_server_cannot_decide() {
    let unavailable = (refusal(503, "Service Unavailable"), "1");
    let internal = (refusal(500, "Internal Server Error"), "");
    let cases: [(fn() -> Status, _); 6] = [
        (|| failure(Code::Unavailable, ErrorReason::StoreUnavailable), &unavailable),
        (|| Status::unavailable("tcp connect error"), &unavailable),
        (|| failure(Code::Internal, ErrorReason::Internal), &internal),
        (|| invalid(&["profile"]), &internal),
        (|| invalid(&["profile", "token_id"]), &internal),
        (|| invalid(&[]), &internal),
    ];
    for (status, ((code, body), retry_after)) in cases {
        let world = failing(status).start();
        for request in each() {
            let expected = (*code, [(*retry_after).to_owned(), String::new()], body.clone());
            assert_eq!(answer(&world, request).await, expected, "{:?}", status());
        }
    }
    let too_large = plain(&good().start(), create("a".repeat(65_537))).await;
    assert_eq!(too_large, refusal(413, "Payload Too Large"));
}

#[tokio::test]
async fn answers_500_where_the_server_left_out_what_it_promises() {
    let timeless = || Token { create_time: None, ..token() };
    let without_time = Fake {
        create: Box::new(move || Ok(issued(timeless()))),
        list: Box::new(move || {
            Ok(ListTokensResponse { tokens: vec![timeless()], next_page_token: String::new() })
        }),
        revoke: Box::new(move || {
            Ok(RevokeTokenResponse { token: Some(timeless()), revoked_count: 1, stale_for: None })
        }),
        ..good()
    };
    let without_token = Fake {
        create: Box::new(|| Ok(CreateTokenResponse::default())),
        list: Box::new(move || {
            Ok(ListTokensResponse { tokens: vec![timeless()], next_page_token: String::new() })
        }),
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: None, revoked_count: 1, stale_for: None })
        }),
        ..good()
    };
    for world in [without_time.start(), without_token.start()] {
        for request in each() {
            assert_eq!(plain(&world, request).await, refusal(500, "Internal Server Error"));
        }
    }
}
