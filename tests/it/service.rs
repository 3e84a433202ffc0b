//! What every service of this kind answers: health, reflection, who the caller is, probes.

use tokend::pb;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Api, World};

async fn channel(world: &World) -> Channel {
    Endpoint::from_shared(world.grpc_url()).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn says_of_each_service_that_it_serves() {
    let world = World::start().await;
    let mut health = HealthClient::new(channel(&world).await);
    for service in ["", "TokenService", "DirectoryService", "KeyService", "AuditService"] {
        let name = if service.is_empty() { String::new() } else { format!("tokend.v1.{service}") };
        let answer = health.check(HealthCheckRequest { service: name }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn tells_its_contract_to_whoever_asks() {
    let world = World::start().await;
    let mut reflection = ServerReflectionClient::new(channel(&world).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let requests = tokio_stream::once(request);
    let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.into_iter().map(|service| service.name).collect();
    for service in ["Token", "Directory", "Key", "Audit", "Maintenance"] {
        assert!(names.contains(&format!("tokend.v1.{service}Service")), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
}

#[tokio::test]
async fn tells_callers_who_they_are() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let by_password = alice.api().get_caller(pb::GetCallerRequest {}).await.unwrap();
    assert_eq!(by_password.token, None);
    assert_eq!(by_password.user.unwrap().role_ids, ["alice"]);
    for (kind, session) in alice.every_kind().await {
        let caller = session.api().get_caller(pb::GetCallerRequest {}).await.unwrap();
        assert_eq!(caller.user.unwrap().id, alice.id, "{kind}");
        assert_eq!(caller.token.unwrap().id, session.token.id, "{kind}");
    }
}

#[tokio::test]
async fn tells_callers_which_roles_they_carry() {
    let world = World::start().await;
    let role = |id: &str, permissions: &[&str]| pb::Role {
        realm: "default".to_owned(),
        id: id.to_owned(),
        description: String::new(),
        permissions: permissions.iter().map(|text| (*text).to_owned()).collect(),
    };
    let (reader, writer) = (role("reader", &["orders:read", "users:*@self"]), role("writer", &[]));
    // In this order, so that the ids behind the names are in the other one.
    world.admin().put_role("writer", []).await;
    world.admin().put_role("reader", ["orders:read", "users:*@self"]).await;
    world.admin().put_role("anonymous", ["shop:read"]).await;
    let alice = world.user("alice").roles(["writer", "reader"]).await;
    let roles = async |api: Api| api.get_caller(pb::GetCallerRequest {}).await.unwrap().roles;
    let both = [reader.clone(), writer.clone()];
    assert_eq!(roles(alice.api()).await, both);
    for (kind, session) in alice.every_kind().await {
        assert_eq!(roles(session.api()).await, both, "{kind}");
    }
    let narrow = alice.draft("personal").roles(["writer"]).make().await.unwrap();
    assert_eq!(roles(narrow.api()).await, [writer]);
    let none = alice.draft("personal").roles([]).make().await.unwrap();
    assert_eq!(roles(none.api()).await, []);
    world.admin().set_roles(&alice, ["reader"]).await;
    assert_eq!(roles(narrow.api()).await, [], "a role that its user has lost");
    assert_eq!(roles(alice.api()).await, [reader]);
}

#[tokio::test]
async fn answers_the_probes() {
    let world = World::start().await;
    for path in ["/livez", "/readyz"] {
        let answer = world.management().get(path).send().await;
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"), "{path}");
    }
    let version = world.management().get("/version").send().await.json();
    assert_eq!(version["name"], "tokend");
    let metrics = world.management().get("/metrics").send().await.body;
    assert!(metrics.contains("tokend_facts"), "{metrics}");
}

#[tokio::test]
async fn speaks_a_dialect_over_http() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let made = world.http().post("/tokens").basic("alice", &alice.password).send().await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let shown = made.to_string().replace(&token, "[token]");
    insta::assert_snapshot!(shown, @r#"
    POST /tokens

    201
    cache-control: no-store
    content-length: 148
    content-type: application/json
    date: [volatile]
    x-request-id: [volatile]

    {"token":"[token]","created_at":"2026-01-01 00:00:00.000000+00:00","expires_at":"2026-01-02 00:00:00.000000+00:00"}
    "#);
    assert_eq!(world.check(&token).await, crate::support::Verdict::Allow);
    let path = format!("/tokens/{token}");
    let gone = world.http().delete(&path).basic("alice", &alice.password).send().await;
    assert_eq!(gone.status, 204);
    let again = world.http().delete(&path).basic("alice", &alice.password).send().await;
    assert_eq!(again.status, 404);
    let empty = world.http().post("/tokens").basic("alice", "").body("{}").send().await;
    assert_eq!(empty.status, 401);
}
