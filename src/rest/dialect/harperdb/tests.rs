//! The rows of `docs/dialects/harperdb.md`, before a server that answers as it is told.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tonic::{Code, Status};

use crate::client::REALM;
use crate::pb::create_token_request::{Credential, Lifetime};
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, ErrorReason, GetCallerResponse, IssuedToken,
    PasswordCredential, RefreshOperationTokenRequest, RefreshOperationTokenResponse, Role, User,
    UserState,
};
use crate::rest::tests::fake::{Asked, Fake, World, come_back, failure, invalid, seen};
use crate::rest::{BasePath, DialectSettings, Settings};

const CREATE: &str =
    r#"{"operation":"create_authentication_tokens","username":"HDB_ADMIN","password":"p"}"#;
const REFRESH: &str = r#"{"operation":"refresh_operation_token","refresh_token":"r.r.r"}"#;
const USER_INFO: &str = r#"{"operation":"user_info"}"#;
const BASIC: &str = "Basic SERCX0FETUlOOnA=";
const SHOWN: [&str; 3] = ["content-type", "cache-control", "retry-after"];

type Seen = (u16, Vec<String>, String);
type Fault = fn() -> Status;

fn issued(secret: &str) -> IssuedToken {
    IssuedToken { token: None, secret: secret.to_owned() }
}

fn caller(state: UserState, permissions: &[&str]) -> GetCallerResponse {
    let username = "HDB_ADMIN".to_owned();
    let user = User { username, state: state.into(), ..User::default() };
    let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
    let role = Role { id: "super_user".to_owned(), permissions, ..Role::default() };
    let second = Role { id: "writer".to_owned(), ..Role::default() };
    GetCallerResponse { user: Some(user), token: None, roles: vec![role, second] }
}

fn good() -> Fake {
    Fake {
        create: Box::new(|| {
            Ok(CreateTokenResponse {
                token: Some(issued("o.o.o")),
                refresh_token: Some(issued("r.r.r")),
            })
        }),
        refresh: Box::new(|| {
            let rotated = Some(issued("never shown"));
            let operation_token = Some(issued("o.o.o"));
            Ok(RefreshOperationTokenResponse { operation_token, refresh_token: rotated })
        }),
        caller: Box::new(|| Ok(caller(UserState::Active, &["orders:read", "*"]))),
        ..Fake::default()
    }
}

fn failing(status: Fault) -> World {
    Fake {
        create: Box::new(move || Err(status())),
        refresh: Box::new(move || Err(status())),
        caller: Box::new(move || Err(status())),
        ..Fake::default()
    }
    .start()
}

fn request(body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/").header("content-type", "application/json");
    request.body(body.into()).unwrap()
}

fn by(mut request: Request<Body>, authorization: &str) -> Request<Body> {
    request.headers_mut().append("authorization", authorization.parse().unwrap());
    request
}

async fn answer(world: &World, request: Request<Body>) -> Seen {
    seen(&world.send(request).await, &SHOWN)
}

fn json(status: u16, body: &str) -> Seen {
    let headers = ["application/json", "", ""].map(str::to_owned);
    (status, headers.to_vec(), body.to_owned())
}

fn error(status: u16, text: &str) -> Seen {
    json(status, &serde_json::json!({"error": text}).to_string())
}

fn with(mut answer: Seen, header: &str, value: &str) -> Seen {
    let place = SHOWN.iter().position(|shown| *shown == header).unwrap();
    value.clone_into(&mut answer.1[place]);
    answer
}

fn secret(body: &str) -> Seen {
    with(json(200, body), "cache-control", "no-store")
}

#[tokio::test]
async fn h1_f7_creates_by_the_body_alone() {
    let world = good().start();
    let body = r#"{"operation_token":"o.o.o","refresh_token":"r.r.r"}"#;
    for authorization in ["Basic YTpi", "Bearer x", "Digest x"] {
        assert_eq!(answer(&world, by(request(CREATE), authorization)).await, secret(body));
        let password = PasswordCredential {
            realm: "default".to_owned(),
            username: "HDB_ADMIN".to_owned(),
            password: "p".to_owned(),
            accept_final_newline: false,
        };
        let asked = CreateTokenRequest {
            credential: Some(Credential::Password(password)),
            profile: "harperdb".to_owned(),
            ..CreateTokenRequest::default()
        };
        let (metadata, message) = world.asked();
        assert_eq!(message, Asked::Create(asked));
        assert!(metadata.get("authorization").is_none());
    }
}

