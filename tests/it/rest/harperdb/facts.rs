//! The facts of HarperDB's page, each replayed by its row in the table.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokend::pb::{DenyReason, UserState};

use super::requests::{
    bearing, create, operation, pair, pair_of, parts, post, refresh, sign_in, text, user_info,
};
use crate::rest::table::Row;
use crate::support::{ADMIN_PASSWORD, Verdict, World};

pub(super) async fn one_path_and_one_media_type(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let body = json!({
        "operation": "create_authentication_tokens",
        "username": "admin",
        "password": ADMIN_PASSWORD,
    });
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = world.http().post("/?a=b").header("content-type", content_type);
        let made = request.header("accept", "text/html").body(body.to_string()).send().await;
        row("H1").holds(&made);
        assert_eq!(made.headers["content-type"], "application/json");
    }
    // As the vendor's page shows it, indented, with nobody's name in it.
    let documented = "{\n    \"operation\": \"create_authentication_tokens\",\n    \
                      \"username\": \"\",\n    \"password\": \"\"\n}\n";
    assert_eq!(post(&world, documented).send().await.status, row("H4").status);
}

pub(super) async fn the_header_as_documented(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let made = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
    row("H1").holds(&made);
    for key in ["operation_token", "refresh_token"] {
        let token = text(&made, key);
        assert!(token.starts_with("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCI"), "{token}");
        let [header, _] = parts(&token);
        let keys: Vec<_> = header.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["alg", "typ", "kid"]);
        let signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
        assert_eq!(signature.len() * 8, 2048);
    }
}

pub(super) async fn the_documented_claims_and_no_more(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (operation, refresh_token) = pair(&world).await;
    world.advance(Duration::from_mins(5));
    let made = refresh(&world, json!({"refresh_token": refresh_token})).send().await;
    row("H6").holds(&made);
    let [_, mut first] = parts(&operation);
    let [_, mut second] = parts(&text(&made, "operation_token"));
    let [_, of_refresh] = parts(&refresh_token);
    assert_eq!((&first["username"], &first["sub"]), (&json!("admin"), &json!("operation")));
    assert_eq!((&of_refresh["username"], &of_refresh["sub"]), (&json!("admin"), &json!("refresh")));
    let lives = |claims: &Value| claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!((lives(&first), lives(&second), lives(&of_refresh)), (86_400, 86_400, 2_592_000));
    for own in ["iat", "exp", "jti"] {
        let claims = [&mut first, &mut second].map(|claims| claims[own].take());
        assert_ne!(claims[0], claims[1], "{own}");
    }
    assert_eq!(first, second);
}

pub(super) async fn the_kind_on_every_path(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (operation, token) = pair(&world).await;
    row("H10").holds(&refresh(&world, json!({"refresh_token": operation})).send().await);
    row("H10").holds(&bearing(refresh(&world, json!({})), &operation).send().await);
    let refused = bearing(user_info(&world), &token).send().await;
    row("H19").with("invalid token").holds(&refused);
    assert_eq!(world.check(&token).await, Verdict::Deny(DenyReason::WrongKind));
}

pub(super) async fn no_challenge(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let refused = [
        (row("H2"), sign_in(&world, "admin", "wrong")),
        (row("H10"), refresh(&world, json!({"refresh_token": "x"}))),
        (row("H18"), user_info(&world)),
    ];
    for (row, request) in refused {
        let refused = request.send().await;
        row.holds(&refused);
        assert!(!refused.headers.contains_key("www-authenticate"), "{refused}");
    }
}

pub(super) async fn the_header_over_the_body(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (_, token) = pair(&world).await;
    for body in [json!("garbage"), json!(""), json!(1), json!(null)] {
        let both = refresh(&world, json!({"refresh_token": body}));
        row("H7").holds(&bearing(both, &token).send().await);
    }
    let both = refresh(&world, json!({"refresh_token": token}));
    row("H10").holds(&bearing(both, "garbage").send().await);
}

pub(super) async fn no_header_on_create(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for header in ["Basic YTpi", "Bearer garbage", "Bearer", "Digest x", "Basic !!!"] {
        let request = sign_in(&world, "admin", ADMIN_PASSWORD);
        row("H1").holds(&request.header("authorization", header).send().await);
    }
    // Nor does the header stand in for the body.
    let request = create(&world, json!({})).basic("admin", ADMIN_PASSWORD);
    row("H3").with("required. ").holds(&request.send().await);
}

pub(super) async fn sign_ins_side_by_side(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (_, first) = pair(&world).await;
    let (_, second) = pair(&world).await;
    for token in [&first, &second, &first] {
        row("H6").holds(&refresh(&world, json!({"refresh_token": token})).send().await);
    }
}

pub(super) async fn schemes(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (operation, token) = pair(&world).await;
    for scheme in ["bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        let request = refresh(&world, json!({})).header("authorization", &value);
        row("H7").holds(&request.send().await);
        let value = format!("{scheme} {operation}");
        let request = user_info(&world).header("authorization", &value);
        assert_eq!(request.send().await.status, 200);
    }
    for header in [&*format!("Token {token}"), "Digest x", "Basic YTpi", "Basic !!!"] {
        let none = refresh(&world, json!({})).header("authorization", header);
        row("H8").holds(&none.send().await);
        let body = refresh(&world, json!({"refresh_token": token}));
        row("H6").holds(&body.header("authorization", header).send().await);
    }
}

