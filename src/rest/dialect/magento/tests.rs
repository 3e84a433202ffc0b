//! The rows of `docs/dialects/magento.md`, before a server that answers as it is told.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use tonic::{Code, Status};

use super::credentials::Credentials;
use super::prefixes;
use crate::client::REALM;
use crate::pb::create_token_request::Credential;
use crate::pb::revoke_token_request::Target;
use crate::pb::{
    AuthorizeRequest, AuthorizeResponse, CreateTokenRequest, CreateTokenResponse, Decision,
    DenyReason, ErrorReason, IssuedToken, PasswordCredential, RevokeTokenRequest,
    RevokeTokenResponse, Subject,
};
use crate::rest::settings::{MagentoSettings, Members};
use crate::rest::tests::fake::{Asked, Fake, World, come_back, failure, invalid, seen};
use crate::rest::{Settings, describe};

const ADMIN: &str = "/V1/integration/admin/token";
const CUSTOMER: &str = "/V1/integration/customer/token";
const REVOKE: &str = "/V1/integration/customer/revoke-customer-token";

const SECRET: &str = "asdf3hjklp5iuytre";
const JSON: &str = "application/json; charset=utf-8";
const XML: &str = "application/xml; charset=utf-8";
const DOCUMENTED: &str = r#"{"username":"customer1@example.com", "password":"customer1pw"}"#;
const DOCUMENTED_XML: &str =
    "<login><username>customer1@example.com</username><password>customer1pw</password></login>";
const SIGN_IN: &str = "You did not sign in correctly or your account is temporarily disabled.";
const NOT_SELF: &str = "{\"message\":\"Consumer is not authorized to access %resources\",\
    \"parameters\":{\"resources\":\"self\"}}";

/// What a server fails with.
type Answer = fn() -> Status;

fn good() -> Fake {
    let token = || IssuedToken { token: None, secret: SECRET.to_owned() };
    Fake {
        create: Box::new(move || {
            Ok(CreateTokenResponse { token: Some(token()), refresh_token: None })
        }),
        authorize: Box::new(|| Ok(allowed())),
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: None, revoked_count: 2, stale_for: None })
        }),
        ..Fake::default()
    }
}

fn allowed() -> AuthorizeResponse {
    let subject = Subject { user_id: "carol's".to_owned(), ..Subject::default() };
    AuthorizeResponse {
        decision: Decision::Allow.into(),
        subject: Some(subject),
        ..AuthorizeResponse::default()
    }
}

fn failing(status: impl Fn() -> Status + Clone + Send + Sync + 'static) -> World {
    let again = status.clone();
    Fake {
        create: Box::new(move || Err(status())),
        authorize: Box::new(move || Err(again())),
        ..Fake::default()
    }
    .start()
}

fn post(path: &str, content_type: &str, body: &'static str) -> Request<Body> {
    let request = Request::post(path).header("content-type", content_type);
    request.body(Body::from(body)).unwrap()
}

fn documented(path: &str) -> Request<Body> {
    post(path, "application/json", DOCUMENTED)
}

fn revoke() -> Request<Body> {
    let request = Request::post(REVOKE).header("authorization", format!("Bearer {SECRET}"));
    request.body(Body::empty()).unwrap()
}

fn reading_xml(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert("accept", "application/xml".parse().unwrap());
    request
}

/// Status, content type, `Retry-After`, `WWW-Authenticate` and body.
async fn answer(world: &World, request: Request<Body>) -> (u16, [String; 3], String) {
    let shown = ["content-type", "retry-after", "www-authenticate"];
    let (status, headers, body) = seen(&world.send(request).await, &shown);
    (status, headers.try_into().unwrap(), body)
}

fn said(status: u16, form: &str, body: &str) -> (u16, [String; 3], String) {
    (status, [form.to_owned(), String::new(), String::new()], body.to_owned())
}

fn refused(status: u16, message: &str) -> (u16, [String; 3], String) {
    said(status, JSON, &format!("{{\"message\":\"{message}\"}}"))
}

#[tokio::test]
async fn m1_m10_asks_for_the_token_of_the_route_and_in_nobody_s_name() {
    let members = |realm: &str, profile: &str| Members {
        realm: realm.to_owned(),
        profile: profile.to_owned(),
    };
    let magento = MagentoSettings {
        admin: members("staff", "for-staff"),
        customer: members("shoppers", "for-shoppers"),
        ..MagentoSettings::default()
    };
    let settings = Settings { magento, ..Settings::default() };
    let world = Fake { settings, ..good() }.start();
    for (path, realm, profile) in
        [(ADMIN, "staff", "for-staff"), (CUSTOMER, "shoppers", "for-shoppers")]
    {
        let mut request = post(path, "application/xml", DOCUMENTED_XML);
        request.headers_mut().insert("authorization", "Bearer anything".parse().unwrap());
        let response = world.send(request).await;
        let stored = seen(&response, &["content-type", "cache-control"]);
        let headers = vec![JSON.to_owned(), "no-store".to_owned()];
        assert_eq!(stored, (200, headers, format!("\"{SECRET}\"")));
        let password = PasswordCredential {
            realm: realm.to_owned(),
            username: "customer1@example.com".to_owned(),
            password: "customer1pw".to_owned(),
            accept_final_newline: false,
        };
        let asked = CreateTokenRequest {
            credential: Some(Credential::Password(password)),
            profile: profile.to_owned(),
            ..CreateTokenRequest::default()
        };
        let (metadata, message) = world.asked();
        assert_eq!(message, Asked::Create(asked));
        assert!(
            metadata.get("authorization").is_none(),
            "the credential goes in the message alone"
        );
    }
}

