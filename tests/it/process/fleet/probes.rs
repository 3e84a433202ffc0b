//! Every probe says the same: HTTP, gRPC health of each service, whoever watches it, and the command
//! line either way. And where the database is lost, whatever needs it fails at once.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::revoke_token_request::Target;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::calls::{admin, bounded, by, create};
use super::{Fleet, Held, Replica, kind};
use crate::support::ADMIN_PASSWORD;
use crate::support::database::own::OwnServer;

/// The services that have a health of their own, and the server as a whole.
const SERVICES: [&str; 6] = [
    "",
    "tokend.v1.AuditService",
    "tokend.v1.DirectoryService",
    "tokend.v1.KeyService",
    "tokend.v1.MaintenanceService",
    "tokend.v1.TokenService",
];

/// Long enough that a busy machine reads the tail in time.
const LEASE: &str = "1s";

/// How long it may take until a replica has noticed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all probes of a replica said.
#[derive(Debug)]
pub(super) struct Probes {
    status: u16,
    /// What `/readyz` said.
    pub(super) readyz: String,
    health: Vec<ServingStatus>,
    command: [bool; 2],
}

impl Probes {
    pub(super) const COUNT: usize = 4;

    /// Asks them all.
    pub(super) async fn of(replica: &Replica) -> Self {
        let (status, readyz) = replica.readyz().await;
        let mut client = health(replica);
        let mut health = Vec::new();
        for service in SERVICES {
            let request = HealthCheckRequest { service: service.to_owned() };
            health.push(client.check(request).await.unwrap().into_inner().status());
        }
        let command = [("--server", replica.grpc), ("--management", replica.management)];
        let command = command.map(|(flag, address)| {
            let url = format!("http://{address}");
            let ended = block_in_place(|| replica.place.run(&["healthcheck", flag, &url]));
            ended.code == Some(0)
        });
        Self { status, readyz, health, command }
    }

    /// What each says: HTTP, gRPC, the command line by the one and by the other.
    pub(super) fn ready(&self) -> [bool; Self::COUNT] {
        let [by_grpc, by_http] = self.command;
        let first = self.health[0];
        assert!(self.health.iter().all(|status| *status == first), "{self:?}");
        [self.status == 200, first == ServingStatus::Serving, by_grpc, by_http]
    }
}

fn health(replica: &Replica) -> HealthClient<tonic::transport::Channel> {
    let url = format!("http://{}", replica.grpc).parse().unwrap();
    HealthClient::new(tokend::server::remote(&url).unwrap())
}

