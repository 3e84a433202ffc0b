//! No secret is found where it has nothing to do.

use tokend::pb::create_token_request::Credential;
use tokend::pb::{self, UserState};

use crate::support::alone::alone;
use crate::support::{Kind, Session, World};

/// A scenario with every sort of secret; answers all that were used.
async fn live(world: &World) -> Vec<String> {
    let admin = world.admin();
    let mut alice = world.user("alice").with(["token:create"]).await;
    let mut secrets = vec![admin.password.clone(), alice.password.clone()];
    let mut keep = |session: &Session| {
        secrets.extend([&session.operation, &session.refresh].into_iter().cloned());
    };
    for (_, session) in alice.every_kind().await {
        keep(&session);
        world.check(&session.operation).permission("orders:read").await;
        world.check(&session.refresh).await;
        let minted = session.draft("personal").make().await.unwrap();
        keep(&minted);
        minted.revoke().await.unwrap();
    }
    let session = alice.sign_in().await;
    keep(&session);
    keep(&session.refresh().await.unwrap());
    keep(&session.refresh().await.unwrap());
    world.advance(std::time::Duration::from_secs(61));
    session.refresh().await.err().unwrap();
    alice.change_password("a-new-password-of-alice").await;
    secrets.push(alice.password.clone());
    let http = world.http();
    let made = http.post("/tokens").basic("alice", &alice.password).send().await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    http.delete(&format!("/tokens/{token}")).basic("alice", &alice.password).send().await;
    http.delete("/tokens/a-token-of-nobody").basic("alice", "a-wrong-password").send().await;
    secrets.extend([token, "a-token-of-nobody".to_owned(), "a-wrong-password".to_owned()]);
    admin.set_state(&alice, UserState::Disabled).await;
    alice.draft("operation").make().await.err().unwrap();
    secrets.extend(fail(world).await);
    secrets.extend(speak(world).await);
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

/// Calls that are refused, each with a secret in it.
async fn fail(world: &World) -> Vec<String> {
    let secret = |n: u8| format!("a-refused-secret-{n}");
    let password = pb::PasswordCredential {
        username: "nobody".to_owned(),
        password: secret(1),
        ..Default::default()
    };
    let credential =
        |credential| pb::CreateTokenRequest { credential: Some(credential), ..Default::default() };
    let nobody = world.nobody();
    nobody.create_token(credential(Credential::Password(password))).await.unwrap_err();
    nobody.create_token(credential(Credential::BearerToken(secret(2)))).await.unwrap_err();
    let target = Some(pb::revoke_token_request::Target::Secret(secret(3)));
    let revoke = pb::RevokeTokenRequest { target, ..Default::default() };
    nobody.revoke_token(revoke).await.unwrap_err();
    let refresh_token = secret(4);
    let refresh = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
    nobody.refresh_operation_token(refresh).await.unwrap_err();
    world.check(&secret(5)).await;
    nobody.clone().bearing(&secret(6)).get_caller(pb::GetCallerRequest {}).await.unwrap_err();
    let request = pb::CreateUserRequest {
        credential: Some(pb::create_user_request::Credential::PasswordHash(secret(7))),
        ..Default::default()
    };
    world.admin().api().create_user(request).await.unwrap_err();
    (1..=7).map(secret).collect()
}

/// Requests in every dialect, each with a secret in it, that are answered and that are refused.
async fn speak(world: &World) -> Vec<String> {
    const SOAP: &str = "/soap/default?services=integrationAdminTokenServiceV1";
    let bob = world.user("bob").with(["token:create"]).await;
    let mut secrets = vec![bob.password.clone()];
    let attempts =
        [bob.password.clone(), "a-spoken-secret".to_owned(), "<a-broken-secret".to_owned()];
    for password in &attempts {
        let form = format!("grant_type=client_credentials&client_id=bob&client_secret={password}");
        let json = format!(r#"{{"username":"bob","password":"{password}"}}"#);
        let harper = json.replacen('{', r#"{"operation":"create_authentication_tokens","#, 1);
        let xml = format!("<login><username>bob</username><password>{password}</password></login>");
        let operation = "integrationAdminTokenServiceV1CreateAdminAccessTokenRequest";
        let soap = format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><{operation}>\
             <username>bob</username><password>{password}</password></{operation}></e:Body></e:Envelope>"
        );
        for (path, content_type, body) in [
            ("/apiops/auth/token", "application/x-www-form-urlencoded", &form),
            ("/apiops/auth/token", "application/json", &json),
            ("/", "application/json", &harper),
            ("/", "application/json", &harper[1..].to_owned()),
            ("/V1/integration/admin/token", "application/json", &json),
            ("/V1/integration/customer/token", "text/xml", &xml),
            (SOAP, "application/soap+xml", &soap),
        ] {
            let request = world.http().post(path).header("content-type", content_type);
            let answer = request.body(body.as_str()).send().await;
            secrets.extend(bearers(&answer.body));
        }
    }
    for bearer in secrets.clone() {
        for path in ["/v1/access-tokens", "/V1/integration/customer/revoke-customer-token"] {
            let request = world.http().post(path).header("content-type", "application/json");
            let request = request.header("authorization", &format!("Bearer {bearer}"));
            let answer = request.body(r#"{"name":"spoken"}"#).send().await;
            secrets.extend(bearers(&answer.body));
        }
        let presented = format!("Bearer {bearer}");
        for operation in ["user_info", "refresh_operation_token"] {
            let request = world.http().post("/").header("content-type", "application/json");
            let body = format!(r#"{{"operation":"{operation}","refresh_token":"{bearer}"}}"#);
            let by_body = request.body(body.as_str()).send().await;
            let request = world.http().post("/").header("content-type", "application/json");
            let by_header = request.header("authorization", &presented).body(body).send().await;
            secrets.extend(bearers(&by_body.body).into_iter().chain(bearers(&by_header.body)));
        }
        let own = world.http().get("/v1/access-tokens").header("authorization", &presented);
        own.send().await;
        let named = world.http().delete(&format!("/v1/access-tokens/{bearer}"));
        named.header("authorization", &presented).send().await;
    }
    secrets.extend(attempts.into_iter().map(|secret| secret.replace('<', "")));
    secrets
}

/// What in an answer looks like a token.
fn bearers(body: &str) -> Vec<String> {
    let words = body.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    words
        .filter(|word| word.len() >= 32 && word.contains(char::is_numeric))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn shows_no_secret_in_logs_metrics_events_or_files() {
    let test = "secrets::shows_no_secret_in_logs_metrics_events_or_files";
    let Some(log) = alone(test) else { return };
    let mut world = World::start().await;
    let secrets = live(&world).await;
    assert!(secrets.len() > 30, "{}", secrets.len());
    let metrics = world.management().get("/metrics").send().await.body;
    let request = pb::ListAuditEventsRequest { page_size: 500, ..Default::default() };
    let events = world.admin().api().list_audit_events(request).await.unwrap();
    let mut places: Vec<(String, Vec<u8>)> = vec![
        ("the metrics".to_owned(), metrics.into_bytes()),
        ("the events".to_owned(), format!("{events:?}").into_bytes()),
    ];
    let running = world.database().contents();
    let holds = if world.database().kind() == Kind::Sqlite { "tokend.db-wal" } else { "users" };
    assert!(running.get(holds).is_some_and(|bytes| !bytes.is_empty()));
    world.stop().await;
    places.extend(running.into_iter().chain(world.database().contents()));
    // What others log at TRACE (whole HTTP frames) is theirs, and off unless an operator asks.
    let ours = log.lines().into_iter().filter(|line| line.contains(" tokend"));
    places.extend(ours.map(|line| (format!("the log: {line}"), line.clone().into_bytes())));
    assert!(places.len() > 100, "{}", places.len());
    for secret in &secrets {
        for (place, bytes) in &places {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}
