//! The rows of `docs/dialects/apinizer.md`, before a server that answers as it is told.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::pb::create_token_request::Credential;
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, ErrorReason, IssuedToken, PasswordCredential, Token,
};
use crate::rest::tests::fake::{Asked, Fake, World, come_back, failure, invalid, seen};

const FORM: &str = "application/x-www-form-urlencoded";
const DOCUMENTED: &str =
    "grant_type=client_credentials&client_id=your_username&client_secret=your_password";
const SHOWN: [&str; 3] = ["content-type", "cache-control", "retry-after"];

type Seen = (u16, Vec<String>, String);

fn issued(lifetime: Option<Timestamp>) -> CreateTokenResponse {
    let create_time = Some(Timestamp { seconds: 1_000, nanos: 900_000_000 });
    let token = Token { create_time, expire_time: lifetime, ..Token::default() };
    let token = IssuedToken { token: Some(token), secret: "eyJ.e30.c2ln".to_owned() };
    CreateTokenResponse { token: Some(token), refresh_token: None }
}

fn answering(response: CreateTokenResponse) -> World {
    Fake { create: Box::new(move || Ok(response.clone())), ..Fake::default() }.start()
}

fn failing(status: impl Fn() -> Status + Send + Sync + 'static) -> World {
    Fake { create: Box::new(move || Err(status())), ..Fake::default() }.start()
}

async fn ask(world: &World, content_type: &str, body: impl Into<Body>) -> Seen {
    let request = Request::post("/apiops/auth/token").header("content-type", content_type);
    seen(&world.send(request.body(body.into()).unwrap()).await, &SHOWN)
}

fn json(status: u16, body: &str) -> Seen {
    let headers = ["application/json;charset=UTF-8", "", ""].map(str::to_owned);
    (status, headers.to_vec(), body.to_owned())
}

fn with(mut answer: Seen, header: &str, value: &str) -> Seen {
    let place = SHOWN.iter().position(|shown| *shown == header).unwrap();
    value.clone_into(&mut answer.1[place]);
    answer
}

fn refused(status: u16, error: &str, description: &str) -> Seen {
    json(status, &format!("{{\"error\":\"{error}\",\"error_description\":\"{description}\"}}"))
}

fn bad_credentials() -> Seen {
    refused(401, "unauthorized_client", "Bad credentials")
}

#[tokio::test]
async fn p1_creates_with_the_documented_request() {
    let world = answering(issued(Some(Timestamp { seconds: 4_600, nanos: 0 })));
    let body = r#"{"access_token":"eyJ.e30.c2ln","token_type":"Bearer","expires_in":3600}"#;
    let expected = with(json(200, body), "cache-control", "no-store");
    assert_eq!(ask(&world, FORM, DOCUMENTED).await, expected);
    let password = PasswordCredential {
        realm: "default".to_owned(),
        username: "your_username".to_owned(),
        password: "your_password".to_owned(),
        accept_final_newline: false,
    };
    let asked = CreateTokenRequest {
        credential: Some(Credential::Password(password)),
        profile: "apinizer".to_owned(),
        ..CreateTokenRequest::default()
    };
    assert_eq!(world.asked().1, Asked::Create(asked));
}

#[tokio::test]
async fn f3_says_no_lifetime_of_what_lives_for_ever() {
    let body = r#"{"access_token":"eyJ.e30.c2ln","token_type":"Bearer"}"#;
    let expected = with(json(200, body), "cache-control", "no-store");
    assert_eq!(ask(&answering(issued(None)), FORM, DOCUMENTED).await, expected);
}

#[tokio::test]
async fn p2_answers_all_that_fails_alike() {
    let faults: [fn() -> Status; 4] = [
        || failure(Code::Unauthenticated, ErrorReason::BadCredentials),
        || invalid(&["password.username"]),
        || invalid(&["password.password"]),
        || invalid(&["password.username", "password.password"]),
    ];
    for fault in faults {
        assert_eq!(ask(&failing(fault), FORM, DOCUMENTED).await, bad_credentials());
    }
}

#[tokio::test]
async fn p2_has_what_was_not_sent_judged_like_what_is_empty() {
    let world = failing(|| invalid(&["password.username"]));
    let empty = "grant_type=client_credentials&client_id=&client_secret=";
    for body in ["grant_type=client_credentials", empty] {
        assert_eq!(ask(&world, FORM, body).await, bad_credentials());
        let Asked::Create(asked) = world.asked().1 else { panic!("{body}") };
        let Some(Credential::Password(sent)) = asked.credential else { panic!("{body}") };
        assert_eq!((&*sent.username, &*sent.password), ("", ""));
    }
}