/// Waits until `/readyz` says so.
async fn until_ready(replica: &Replica, status: u16) {
    let began = Instant::now();
    while replica.readyz().await.0 != status {
        assert!(began.elapsed() < PATIENCE, "never {status}");
        sleep(super::LEASE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn says_the_same_by_every_probe_while_the_database_is_gone() {
    let Some(kind) = kind("says_the_same_by_every_probe_while_the_database_is_gone") else {
        return;
    };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    let mut fleet = Fleet::start(held, 1, |_, place| place.with("TOKEND__REPLICA__LEASE", LEASE));
    let mut watch = Vec::new();
    for service in SERVICES {
        let request = HealthCheckRequest { service: service.to_owned() };
        watch.push(health(&fleet.replicas[0]).watch(request).await.unwrap().into_inner());
    }
    for round in 0..2 {
        let probes = Probes::of(&fleet.replicas[0]).await;
        assert_eq!(probes.ready(), [true; Probes::COUNT], "{round}: {probes:?}");
        for watch in &mut watch {
            let status = watch.message().await.unwrap().unwrap().status();
            assert_eq!(status, ServingStatus::Serving, "{round}");
        }
        block_in_place(|| fleet.held.own().stop());
        until_ready(&fleet.replicas[0], 503).await;
        let probes = Probes::of(&fleet.replicas[0]).await;
        assert_eq!(probes.ready(), [false; Probes::COUNT], "{round}: {probes:?}");
        assert!(probes.readyz.contains("the database does not answer"), "{probes:?}");
        for watch in &mut watch {
            let status = watch.message().await.unwrap().unwrap().status();
            assert_eq!(status, ServingStatus::NotServing, "{round}");
        }
        block_in_place(|| fleet.held.own().start_again());
        until_ready(&fleet.replicas[0], 200).await;
    }
}

/// What needs the database, by all ways in.
async fn calls(upstream: &Upstream, bearer: &str, refresh: &str) -> Vec<(&'static str, Status)> {
    let secret = || Some(Target::Secret(bearer.to_owned()));
    let revoke = || pb::RevokeTokenRequest { target: secret(), ..Default::default() };
    let mint = pb::CreateTokenRequest { profile: "personal".to_owned(), ..Default::default() };
    let swap = pb::RefreshOperationTokenRequest {
        refresh_token: refresh.to_owned(),
        ..Default::default()
    };
    let role = pb::Role { id: "clerk".to_owned(), ..Default::default() };
    let put = pb::PutRoleRequest { role: Some(role), skip_wait: false };
    let (mut tokens, mut directory) = (upstream.tokens.clone(), upstream.directory.clone());
    let (mut keys, mut audit) = (upstream.keys.clone(), upstream.audit.clone());
    let rotate = pb::RotateSigningKeyRequest { profile: "operation".into(), skip_wait: false };
    let signed_in = create(upstream, "azion", admin()).await.map(drop);
    let basic = {
        let mut request = tonic::Request::new(pb::GetCallerRequest {});
        let pair = STANDARD.encode(format!("admin:{ADMIN_PASSWORD}"));
        request.metadata_mut().insert("authorization", format!("Basic {pair}").parse().unwrap());
        request
    };
    let ended = [
        ("a sign-in", signed_in),
        ("a sign-in by Basic", bounded(tokens.get_caller(basic)).await.map(drop)),
        ("a token by a token", bounded(tokens.create_token(by(bearer, mint))).await.map(drop)),
        ("a refresh", bounded(tokens.refresh_operation_token(swap)).await.map(drop)),
        ("a revocation by nobody", bounded(tokens.revoke_token(revoke())).await.map(drop)),
        ("a revocation", bounded(tokens.revoke_token(by(bearer, revoke()))).await.map(drop)),
        ("a list", bounded(tokens.list_tokens(by(bearer, Default::default()))).await.map(drop)),
        ("a role", bounded(directory.put_role(by(bearer, put))).await.map(drop)),
        ("users", bounded(directory.list_users(by(bearer, Default::default()))).await.map(drop)),
        ("a key", bounded(keys.rotate_signing_key(by(bearer, rotate))).await.map(drop)),
        (
            "events",
            bounded(audit.list_audit_events(by(bearer, Default::default()))).await.map(drop),
        ),
    ];
    ended.into_iter().map(|(name, ended)| (name, ended.expect_err(name))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fails_at_once_whatever_needs_a_database_that_is_lost() {
    let Some(kind) = kind("fails_at_once_whatever_needs_a_database_that_is_lost") else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    // Whoever waited for a connection would wait for longer than these callers do.
    let mut fleet = Fleet::start(held, 1, |_, place| {
        place.with("TOKEND__REPLICA__LEASE", LEASE).with("TOKEND__DATABASE__CONNECTION_WAIT", "1h")
    });
    let upstream = fleet.replicas[0].upstream();
    let (bearer, refresh) = create(&upstream, "operation", admin()).await.unwrap();
    let refresh = refresh.unwrap();
    block_in_place(|| fleet.held.own().stop());
    until_ready(&fleet.replicas[0], 503).await;

    for (name, status) in calls(&upstream, &bearer, &refresh).await {
        assert_eq!(status.code(), Code::Unavailable, "{name}: {status:?}");
        assert!(!status.details().is_empty(), "{name}: the server's own words: {status:?}");
    }
    // Each is an answer of many that would be the same: the log has it once.
    assert_eq!(fleet.replicas[0].told("the database does not answer; it is asked on"), 1);
    assert_eq!(fleet.replicas[0].told("the database did not answer"), 0);

    block_in_place(|| fleet.held.own().start_again());
    until_ready(&fleet.replicas[0], 200).await;
    create(&upstream, "azion", admin()).await.unwrap();
}
