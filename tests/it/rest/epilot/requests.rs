//! What is asked of epilot, and by whom.

use std::time::Duration;

use tokend::pb::{SetUserRolesRequest, UpdateUserRequest, UserState};

use crate::support::http::HttpRequest;
use crate::support::{Actor, World};

pub(super) const TOKENS: &str = "/v1/access-tokens";
const ROLE: &str = "123:owner";
pub(super) const DOCUMENTED: &str =
    r#"{"name":"Postman Access Token","assume_roles":["123:owner"]}"#;
pub(super) const PLAIN: &str = r#"{"name":"Token for my application"}"#;
pub(super) const THIRTY_DAYS: &str =
    r#"{"name":"Postman Access Token","assume_roles":["123:owner"],"expires_in":"30d"}"#;

/// Lifetimes, and the ends of tokens that are made with them when a world begins.
pub(super) const LIVES: [(&str, &str); 9] = [
    ("30", "2026-01-01T00:00:30.000Z"),
    ("31536000", "2027-01-01T00:00:00.000Z"),
    (r#""30000ms""#, "2026-01-01T00:00:30.000Z"),
    (r#""30.5 s""#, "2026-01-01T00:00:30.500Z"),
    (r#""2 minutes""#, "2026-01-01T00:02:00.000Z"),
    (r#""12 hours""#, "2026-01-01T12:00:00.000Z"),
    (r#""30d""#, "2026-01-31T00:00:00.000Z"),
    (r#""2w""#, "2026-01-15T00:00:00.000Z"),
    (r#""1 year""#, "2027-01-01T00:00:00.000Z"),
];

/// Queries of a list, and whether tokens of the type `api` are asked for.
pub(super) const QUERIES: [(&str, bool); 12] = [
    ("token_type=api", true),
    ("token_type[]=api", true),
    ("token_type%5B%5D=api", true),
    ("token%5ftype=%61pi", true),
    ("token_type[]=journey&token_type[]=api", true),
    ("limit=1", true),
    ("", true),
    ("token_type=journey", false),
    ("token_type[]=API", false),
    ("token_type=", false),
    ("token_type", false),
    ("token_type=%ff%00", false),
];

/// Presents a token.
pub(super) fn bearing(request: HttpRequest, secret: &str) -> HttpRequest {
    request.header("authorization", &format!("Bearer {secret}"))
}

pub(super) fn create(world: &World, secret: &str, body: &str) -> HttpRequest {
    bearing(world.http().post(TOKENS), secret).body(body)
}

pub(super) fn list(world: &World, secret: &str) -> HttpRequest {
    bearing(world.http().get(TOKENS), secret)
}

pub(super) fn delete(world: &World, secret: &str, id: &str) -> HttpRequest {
    bearing(world.http().delete(&format!("{TOKENS}/{id}")), secret)
}

/// A user who has the documented role, and the operation token of their sign-in.
pub(super) async fn owner(world: &World) -> (Actor, String) {
    world.admin().put_role(ROLE, ["token:create"]).await;
    let owner = world.user("owner").roles([ROLE]).await;
    let secret = owner.sign_in().await.operation;
    (owner, secret)
}

/// Makes a token, and answers its secret and its id.
pub(super) async fn made(world: &World, secret: &str, body: &str) -> (String, String) {
    let made = create(world, secret, body).send().await;
    assert_eq!(made.status, 201, "{made}");
    let json = made.json();
    let text = |key: &str| json[key].as_str().expect("text").to_owned();
    (text("token"), text("id"))
}

/// Secrets that prove nobody, each for a reason of its own.
pub(super) async fn dead_secrets(world: &World) -> Vec<(&'static str, String)> {
    let (owner, secret) = owner(world).await;
    let (revoked, id) = made(world, &secret, PLAIN).await;
    assert_eq!(delete(world, &secret, &id).send().await.status, 200);
    let (expired, _) = made(world, &secret, r#"{"name":"a","expires_in":60}"#).await;
    let refresh = owner.sign_in().await.refresh;
    let off = world.user("off").with(["token:create"]).await;
    let disabled = off.sign_in().await.operation;
    let request = UpdateUserRequest {
        user_id: off.id,
        state: UserState::Disabled.into(),
        ..UpdateUserRequest::default()
    };
    world.admin().api().update_user(request).await.expect("a change");
    world.advance(Duration::from_secs(61));
    vec![
        ("revoked", revoked),
        ("expired", expired),
        ("refresh", refresh),
        ("disabled", disabled),
        ("forged", format!("tkd_{}", "0".repeat(43))),
        ("malformed", "x".to_owned()),
    ]
}

/// Bodies that ask for no token, and the field that the answer names.
pub(super) fn faults() -> Vec<(String, &'static str)> {
    let named = |rest: &str| format!(r#"{{"name":"a",{rest}}}"#);
    let fixed = [
        ("", "body"),
        (" ", "body"),
        ("not json", "body"),
        ("[]", "body"),
        ("null", "body"),
        ("{}", "name"),
        (r#"{"name":""}"#, "name"),
        (r#"{"name":null}"#, "name"),
        (r#"{"name":1}"#, "name"),
        (r#"{"name":["a"]}"#, "name"),
        (r#"{"name":"a\u0000b"}"#, "name"),
        (r#"{"name":"a","name":"a"}"#, "name"),
        (r#"{"Name":"a"}"#, "name"),
    ];
    let rest = [
        (r#""unknown":1"#, "unknown"),
        (r#""journey_id":"1""#, "journey_id"),
        (r#""token_type":"journey""#, "token_type"),
        (r#""token_type":["api"]"#, "token_type"),
        (r#""token_type":null"#, "token_type"),
        (r#""assume_roles":null"#, "assume_roles"),
        (r#""assume_roles":"123:owner""#, "assume_roles"),
        (r#""assume_roles":{}"#, "assume_roles"),
        (r#""assume_roles":[1]"#, "assume_roles"),
        (r#""assume_roles":["123:owner","123:owner"]"#, "assume_roles"),
        (r#""assume_roles":["no role"]"#, "assume_roles"),
        (r#""assignments":[""]"#, "assignments"),
        (r#""assignments":[null]"#, "assignments"),
        (r#""assume_roles":["123:owner"],"assignments":[]"#, "assignments"),
        (r#""expires_in":null"#, "expires_in"),
        (r#""expires_in":29"#, "expires_in"),
        (r#""expires_in":-30"#, "expires_in"),
        (r#""expires_in":30.5"#, "expires_in"),
        (r#""expires_in":31536001"#, "expires_in"),
        (r#""expires_in":1e300"#, "expires_in"),
        (r#""expires_in":true"#, "expires_in"),
        (r#""expires_in":"""#, "expires_in"),
        (r#""expires_in":"30""#, "expires_in"),
        (r#""expires_in":"29s""#, "expires_in"),
        (r#""expires_in":"366d""#, "expires_in"),
        (r#""expires_in":"9999999999y""#, "expires_in"),
        (r#""expires_in":"soon""#, "expires_in"),
    ];
    let long = "n".repeat(256);
    let ids: Vec<_> = (0..65).map(|n| format!("\"r{n}\"")).collect();
    let mut all: Vec<_> = fixed.map(|(body, field)| (body.to_owned(), field)).into();
    all.extend(rest.map(|(rest, field)| (named(rest), field)));
    all.push((format!(r#"{{"name":"{long}"}}"#), "name"));
    all.push((named(&format!("\"assignments\":[{}]", ids.join(","))), "assignments"));
    all.push((named(&format!("\"x\":{}{}", "[".repeat(1000), "]".repeat(1000))), "body"));
    all
}

/// Gives a user these roles and no other.
pub(super) async fn set_roles<const N: usize>(world: &World, user: &Actor, roles: [&str; N]) {
    let request = SetUserRolesRequest {
        user_id: user.id.clone(),
        role_ids: roles.map(str::to_owned).to_vec(),
        ..SetUserRolesRequest::default()
    };
    world.admin().api().set_user_roles(request).await.expect("a change");
}