pub(super) async fn roles_of_now(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    world.admin().put_role("super_user", ["*"]).await;
    let admin = world.user("HDB_ADMIN").roles(["super_user"]).await;
    let (operation, _) = pair_of(&world, "HDB_ADMIN", &admin.password).await;
    row("H17").holds(&bearing(user_info(&world), &operation).send().await);
    world.admin().put_role("super_user", ["orders:read"]).await;
    let answer = bearing(user_info(&world), &operation).send().await;
    assert_eq!(answer.json()["role"]["permission"]["super_user"], false);
    world.admin().set_roles(&admin, []).await;
    let answer = bearing(user_info(&world), &operation).send().await;
    assert_eq!(answer.json()["role"], Value::Null);
    world.admin().set_state(&admin, UserState::Disabled).await;
    let refused = bearing(user_info(&world), &operation).send().await;
    row("H19").with("invalid token").holds(&refused);
}

pub(super) async fn the_order_of_checks(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let xml = world.http().post("/").header("content-type", "application/xml");
    row("H16").holds(&xml.body("{").send().await);
    row("H14").holds(&post(&world, r#"{"operation":1,"operation":1}"#).send().await);
    row("H13").holds(&post(&world, r#"{"operation":1,"username":1}"#).send().await);
    row("H12").holds(&operation(&world, "frobnicate", json!({"username": 1})).send().await);
    let fields = json!({"username": "nobody", "password": ""});
    row("H4").holds(&create(&world, fields).send().await);
}

pub(super) async fn expires_in(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for (asked, seconds) in [
        (json!("5m"), 300),
        (json!(300), 300),
        (json!(300.0), 300),
        (json!("1 hour"), 3600),
        (json!("1d"), 86_400),
        (json!(86_400), 86_400),
        (json!(1), 1),
        (json!(null), 86_400),
    ] {
        let fields = json!({"username": "admin", "password": ADMIN_PASSWORD, "expires_in": asked});
        let made = create(&world, fields).send().await;
        row("H1").holds(&made);
        let lives = |key: &str| {
            let [_, claims] = parts(&text(&made, key));
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
        };
        assert_eq!(lives("operation_token"), seconds, "{asked}");
        assert_eq!(lives("refresh_token"), 2_592_000, "{asked}");
    }
}

pub(super) async fn unknown_fields(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let more = json!({"bypass_auth": true, "a": [{}], "username": "admin", "password": "x"});
    row("H2").holds(&create(&world, more.clone()).send().await);
    row("H18").holds(&operation(&world, "user_info", more.clone()).send().await);
    row("H8").holds(&refresh(&world, more.clone()).send().await);
    let mut good = more;
    good["password"] = ADMIN_PASSWORD.into();
    row("H1").holds(&create(&world, good).send().await);
}

pub(super) async fn ambiguous_headers(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let (operation, token) = pair(&world).await;
    for header in ["Bearer", "Bearer ", &format!("Bearer {token} {token}")] {
        let request = refresh(&world, json!({"refresh_token": token}));
        row("H10").holds(&request.header("authorization", header).send().await);
    }
    let twice = bearing(bearing(refresh(&world, json!({})), &token), &token);
    row("H10").holds(&twice.send().await);
    let twice = bearing(bearing(user_info(&world), &operation), &operation);
    row("H19").with("invalid token").holds(&twice.send().await);
    let twice = bearing(user_info(&world).basic("admin", ADMIN_PASSWORD), &operation);
    row("H19").with("invalid token").holds(&twice.send().await);
}

pub(super) async fn plain_names(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for request in
        [post(&world, vec![b'a'; 65_537]), world.http().get("/").body(vec![b'a'; 65_537])]
    {
        let refused = request.send().await;
        let body = r#"{"error":"Payload Too Large"}"#;
        assert_eq!((refused.status, &*refused.body), (413, body));
    }
    assert_eq!(row("H20").status, 404);
}

#[tokio::test]
async fn knows_the_users_of_its_realm_alone() {
    let world = World::with(|settings| settings.rest.harperdb.realm = "customers".to_owned()).await;
    let [own, foreign] = [world.user("ann").of("customers").await, world.user("bob").await];
    assert_eq!(sign_in(&world, "ann", &own.password).send().await.status, 200);
    assert_eq!(sign_in(&world, "bob", &foreign.password).send().await.status, 401);
    for (user, status) in [(&own, 200), (&foreign, 401)] {
        let session = user.sign_in_to("harperdb").await;
        let answer = bearing(user_info(&world), &session.operation).send().await;
        assert_eq!(answer.status, status, "{answer}");
        let answer = user_info(&world).basic(&user.username, &user.password).send().await;
        assert_eq!(answer.status, status, "{answer}");
    }
}
