//! The rows of `docs/dialects/azion.md`, before a server that answers as it is told.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::client::{ACCEPT_FINAL_NEWLINE, REALM};
use crate::pb::create_token_request::Credential;
use crate::pb::revoke_token_request::Target;
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, ErrorReason, IssuedToken, PasswordCredential,
    RevokeTokenRequest, RevokeTokenResponse, Token,
};
use crate::rest::tests::fake::{Asked, Fake, World, come_back, failure, invalid, seen};

const SECRET: &str = "3a110f2990cfbce7b84265cc027f992acb9743eb";
// As the vendor's page has it: `echo 'user@domain:password' | base64`.
const DOCUMENTED: &str = "Basic dXNlckBkb21haW46cGFzc3dvcmQK";
const CREATED: &str = "{\"token\":\"3a110f2990cfbce7b84265cc027f992acb9743eb\",\
    \"created_at\":\"2019-04-01 13:53:28.536782+00:00\",\
    \"expires_at\":\"2019-04-02 13:53:28.536782+00:00\"}";
const CHALLENGE: &str = "Basic realm=\"api\"";
const WRONG: &str = r#"{"detail":"Invalid username/password."}"#;
const SHOWN: [&str; 4] = ["content-type", "www-authenticate", "allow", "retry-after"];

fn issued(expires: bool) -> CreateTokenResponse {
    let at = |seconds| Some(Timestamp { seconds, nanos: 536_782_000 });
    let expire_time = at(1_554_213_208).filter(|_| expires);
    let token = Token { create_time: at(1_554_126_808), expire_time, ..Token::default() };
    let token = IssuedToken { token: Some(token), secret: SECRET.to_owned() };
    CreateTokenResponse { token: Some(token), refresh_token: None }
}

fn good() -> Fake {
    Fake {
        create: Box::new(|| Ok(issued(true))),
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: None, revoked_count: 1, stale_for: None })
        }),
        ..Fake::default()
    }
}

