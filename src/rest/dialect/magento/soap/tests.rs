//! The rows of `docs/dialects/magento-soap.md`, before a server that answers as it is told.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use tonic::{Code, Status};

use crate::pb::create_token_request::Credential;
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, ErrorReason, IssuedToken, PasswordCredential,
};
use crate::rest::tests::fake::{Asked, Fake, World, come_back, failure, invalid, seen};
use crate::rest::{MagentoSettings, Settings};

const ADMIN: &str = "integrationAdminTokenServiceV1";
const ADMIN_OPERATION: &str = "integrationAdminTokenServiceV1CreateAdminAccessToken";
const CUSTOMER: &str = "integrationCustomerTokenServiceV1";
const CUSTOMER_OPERATION: &str = "integrationCustomerTokenServiceV1CreateCustomerAccessToken";
const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";

/// What the server answers; status, `Retry-After` and reason of what is made of it.
type Case = (Box<dyn Fn() -> Status + Send + Sync>, u16, &'static str, &'static str);

fn good() -> World {
    making().start()
}

fn making() -> Fake {
    let token = IssuedToken { token: None, secret: "asdf3hjklp5iuytre".to_owned() };
    let made = CreateTokenResponse { token: Some(token), refresh_token: None };
    Fake { create: Box::new(move || Ok(made.clone())), ..Fake::default() }
}

fn failing(status: impl Fn() -> Status + Send + Sync + 'static) -> World {
    Fake { create: Box::new(move || Err(status())), ..Fake::default() }.start()
}

fn call(version: &str, service: &str, operation: &str) -> Request<Body> {
    let envelope = format!(
        "<e:Envelope xmlns:e='{version}'><e:Body><{operation}Request xmlns='urn:n'>\
         <username>ann</username><password> &lt;pw&gt; </password></{operation}Request></e:Body></e:Envelope>"
    );
    let request = Request::post(format!("/soap?services={service}")).header("host", "a");
    request.body(Body::from(envelope)).unwrap()
}

/// Status, content type, `Retry-After`, the fault's code and its reason.
async fn refused(world: &World, version: &str) -> (u16, String, String, String, String) {
    let (status, headers, body) = seen(
        &world.send(call(version, ADMIN, ADMIN_OPERATION)).await,
        &["content-type", "retry-after"],
    );
    let between = |start: &str, end: &str| {
        let (_, rest) = body.split_once(start).unwrap_or_else(|| panic!("{body}"));
        rest.split_once(end).unwrap().0.to_owned()
    };
    let [content_type, retry_after] = headers.try_into().unwrap();
    let (code, reason) = if version == SOAP_1_1 {
        (between("<faultcode>", "<"), between("<faultstring>", "<"))
    } else {
        (between("<env:Value>", "<"), between("<env:Text xml:lang=\"en\">", "<"))
    };
    (status, content_type, retry_after, code, reason)
}

#[tokio::test]
async fn s2_asks_for_a_token_of_the_service_s_profile() {
    for (service, operation, realm, profile) in [
        (ADMIN, ADMIN_OPERATION, "default", "magento-admin"),
        (CUSTOMER, CUSTOMER_OPERATION, "customers", "magento-customer"),
    ] {
        let world = good();
        let answered = world.send(call(SOAP_1_2, service, operation)).await;
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<env:Envelope xmlns:env=\"{SOAP_1_2}\" \
             xmlns:ns1=\"urn:n\"><env:Body><ns1:{operation}Response>\
             <result>asdf3hjklp5iuytre</result></ns1:{operation}Response></env:Body></env:Envelope>\n"
        );
        assert_eq!(seen(&answered, &["cache-control"]), (200, vec!["no-store".into()], expected));
        let password = PasswordCredential {
            realm: realm.to_owned(),
            username: "ann".to_owned(),
            password: " <pw> ".to_owned(),
            accept_final_newline: false,
        };
        let asked = CreateTokenRequest {
            credential: Some(Credential::Password(password)),
            profile: profile.to_owned(),
            ..CreateTokenRequest::default()
        };
        let (metadata, message) = world.asked();
        assert_eq!(message, Asked::Create(asked));
        assert!(metadata.get("authorization").is_none());
    }
}