#[tokio::test]
async fn m1_answers_in_the_documented_xml() {
    let text = format!("<?xml version=\"1.0\"?>\n<response>{SECRET}</response>\n");
    let answered = answer(&good().start(), reading_xml(documented(CUSTOMER))).await;
    assert_eq!(answered, said(200, XML, &text));
}

#[tokio::test]
async fn m3_to_m7_refuses_a_body_without_asking_the_server() {
    let world = good().start();
    for (content_type, body) in [
        ("application/json", r#"{"username":"a"}"#),
        ("application/json", ""),
        ("application/json", r#"{"username":"a","password":[]}"#),
        ("application/json", "{"),
        ("text/plain", DOCUMENTED),
    ] {
        assert_eq!(answer(&world, post(ADMIN, content_type, body)).await.0, 400, "{body}");
    }
    assert!(world.was_asked_nothing());
}

#[tokio::test]
async fn m2_m9_m13_puts_the_refusal_of_a_sign_in_into_its_words() {
    let more = "You need more permissions to access this.";
    let cases: [(Answer, u16, &str); 6] = [
        (|| failure(Code::Unauthenticated, ErrorReason::BadCredentials), 401, SIGN_IN),
        (|| invalid(&["credential.password.password"]), 401, SIGN_IN),
        (|| invalid(&["password.username", "password.password"]), 401, SIGN_IN),
        (|| failure(Code::PermissionDenied, ErrorReason::UserWithoutRole), 401, more),
        (|| invalid(&["profile"]), 500, "Internal Server Error"),
        (|| invalid(&[]), 500, "Internal Server Error"),
    ];
    for (status, code, message) in cases {
        for path in [ADMIN, CUSTOMER] {
            let answered = answer(&failing(status), documented(path)).await;
            assert_eq!(answered, refused(code, message), "{:?}", status());
        }
    }
}

#[tokio::test]
async fn m13_says_when_to_come_back() {
    let cases: [(Answer, u16, &str, &str); 4] = [
        (
            || {
                let delay = Duration::from_millis(41_001);
                come_back(Code::ResourceExhausted, ErrorReason::RateLimited, delay)
            },
            429,
            "42",
            "Too many requests.",
        ),
        (|| failure(Code::ResourceExhausted, ErrorReason::Busy), 429, "1", "Too many requests."),
        (
            || failure(Code::Unavailable, ErrorReason::StoreUnavailable),
            503,
            "1",
            "Service Unavailable",
        ),
        (|| Status::unavailable("tcp connect error"), 503, "1", "Service Unavailable"),
    ];
    for (status, code, seconds, message) in cases {
        let world = failing(status);
        for request in [documented(ADMIN), documented(CUSTOMER), revoke()] {
            let mut expected = refused(code, message);
            expected.1[1] = seconds.to_owned();
            assert_eq!(answer(&world, request).await, expected);
        }
        let text = format!(
            "<?xml version=\"1.0\"?>\n<response>\n  <message>{message}</message>\n</response>\n"
        );
        let mut expected = said(code, XML, &text);
        expected.1[1] = seconds.to_owned();
        assert_eq!(answer(&world, reading_xml(revoke())).await, expected);
    }
}

#[tokio::test]
async fn says_so_in_its_own_shape_when_the_server_breaks_the_contract() {
    let internal = refused(500, "Internal Server Error");
    let promised_more =
        Fake { create: Box::new(|| Ok(CreateTokenResponse::default())), ..Fake::default() };
    assert_eq!(answer(&promised_more.start(), documented(ADMIN)).await, internal);
    let panicking = Fake { create: Box::new(|| panic!("with a secret")), ..Fake::default() };
    assert_eq!(answer(&panicking.start(), documented(ADMIN)).await, internal);
    let answers: [fn() -> AuthorizeResponse; 2] =
        [AuthorizeResponse::default, || AuthorizeResponse { subject: None, ..allowed() }];
    for verdict in answers {
        let world = Fake { authorize: Box::new(move || Ok(verdict())), ..good() }.start();
        assert_eq!(answer(&world, revoke()).await, internal);
        assert_eq!(world.asked().1, checked(), "and revokes nothing");
    }
}

fn checked() -> Asked {
    Asked::Authorize(AuthorizeRequest {
        token: SECRET.to_owned(),
        realm: "customers".to_owned(),
        profiles: vec!["magento-customer".to_owned()],
        ..AuthorizeRequest::default()
    })
}

#[tokio::test]
async fn m11_revokes_all_of_the_customer_in_their_own_name() {
    let world = good().start();
    assert_eq!(answer(&world, revoke()).await, said(200, JSON, "true"));
    let asked = world.all_asked();
    let revoked = RevokeTokenRequest {
        target: Some(Target::UserId("carol's".to_owned())),
        ..RevokeTokenRequest::default()
    };
    let messages: Vec<_> = asked.iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(messages, [checked(), Asked::Revoke(revoked)]);
    for (metadata, _) in asked {
        assert_eq!(metadata.get("authorization").unwrap(), &format!("Bearer {SECRET}"));
        assert_eq!(metadata.get(REALM).unwrap(), "customers");
    }
}

#[tokio::test]
async fn m12_refuses_whoever_is_no_customer() {
    let none = good().start();
    let other = |value: &str| {
        let request = Request::post(REVOKE).header("authorization", value);
        request.body(Body::empty()).unwrap()
    };
    let mut twice = revoke();
    twice.headers_mut().append("authorization", "Bearer x".parse().unwrap());
    for request in
        [documented(REVOKE), other("Basic dTpw"), other("Bearer"), other("Token x"), twice]
    {
        assert_eq!(answer(&none, request).await, said(401, JSON, NOT_SELF));
    }
    assert!(none.was_asked_nothing());
    for reason in [DenyReason::UnknownToken, DenyReason::RevokedToken, DenyReason::WrongProfile] {
        let verdict = move || AuthorizeResponse {
            decision: Decision::Deny.into(),
            deny_reason: reason.into(),
            ..AuthorizeResponse::default()
        };
        let world = Fake { authorize: Box::new(move || Ok(verdict())), ..good() }.start();
        assert_eq!(answer(&world, revoke()).await, said(401, JSON, NOT_SELF), "{reason:?}");
        assert_eq!(world.asked().1, checked(), "and revokes nothing");
    }
}

#[tokio::test]
async fn m12_refuses_a_customer_whose_token_died_meanwhile_or_may_not() {
    let statuses: [Answer; 4] = [
        || failure(Code::Unauthenticated, ErrorReason::TokenInvalid),
        || failure(Code::Unauthenticated, ErrorReason::TokenExpired),
        || failure(Code::NotFound, ErrorReason::TokenNotFound),
        || failure(Code::PermissionDenied, ErrorReason::PermissionMissing),
    ];
    for status in statuses {
        let world = Fake { revoke: Box::new(move || Err(status())), ..good() }.start();
        assert_eq!(answer(&world, revoke()).await, said(401, JSON, NOT_SELF), "{:?}", status());
        // Where the server asks callers of Authorize to prove themselves.
        let world = failing(status);
        assert_eq!(answer(&world, revoke()).await, said(401, JSON, NOT_SELF), "{:?}", status());
    }
}

#[test]
fn stands_under_each_store_once() {
    let stores = ["shop".to_owned(), "all".to_owned(), "shop".to_owned()];
    let expected = [
        "/rest",
        "/rest/all",
        "/rest/shop",
        "/index.php",
        "/index.php/rest",
        "/index.php/rest/all",
        "/index.php/rest/shop",
    ];
    assert_eq!(prefixes(&stores), expected);
}

#[test]
fn describes_each_path_and_names_each_operation_once() {
    let document = describe(&Settings::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    for path in [ADMIN, CUSTOMER, REVOKE] {
        assert!(document["paths"][path]["post"]["operationId"].is_string(), "{path}");
        for prefix in prefixes(&MagentoSettings::default().stores) {
            let operation = &document["paths"][format!("{prefix}{path}")]["post"];
            assert!(operation["responses"]["200"].is_object(), "{prefix}{path}");
            assert!(operation["operationId"].is_null(), "{prefix}{path}");
        }
    }
    let nothing = |path: &&String| path.contains("{*");
    assert_eq!(document["paths"].as_object().unwrap().keys().find(nothing), None);
}

proptest! {
    #[test]
    fn judges_any_body(
        content_type in prop_oneof![Just("application/json"), Just("text/xml")],
        text in r#"[\[\]{}:,"\\<>/&;= a-z0-9.-]{0,200}"#,
        wrapped in any::<bool>(),
    ) {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", content_type.parse().unwrap());
        let text = if wrapped {
            DOCUMENTED_XML.replace("customer1pw", &text)
        } else {
            text
        };
        if let Ok(Credentials { username, .. }) = Credentials::read(&headers, &text.into()) {
            prop_assert!(!username.is_empty());
        }
    }
}