#[tokio::test]
async fn f12_passes_the_lifetime_on() {
    let world = good().start();
    for (sent, seconds, nanos) in [
        (r#""5m""#, 300, 0),
        ("300", 300, 0),
        ("300.0", 300, 0),
        ("0", 0, 0),
        (r#""1500ms""#, 1, 500_000_000),
        ("9223372036854775807", i64::MAX, 0),
    ] {
        let body = CREATE.replace('}', &format!(",\"expires_in\":{sent}}}"));
        assert_eq!(answer(&world, request(body)).await.0, 200, "{sent}");
        let Asked::Create(asked) = world.asked().1 else { panic!("{sent}") };
        let ttl = prost_types::Duration { seconds, nanos };
        assert_eq!(asked.lifetime, Some(Lifetime::Ttl(ttl)), "{sent}");
    }
    let text = "'expires_in' must be a number of seconds or a time span such as \"1d\"";
    for sent in ["9223372036854775808", "1e300", "-1", "-0.1", "\"\"", "\"5\"", "[]", "false"] {
        let body = CREATE.replace('}', &format!(",\"expires_in\":{sent}}}"));
        assert_eq!(answer(&world, request(body)).await, error(400, text), "{sent}");
        assert!(world.was_asked_nothing());
    }
}

#[tokio::test]
async fn h6_h7_refreshes_by_the_header_or_else_the_body() {
    let world = good().start();
    let no_field = r#"{"operation":"refresh_operation_token","refresh_token":1}"#;
    for (request, token) in [
        (request(REFRESH), "r.r.r"),
        (by(request(REFRESH), "bEARER h.h.h"), "h.h.h"),
        (by(request(no_field), "Bearer h.h.h"), "h.h.h"),
        (by(request(REFRESH), "Token h.h.h"), "r.r.r"),
        (by(request(REFRESH), BASIC), "r.r.r"),
    ] {
        assert_eq!(answer(&world, request).await, secret(r#"{"operation_token":"o.o.o"}"#));
        let (refresh_token, profile) = (token.to_owned(), "harperdb".to_owned());
        let realm = "default".to_owned();
        let asked = RefreshOperationTokenRequest { refresh_token, profile, realm };
        let (metadata, message) = world.asked();
        assert_eq!(message, Asked::Refresh(asked));
        assert!(metadata.get("authorization").is_none());
    }
}

#[tokio::test]
async fn h17_asks_in_the_name_of_the_caller() {
    let world = good().start();
    let expected = r#"{"active":true,"username":"HDB_ADMIN","role":{"role":"super_user","id":"super_user","permission":{"super_user":true}}}"#;
    for authorization in ["Bearer x.y.z", BASIC] {
        let answered = answer(&world, by(request(USER_INFO), authorization)).await;
        assert_eq!(answered, json(200, expected));
        let (metadata, message) = world.asked();
        assert_eq!(message, Asked::Caller);
        assert_eq!(metadata.get("authorization").unwrap(), authorization);
        assert_eq!(metadata.get(REALM).unwrap(), "default");
    }
    for permissions in [&[][..], &["orders:*"], &["*@self"]] {
        let permissions = permissions.to_vec();
        let caller = move || Ok(caller(UserState::Disabled, &permissions));
        let world = Fake { caller: Box::new(caller), ..Fake::default() }.start();
        let answered = answer(&world, by(request(USER_INFO), BASIC)).await;
        assert!(answered.2.starts_with(r#"{"active":false,"#), "{answered:?}");
        assert!(answered.2.ends_with(r#""permission":{"super_user":false}}}"#), "{answered:?}");
    }
}

#[tokio::test]
async fn h18_h19_asks_nobody_without_a_credential() {
    let world = good().start();
    assert_eq!(answer(&world, request(USER_INFO)).await, error(401, "Must login"));
    for (authorization, text) in [
        ("Token x", "Must login"),
        ("Digest x", "Must login"),
        ("Bearer", "invalid token"),
        ("Bearer a b", "invalid token"),
        ("Basic", "Login failed"),
        ("Basic !!!", "Login failed"),
        ("Basic YQ==", "Login failed"),
    ] {
        let answered = answer(&world, by(request(USER_INFO), authorization)).await;
        assert_eq!(answered, error(401, text), "{authorization}");
    }
    let twice = by(by(request(USER_INFO), BASIC), "Bearer x");
    assert_eq!(answer(&world, twice).await, error(401, "invalid token"));
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn h2_h10_h11_h19_says_what_is_wrong_with_a_credential() {
    let requests = || [request(CREATE), request(REFRESH), by(request(USER_INFO), BASIC)];
    let bad = || failure(Code::Unauthenticated, ErrorReason::BadCredentials);
    let cases: [(Fault, [&str; 3]); 4] = [
        (bad, ["invalid credentials", "invalid credentials", "Login failed"]),
        (|| failure(Code::Unauthenticated, ErrorReason::TokenInvalid), ["invalid token"; 3]),
        (|| failure(Code::Unauthenticated, ErrorReason::RefreshTokenReused), ["invalid token"; 3]),
        (|| failure(Code::Unauthenticated, ErrorReason::TokenExpired), ["token expired"; 3]),
    ];
    for (status, texts) in cases {
        let world = failing(status);
        for (request, text) in requests().into_iter().zip(texts) {
            assert_eq!(answer(&world, request).await, error(401, text), "{:?}", status());
        }
    }
}

#[tokio::test]
async fn h2_h25_goes_by_the_fields_that_the_server_refuses() {
    let lifetime = "'expires_in' must be a number of seconds or a time span such as \"1d\"";
    let cases: [(Fault, Seen); 7] = [
        (|| invalid(&["password.username"]), error(401, "invalid credentials")),
        (|| invalid(&["password.password"]), error(401, "invalid credentials")),
        (|| invalid(&["ttl"]), error(400, lifetime)),
        (|| invalid(&["ttl", "password.username"]), error(400, lifetime)),
        (|| invalid(&["profile"]), error(500, "Internal Server Error")),
        (|| invalid(&["ttl", "password.realm"]), error(500, "Internal Server Error")),
        (|| invalid(&[]), error(500, "Internal Server Error")),
    ];
    for (status, expected) in cases {
        let answered = answer(&failing(status), request(CREATE)).await;
        assert_eq!(answered, expected, "{:?}", status());
    }
}

#[tokio::test]
async fn h21_says_when_to_come_back() {
    let cases: [(Fault, &str); 2] = [
        (|| failure(Code::ResourceExhausted, ErrorReason::RateLimited), "1"),
        (
            || {
                let delay = Duration::from_millis(41_001);
                come_back(Code::ResourceExhausted, ErrorReason::Busy, delay)
            },
            "42",
        ),
    ];
    for (status, seconds) in cases {
        let world = failing(status);
        let text = format!("too many attempts, try again in {seconds} seconds");
        let expected = with(error(429, &text), "retry-after", seconds);
        for request in [request(CREATE), request(REFRESH), by(request(USER_INFO), BASIC)] {
            assert_eq!(answer(&world, request).await, expected);
        }
    }
}

#[tokio::test]
async fn says_so_in_its_own_shape_when_the_server_cannot_decide() {
    let internal = error(500, "Internal Server Error");
    let unavailable = with(error(503, "Service Unavailable"), "retry-after", "1");
    let forbidden = error(403, "Forbidden");
    let cases: [(Fault, _); 6] = [
        (|| failure(Code::Unavailable, ErrorReason::StoreUnavailable), &unavailable),
        (|| failure(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded), &unavailable),
        (|| Status::unavailable("tcp connect error"), &unavailable),
        (|| failure(Code::Internal, ErrorReason::Internal), &internal),
        (|| failure(Code::NotFound, ErrorReason::TokenNotFound), &internal),
        (|| failure(Code::PermissionDenied, ErrorReason::UserWithoutRole), &forbidden),
    ];
    for (status, expected) in cases {
        let world = failing(status);
        for request in [request(CREATE), request(REFRESH), by(request(USER_INFO), BASIC)] {
            assert_eq!(answer(&world, request).await, *expected, "{:?}", status());
        }
    }
    let promised_more = Fake {
        create: Box::new(|| {
            Ok(CreateTokenResponse { token: Some(issued("o")), refresh_token: None })
        }),
        refresh: Box::new(|| Ok(RefreshOperationTokenResponse::default())),
        caller: Box::new(|| Ok(GetCallerResponse::default())),
        ..Fake::default()
    };
    let panicking = Fake {
        create: Box::new(|| panic!("with a secret")),
        refresh: Box::new(|| panic!("with a secret")),
        caller: Box::new(|| panic!("with a secret")),
        ..Fake::default()
    };
    for world in [promised_more.start(), panicking.start()] {
        for request in [request(CREATE), request(REFRESH), by(request(USER_INFO), BASIC)] {
            assert_eq!(answer(&world, request).await, internal);
        }
    }
}

#[tokio::test]
async fn h14_judges_hostile_json_quickly() {
    let world = good().start();
    let hostile = [
        "[".repeat(65_536),
        r#"{"a":"#.repeat(13_000),
        "1".repeat(65_536),
        format!("{{\"operation\":\"{}", "\\u0000".repeat(10_000)),
        format!("{{{}", "\"a\":0,".repeat(10_000)),
        format!("{{\"operation\":\"user_info\",\"{0}\":1,\"{0}\":2}}", "\\u001b".repeat(5000)),
    ];
    for body in hostile {
        let (status, _, text) = answer(&world, request(body)).await;
        assert_eq!(status, 400);
        assert!(text.starts_with(r#"{"error":"The body "#) && text.len() < 200, "{text}");
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn h20_stands_where_the_settings_put_it() {
    let base_path = BasePath::parse("/hdb").unwrap();
    let harperdb = DialectSettings { base_path, ..DialectSettings::with_profile("harperdb") };
    let world = Fake { settings: Settings { harperdb, ..Settings::default() }, ..good() }.start();
    for (method, path, status) in [
        ("POST", "/hdb", 200),
        ("GET", "/hdb", 404),
        ("OPTIONS", "/hdb", 404),
        ("POST", "/", 404),
        ("GET", "/", 404),
        ("POST", "/hdb/", 404),
        ("POST", "/hdb/x", 404),
    ] {
        let mut asked = request(CREATE);
        (*asked.method_mut(), *asked.uri_mut()) = (method.parse().unwrap(), path.parse().unwrap());
        let answered = world.send(asked).await;
        assert_eq!(answered.status(), status, "{method} {path}");
        assert!(!answered.headers().contains_key("allow"), "{method} {path}");
        if status == 404 {
            assert_eq!(answered.body(), r#"{"error":"not found"}"#, "{method} {path}");
        }
    }
}
