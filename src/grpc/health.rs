//! Whether the server takes calls, as `grpc.health.v1` says it: for each service, and for all.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::pb::{
    audit_service_server, directory_service_server, key_service_server, maintenance_service_server,
    token_service_server,
};

// The empty name is the server as a whole.
const SERVICES: [&str; 6] = [
    "",
    audit_service_server::SERVICE_NAME,
    directory_service_server::SERVICE_NAME,
    key_service_server::SERVICE_NAME,
    maintenance_service_server::SERVICE_NAME,
    token_service_server::SERVICE_NAME,
];

/// The handle by which the process says whether it takes calls. Clones share one state.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// Makes one that says `NOT_SERVING` of every service.
    pub async fn new() -> Self {
        // tonic's own says SERVING from its construction on.
        let health = Self { reporter: HealthReporter::new() };
        health.set_not_serving().await;
        health
    }

    /// Says `SERVING` of every service, to open `Watch` streams too.
    pub async fn set_serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Says `NOT_SERVING` of every service, to open `Watch` streams too.
    pub async fn set_not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
