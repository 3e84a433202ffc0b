//! Whether the server takes calls, as `grpc.health.v1` says it: for each service, and for all.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthRpcs, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
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

type Judge = dyn Fn() -> Pin<Box<dyn Future<Output = ServingStatus> + Send>> + Send + Sync;

/// Says whether calls are taken, of every service the same: each of them needs the database. What
/// it says is judged anew for whoever asks, and told to those who watch. Clones share one state.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    judge: Arc<Judge>,
    said: Arc<Mutex<Said>>,
}

/// What is said now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// What was judged.
    Judged(ServingStatus),
    /// `NOT_SERVING`, whatever is judged.
    Stopped,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

impl Health {
    /// Makes one that says what `judge` answers, and of every service `NOT_SERVING` until it was
    /// asked. It must answer in time, however often it is asked.
    pub async fn new<F>(judge: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ServingStatus> + Send + 'static,
    {
        let health = Self {
            reporter: HealthReporter::new(),
            judge: Arc::new(move || Box::pin(judge())),
            said: Arc::new(Mutex::new(Said::Judged(ServingStatus::NotServing))),
        };
        // tonic's own says SERVING from its construction on.
        health.say(ServingStatus::NotServing).await;
        health
    }

    /// Judges anew, and tells those who watch where that comes to something else than before.
    pub async fn refresh(&self) {
        let judged = (self.judge)().await;
        let mut said = self.said.lock().await;
        if !matches!(*said, Said::Stopped) && *said != Said::Judged(judged) {
            *said = Said::Judged(judged);
            self.say(judged).await;
        }
    }

    /// Says `NOT_SERVING` from here on, whatever is judged.
    pub async fn stop(&self) {
        let mut said = self.said.lock().await;
        *said = Said::Stopped;
        self.say(ServingStatus::NotServing).await;
    }

    async fn say(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }

    pub(super) fn server(&self) -> HealthServer<impl HealthRpcs> {
        let inner = HealthService::from_health_reporter(self.reporter.clone());
        HealthServer::new(Judged { inner, health: self.clone() })
    }
}

/// tonic's own service, which says what was judged just now.
struct Judged {
    inner: HealthService,
    health: Health,
}

#[tonic::async_trait]
impl HealthRpcs for Judged {
    type WatchStream = <HealthService as HealthRpcs>::WatchStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.health.refresh().await;
        self.inner.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.health.refresh().await;
        self.inner.watch(request).await
    }
}
