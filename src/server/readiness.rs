//! Whether this process can serve: one judgement for `/readyz`, for `grpc.health.v1` and so for the
//! command line, however it asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tracing::{info, warn};

use super::management::Ready;
use crate::domain::{Core, NotReady};
use crate::grpc::Health;

/// How long one judgement may take.
const TIME: Duration = Duration::from_millis(1500);

/// How often it is made for those who watch.
const PERIOD: Duration = Duration::from_secs(1);

/// Why this process can't serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unready {
    /// It was asked to stop: it serves whoever still comes.
    #[error("the server is stopping")]
    Stopping,
    /// The rules can't.
    #[error(transparent)]
    Core(#[from] NotReady),
    /// The database takes too long to say whether it is there.
    #[error("the database does not answer in time")]
    Late,
}

/// Judges whether this process can serve. Clones share one judgement at a time.
#[derive(Clone)]
pub(super) struct Readiness {
    core: Core,
    stopping: CancellationToken,
    last: Arc<Mutex<Last>>,
}

/// The last judgement, and when it had ended.
struct Last {
    ended: Instant,
    outcome: Result<(), Unready>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}

impl Readiness {
    /// Judges a core, which is never ready once `stopping` is cancelled.
    pub(super) fn new(core: Core, stopping: CancellationToken) -> Self {
        let last = Last { ended: Instant::now(), outcome: Ok(()) };
        Self { core, stopping, last: Arc::new(Mutex::new(last)) }
    }

    /// Judges now. Whoever asks while that is under way shares it: strangers may ask as often as
    /// they like, and one of them reads the database.
    ///
    /// # Errors
    /// Why it can't serve.
    pub(super) async fn check(&self) -> Result<(), Unready> {
        if self.stopping.is_cancelled() {
            return Err(Unready::Stopping);
        }
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.ended <= asked {
            let outcome = match timeout(TIME, self.core.check_ready()).await {
                Ok(outcome) => outcome.map_err(Unready::from),
                Err(_) => Err(Unready::Late),
            };
            *last = Last { ended: Instant::now(), outcome };
        }
        // It may have been asked to stop meanwhile.
        if self.stopping.is_cancelled() { Err(Unready::Stopping) } else { last.outcome }
    }

    /// The same, for probes by HTTP.
    pub(super) fn for_probes(&self) -> Ready {
        let this = self.clone();
        Ready::new(move || {
            let this = this.clone();
            async move { this.check().await.map_err(|unready| unready.to_string()) }
        })
    }

    /// The same, for gRPC.
    pub(super) async fn for_grpc(&self) -> Health {
        let this = self.clone();
        Health::new(move || {
            let this = this.clone();
            async move {
                match this.check().await {
                    Ok(()) => ServingStatus::Serving,
                    Err(_) => ServingStatus::NotServing,
                }
            }
        })
        .await
    }

    /// Judges again and again until the process is to stop, tells those who watch, and says in the
    /// log when it changes.
    pub(super) async fn keep_up(self, health: Health) {
        let mut before = Ok(());
        loop {
            let now = self.check().await;
            health.refresh().await;
            metrics::gauge!("tokend_ready").set(if now.is_ok() { 1.0 } else { 0.0 });
            tell(before, now);
            before = now;
            if self.stopping.run_until_cancelled(self.core.tick(PERIOD)).await.is_none() {
                metrics::gauge!("tokend_ready").set(0.0);
                return;
            }
        }
    }
}

fn tell(before: Result<(), Unready>, now: Result<(), Unready>) {
    match (before, now) {
        (Ok(()), Ok(())) | (Err(_), Err(_)) => {}
        (Ok(()), Err(reason)) => warn!(%reason, "not ready"),
        (Err(_), Ok(())) => info!("ready again"),
    }
}