#[tokio::test]
async fn tells_the_refusals_of_the_service_with_200_and_all_others_with_their_status() {
    const WRONG: &str = "You did not sign in correctly or your account is temporarily disabled.";
    const NO_ROLE: &str = "You need more permissions to access this.";
    const WAIT: Duration = Duration::from_millis(41_001);
    let of = |code, reason| move || failure(code, reason);
    let unproven = of(Code::Unauthenticated, ErrorReason::BadCredentials);
    let no_role = of(Code::PermissionDenied, ErrorReason::UserWithoutRole);
    let throttled = || come_back(Code::ResourceExhausted, ErrorReason::RateLimited, WAIT);
    let gone = of(Code::Unavailable, ErrorReason::StoreUnavailable);
    let cases: [Case; 8] = [
        (Box::new(unproven), 200, "", WRONG),
        (Box::new(|| invalid(&["password.username"])), 200, "", WRONG),
        (Box::new(no_role), 200, "", NO_ROLE),
        (Box::new(throttled), 429, "42", "Too many requests."),
        (Box::new(gone), 503, "1", "Service Unavailable"),
        (Box::new(|| Status::unavailable("tcp connect error")), 503, "1", "Service Unavailable"),
        (Box::new(|| invalid(&["profile"])), 500, "", "Internal Server Error"),
        (Box::new(|| Status::unknown("words of the server")), 500, "", "Internal Server Error"),
    ];
    for (answer, status, retry_after, reason) in cases {
        let world = failing(answer);
        let (new, old) = if status == 200 { ("Sender", "Client") } else { ("Receiver", "Server") };
        for (version, content_type, code) in [
            (SOAP_1_2, "application/soap+xml; charset=utf-8", format!("env:{new}")),
            (SOAP_1_1, "text/xml; charset=utf-8", format!("SOAP-ENV:{old}")),
        ] {
            let expected =
                (status, content_type.into(), retry_after.into(), code, reason.to_owned());
            assert_eq!(refused(&world, version).await, expected);
        }
    }
}

#[tokio::test]
async fn fails_where_the_server_promised_more() {
    let world =
        Fake { create: Box::new(|| Ok(CreateTokenResponse::default())), ..Fake::default() }.start();
    assert_eq!(refused(&world, SOAP_1_2).await.0, 500);
}

#[tokio::test]
async fn f3_goes_by_the_request_line_before_the_header() {
    let settings = Settings { hosts: vec!["h2.example".to_owned()], ..Settings::default() };
    let world = Fake { settings, ..making() }.start();
    let get = |uri: &str| Request::get(format!("{uri}?wsdl&services={ADMIN}"));
    let location = |host: &str| format!("location=\"http://{host}/soap?services={ADMIN}\"");
    for request in
        [get("http://h2.example/soap"), get("http://h2.example/soap").header("host", "a")]
    {
        let answered = world.send(request.body(Body::empty()).unwrap()).await;
        assert!(answered.body().contains(&location("h2.example")), "{}", answered.body());
    }
    let refused = [
        get("/soap"),
        get("http://u:p@h2.example/soap"),
        get("/soap").header("host", "a").header("host", "a"),
        get("/soap").header("host", b"\xff".as_slice()),
    ];
    for request in refused {
        let answered = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answered.status(), 400, "{}", answered.body());
    }
}

#[tokio::test]
async fn is_not_spoken_where_magento_is_not() {
    let magento = MagentoSettings { enabled: false, ..MagentoSettings::default() };
    let settings = Settings { magento, ..Settings::default() };
    let world = Fake { settings, ..Fake::default() }.start();
    let answered = world.send(call(SOAP_1_2, ADMIN, ADMIN_OPERATION)).await;
    assert_eq!(seen(&answered, &[]), (404, vec![], r#"{"error":"not found"}"#.to_owned()));
}