#[tokio::test]
async fn p3_p4_p5_p8_asks_nobody_about_what_is_no_request() {
    let world = answering(issued(None));
    let grant = "GrantType value must be client_credentials!";
    let media = "Content-Type must be application/x-www-form-urlencoded";
    let malformed = "The form has a malformed percent escape, or is not UTF-8.";
    let many: Vec<_> = (0..65).map(|number| format!("k{number}=v")).collect();
    let many = many.join("&");
    for (content_type, body, error, description) in [
        (FORM, "", "unsupported_grant_type", grant),
        (FORM, "grant_type=password", "unsupported_grant_type", grant),
        (FORM, "{\"grant_type\":\"client_credentials\"}", "unsupported_grant_type", grant),
        ("application/json", DOCUMENTED, "invalid_request", media),
        ("", DOCUMENTED, "invalid_request", media),
        (FORM, "a=1&grant_type=x&a=1", "invalid_request", "a must be sent once"),
        (FORM, "%22%0a=1&\"=1&\"=2", "invalid_request", "\\\" must be sent once"),
        (FORM, "grant_type=%zz", "invalid_request", malformed),
        (FORM, "grant_type=%c3", "invalid_request", malformed),
        (FORM, &many, "invalid_request", "The form has more than 64 parameters."),
    ] {
        let answered = ask(&world, content_type, body.to_owned()).await;
        assert_eq!(answered, refused(400, error, description), "{body}");
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn judges_hostile_forms_quickly() {
    let world = answering(issued(None));
    let hostile: [Vec<u8>; 5] = [
        b"&".repeat(65_536),
        b"%".repeat(65_536),
        b"a=".repeat(32_768),
        b"\xff".repeat(65_536),
        [b"grant_type=".as_slice(), &b"%00".repeat(21_000)].concat(),
    ];
    for body in hostile {
        assert_eq!(ask(&world, FORM, body).await.0, 400);
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn p6_says_when_to_come_back() {
    for (reason, millis, seconds) in [
        (ErrorReason::RateLimited, 0, "1"),
        (ErrorReason::RateLimited, 41_001, "42"),
        (ErrorReason::Busy, 2_000, "2"),
    ] {
        let delay = Duration::from_millis(millis);
        let world = failing(move || come_back(Code::ResourceExhausted, reason, delay));
        let body = format!(
            "{{\"error\":\"rate_limit_exceeded\",\
             \"error_description\":\"Rate limit exceeded. Please try again later.\",\
             \"retry_after\":{seconds}}}"
        );
        let expected = with(json(429, &body), "retry-after", seconds);
        assert_eq!(ask(&world, FORM, DOCUMENTED).await, expected);
    }
}

#[tokio::test]
async fn p7_says_so_in_its_own_shape_when_the_server_cannot_decide() {
    let internal = refused(500, "server_error", "An unexpected error occurred");
    let unavailable = refused(503, "service_unavailable", "Service Unavailable");
    let unavailable = with(unavailable, "retry-after", "1");
    let forbidden = refused(403, "forbidden", "Forbidden");
    let cases: [(fn() -> Status, _); 10] = [
        (|| failure(Code::Unavailable, ErrorReason::StoreUnavailable), &unavailable),
        (|| failure(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded), &unavailable),
        (|| Status::unavailable("tcp connect error"), &unavailable),
        (|| failure(Code::Internal, ErrorReason::Internal), &internal),
        (|| failure(Code::Unauthenticated, ErrorReason::TokenInvalid), &internal),
        (|| failure(Code::Unauthenticated, ErrorReason::TokenExpired), &internal),
        (|| invalid(&["profile"]), &internal),
        (|| invalid(&["profile", "password.username"]), &internal),
        (|| invalid(&[]), &internal),
        (|| failure(Code::PermissionDenied, ErrorReason::UserWithoutRole), &forbidden),
    ];
    for (status, expected) in cases {
        assert_eq!(ask(&failing(status), FORM, DOCUMENTED).await, *expected, "{:?}", status());
    }
    let before_it_was_made = issued(Some(Timestamp { seconds: 999, nanos: 0 }));
    for broken in [CreateTokenResponse::default(), before_it_was_made] {
        assert_eq!(ask(&answering(broken), FORM, DOCUMENTED).await, internal);
    }
    let panicking = Fake { create: Box::new(|| panic!("with a secret")), ..Fake::default() };
    assert_eq!(ask(&panicking.start(), FORM, DOCUMENTED).await, internal);
}