fn failing(status: impl Fn() -> Status + Clone + Send + Sync + 'static) -> World {
    let again = status.clone();
    Fake {
        create: Box::new(move || Err(status())),
        revoke: Box::new(move || Err(again())),
        ..Fake::default()
    }
    .start()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn create(headers: &[(&str, &str)]) -> Request<Body> {
    request("POST", "/tokens", headers)
}

fn delete(headers: &[(&str, &str)]) -> Request<Body> {
    request("DELETE", &format!("/tokens/{SECRET}"), headers)
}

/// Status, content type, challenge, `Allow`, `Retry-After` and body.
async fn answer(world: &World, request: Request<Body>) -> (u16, [String; 4], String) {
    let (status, headers, body) = seen(&world.send(request).await, &SHOWN);
    (status, headers.try_into().unwrap(), body)
}

fn json(status: u16, body: &str) -> (u16, [String; 4], String) {
    let none = String::new;
    (status, ["application/json".to_owned(), none(), none(), none()], body.to_owned())
}

fn with(
    mut answer: (u16, [String; 4], String),
    header: &str,
    value: &str,
) -> (u16, [String; 4], String) {
    let place = SHOWN.iter().position(|shown| *shown == header).unwrap();
    answer.1[place] = value.to_owned();
    answer
}

fn unauthorized(body: &str) -> (u16, [String; 4], String) {
    with(json(401, body), "www-authenticate", CHALLENGE)
}

#[tokio::test(start_paused = true)]
async fn a1_a2_creates_with_the_documented_request() {
    let world = good().start();
    let documented = [
        ("accept", "application/json; version=3"),
        ("content-type", "application/json"),
        ("authorization", DOCUMENTED),
    ];
    let response = world.send(create(&documented)).await;
    assert_eq!(seen(&response, &["cache-control"]), (201, vec!["no-store".into()], CREATED.into()));
    let password = PasswordCredential {
        realm: "default".to_owned(),
        username: "user@domain".to_owned(),
        password: "password\n".to_owned(),
        accept_final_newline: true,
    };
    let asked = CreateTokenRequest {
        credential: Some(Credential::Password(password)),
        profile: "azion".to_owned(),
        ..CreateTokenRequest::default()
    };
    let (metadata, message) = world.asked();
    assert_eq!(message, Asked::Create(asked));
    assert!(metadata.get("authorization").is_none(), "the credential goes in the message alone");
    assert_eq!(metadata.get("grpc-timeout").unwrap(), "30000000u");
}

#[tokio::test]
async fn a1_ignores_a_body_of_any_kind() {
    for body in ["", "{", "grant_type=x", "<a/>"] {
        let request = create(&[("authorization", DOCUMENTED)]).map(|_| Body::from(body));
        assert_eq!(answer(&good().start(), request).await, json(201, CREATED));
    }
}

#[tokio::test]
async fn a1_writes_null_where_the_settings_let_tokens_live_for_ever() {
    let world = Fake { create: Box::new(|| Ok(issued(false))), ..Fake::default() }.start();
    let (status, _, body) = answer(&world, create(&[("authorization", DOCUMENTED)])).await;
    assert_eq!(status, 201);
    assert!(body.ends_with("\"expires_at\":null}"), "{body}");
}

#[tokio::test]
async fn a3_a13_answers_a_refused_password_alike_on_both_paths() {
    let world = failing(|| failure(Code::Unauthenticated, ErrorReason::BadCredentials));
    for request in [create, delete] {
        let request = request(&[("authorization", DOCUMENTED)]);
        assert_eq!(answer(&world, request).await, unauthorized(WRONG));
    }
}

#[tokio::test]
async fn a4_to_a7_a13_names_what_is_wrong_with_the_header() {
    const ABSENT: &str = r#"{"detail":"Authentication credentials were not provided."}"#;
    const EMPTY: &str = r#"{"detail":"Invalid basic header. No credentials provided."}"#;
    const SPACES: &str =
        r#"{"detail":"Invalid basic header. Credentials string should not contain spaces."}"#;
    const ENCODING: &str =
        r#"{"detail":"Invalid basic header. Credentials not correctly base64 encoded."}"#;
    let cases: [(&[&str], &str); 12] = [
        (&[], ABSENT),
        (&["Bearer abc"], ABSENT),
        (&["Token"], ABSENT),
        (&["Digest a b"], ABSENT),
        (&[""], ABSENT),
        (&["Basic"], EMPTY),
        (&["bAsIc "], EMPTY),
        (&["Basic a b"], SPACES),
        (&[DOCUMENTED, DOCUMENTED], SPACES),
        (&["Basic ???"], ENCODING),
        (&["Basic YQ=="], ENCODING),
        (&["Basic /zr/"], ENCODING),
    ];
    let world = good().start();
    for (values, body) in cases {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        for request in [create(&headers), delete(&headers)] {
            assert_eq!(answer(&world, request).await, unauthorized(body), "{values:?}");
        }
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn a8_a9_judges_accept_before_the_credentials() {
    let world = good().start();
    for (accept, body) in [
        ("application/json; version=4", r#"{"detail":"Invalid version in \"Accept\" header."}"#),
        ("text/html", r#"{"detail":"Could not satisfy the request Accept header."}"#),
    ] {
        for headers in [vec![("accept", accept)], vec![("accept", accept), ("authorization", "x")]]
        {
            for request in [create(&headers), delete(&headers)] {
                assert_eq!(answer(&world, request).await, json(406, body));
            }
        }
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn a8_takes_every_documented_version_and_none() {
    for accept in ["application/json; version=1", "application/json;version=2", "*/*"] {
        let headers = [("accept", accept), ("authorization", DOCUMENTED)];
        assert_eq!(answer(&good().start(), create(&headers)).await.0, 201, "{accept}");
        assert_eq!(answer(&good().start(), delete(&headers)).await.0, 204, "{accept}");
    }
}

#[tokio::test]
async fn a10_a16_refuses_other_methods_before_all_else() {
    let world = good().start();
    for (method, path, allow) in [
        ("GET", "/tokens", "POST, OPTIONS"),
        ("PUT", "/tokens", "POST, OPTIONS"),
        ("DELETE", "/tokens", "POST, OPTIONS"),
        ("BREW", "/tokens", "POST, OPTIONS"),
        ("GET", "/tokens/abc", "DELETE, OPTIONS"),
        ("POST", "/tokens/abc", "DELETE, OPTIONS"),
    ] {
        let body = format!("{{\"detail\":\"Method \\\"{method}\\\" not allowed.\"}}");
        let expected = with(json(405, &body), "allow", allow);
        let request = request(method, path, &[("accept", "text/html")]);
        assert_eq!(answer(&world, request).await, expected, "{method} {path}");
    }
    let head = answer(&world, request("HEAD", "/tokens", &[])).await;
    assert_eq!(head, with(json(405, ""), "allow", "POST, OPTIONS"));
}

#[tokio::test]
async fn a11_deletes_in_the_name_of_the_user() {
    let world = good().start();
    let response = world.send(delete(&[("authorization", DOCUMENTED)])).await;
    assert_eq!(seen(&response, &["content-type"]), (204, vec![String::new()], String::new()));
    let (metadata, message) = world.asked();
    let asked = RevokeTokenRequest {
        target: Some(Target::Secret(SECRET.to_owned())),
        profile: "azion".to_owned(),
        skip_wait: false,
    };
    assert_eq!(message, Asked::Revoke(asked));
    assert_eq!(metadata.get("authorization").unwrap(), DOCUMENTED);
    assert_eq!(metadata.get(REALM).unwrap(), "default");
    assert_eq!(metadata.get(ACCEPT_FINAL_NEWLINE).unwrap(), "1");
}

#[tokio::test]
async fn a12_finds_no_token_that_is_not_there_to_delete() {
    let gone = Fake {
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: None, revoked_count: 0, stale_for: None })
        }),
        ..Fake::default()
    };
    let worlds = [
        gone.start(),
        failing(|| failure(Code::NotFound, ErrorReason::TokenNotFound)),
        failing(|| invalid(&["secret"])),
    ];
    for world in worlds {
        let found = answer(&world, delete(&[("authorization", DOCUMENTED)])).await;
        assert_eq!(found, json(404, r#"{"detail":"Not found."}"#));
    }
}

#[tokio::test]
async fn a12_has_the_credentials_judged_whatever_the_path_holds() {
    let cases =
        [("%ff", "\u{fffd}"), ("a%2Fb", "a/b"), ("%00", "\0"), ("%2e%2e", ".."), ("a;b", "a;b")];
    let world = failing(|| failure(Code::Unauthenticated, ErrorReason::BadCredentials));
    for (path, secret) in cases {
        let headers = [("authorization", DOCUMENTED)];
        let request = request("DELETE", &format!("/tokens/{path}"), &headers);
        assert_eq!(answer(&world, request).await, unauthorized(WRONG), "{path}");
        let asked = RevokeTokenRequest {
            target: Some(Target::Secret(secret.to_owned())),
            profile: "azion".to_owned(),
            skip_wait: false,
        };
        assert_eq!(world.asked().1, Asked::Revoke(asked), "{path}");
    }
}

#[tokio::test]
async fn a14_says_when_to_come_back() {
    for (reason, millis, seconds, unit) in [
        (ErrorReason::RateLimited, 0, "1", "second"),
        (ErrorReason::RateLimited, 41_001, "42", "seconds"),
        (ErrorReason::Busy, 2_000, "2", "seconds"),
    ] {
        let delay = Duration::from_millis(millis);
        let world = failing(move || come_back(Code::ResourceExhausted, reason, delay));
        let text = format!("Request was throttled. Expected available in {seconds} {unit}.");
        let expected = json(429, &format!("{{\"detail\":\"{text}\"}}"));
        for request in [create, delete] {
            let answered = answer(&world, request(&[("authorization", DOCUMENTED)])).await;
            assert_eq!(answered, with(expected.clone(), "retry-after", seconds));
        }
    }
}

#[tokio::test]
async fn a15_answers_options_with_the_methods() {
    let world = good().start();
    for (path, allow) in [("/tokens", "POST, OPTIONS"), ("/tokens/abc", "DELETE, OPTIONS")] {
        let none = (204, Default::default(), String::new());
        let answered = answer(&world, request("OPTIONS", path, &[("accept", "text/html")])).await;
        assert_eq!(answered, with(none, "allow", allow));
    }
}

#[tokio::test]
async fn a17_answers_credentials_that_can_be_nobodys_like_wrong_ones() {
    let faults: [&[&str]; 4] = [
        &["password"],
        &["username"],
        &["password.username", "password.password"],
        &["credential.password.password"],
    ];
    for fields in faults {
        let world = failing(move || invalid(fields));
        for request in [create, delete] {
            let answered = answer(&world, request(&[("authorization", "Basic Og==")])).await;
            assert_eq!(answered, unauthorized(WRONG), "{fields:?}");
        }
    }
}

#[tokio::test]
async fn says_so_in_its_own_shape_when_the_server_cannot_decide() {
    let unavailable = json(503, r#"{"detail":"Service Unavailable"}"#);
    let unavailable = with(unavailable, "retry-after", "1");
    let internal = json(500, r#"{"detail":"Internal Server Error"}"#);
    let cases: [(fn() -> Status, _); 8] = [
        (|| failure(Code::Unavailable, ErrorReason::StoreUnavailable), &unavailable),
        (|| failure(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded), &unavailable),
        (|| Status::unavailable("tcp connect error"), &unavailable),
        (|| failure(Code::Internal, ErrorReason::Internal), &internal),
        (|| failure(Code::Unauthenticated, ErrorReason::TokenInvalid), &internal),
        (|| invalid(&["profile"]), &internal),
        (|| invalid(&["profile", "username"]), &internal),
        (|| invalid(&[]), &internal),
    ];
    for (status, expected) in cases {
        let world = failing(status);
        for request in [create, delete] {
            let answered = answer(&world, request(&[("authorization", DOCUMENTED)])).await;
            assert_eq!(answered, *expected, "{:?}", status());
        }
    }
    let promised_more =
        Fake { create: Box::new(|| Ok(CreateTokenResponse::default())), ..Fake::default() };
    let answered = answer(&promised_more.start(), create(&[("authorization", DOCUMENTED)])).await;
    assert_eq!(answered, internal);
}
