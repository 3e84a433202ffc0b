//! What clients of HarperDB send, and what they find in the answers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokend::config::{AlgorithmWord, Settings};

use crate::support::http::{Exchange, HttpRequest};
use crate::support::{ADMIN_PASSWORD, World};

/// A body as it stands.
pub(super) fn post(world: &World, body: impl Into<Vec<u8>>) -> HttpRequest {
    world.http().post("/").header("content-type", "application/json").body(body)
}

pub(super) fn operation(world: &World, name: &str, mut fields: Value) -> HttpRequest {
    fields["operation"] = name.into();
    post(world, fields.to_string())
}

pub(super) fn create(world: &World, fields: Value) -> HttpRequest {
    operation(world, "create_authentication_tokens", fields)
}

pub(super) fn sign_in(world: &World, name: &str, password: &str) -> HttpRequest {
    create(world, json!({"username": name, "password": password}))
}

pub(super) fn refresh(world: &World, fields: Value) -> HttpRequest {
    operation(world, "refresh_operation_token", fields)
}

pub(super) fn user_info(world: &World) -> HttpRequest {
    operation(world, "user_info", json!({}))
}

pub(super) fn bearing(request: HttpRequest, token: &str) -> HttpRequest {
    request.header("authorization", &format!("Bearer {token}"))
}

/// The pair of tokens of the first user.
pub(super) async fn pair(world: &World) -> (String, String) {
    pair_of(world, "admin", ADMIN_PASSWORD).await
}

pub(super) async fn pair_of(world: &World, name: &str, password: &str) -> (String, String) {
    let made = sign_in(world, name, password).send().await;
    (text(&made, "operation_token"), text(&made, "refresh_token"))
}

pub(super) fn text(exchange: &Exchange, key: &str) -> String {
    exchange.json()[key].as_str().unwrap_or_else(|| panic!("{exchange}")).to_owned()
}

/// The header and the claims of a JWT.
pub(super) fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut part = || serde_json::from_slice(&parts.next().expect("a part")).expect("JSON");
    [part(), part()]
}

/// The same claims under another header and signature.
pub(super) fn forged(token: &str, header: &Value, signature: &str) -> String {
    let claims = token.split('.').nth(1).expect("claims");
    format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// A second profile whose refresh tokens are of the same form.
pub(super) fn twin_profile(settings: &mut Settings) {
    let mut twin = settings.profiles["harperdb"].clone();
    twin.algorithm = Some(AlgorithmWord::EdDsa);
    settings.profiles.insert("twin".to_owned(), twin);
}
