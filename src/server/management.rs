//! The listener for probes and metrics: `/livez`, `/readyz`, `/metrics`, `/version`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// How long the check of `/readyz` may take.
const READY_TIME: Duration = Duration::from_secs(2);

/// How often old samples are folded into the buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bounds of the histograms of times, in seconds: from a kept fact to a queue of password hashes.
const BUCKETS: [f64; 15] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25,
    1.0, 2.5, 10.0,
];

/// Bounds of the histograms of what goes together.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1000.0];

type Check = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// Says whether this process can serve.
#[derive(Clone)]
pub struct Ready(Arc<Check>);

impl Ready {
    /// Takes the check, which answers what is missing. It is made for each probe, and given up
    /// after two seconds.
    pub fn new<F>(check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(check())))
    }

    async fn check(&self) -> Result<(), String> {
        timeout(READY_TIME, (self.0)())
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

/// The metrics could not be set up: something else in this process gathers them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metrics could not be set up: {0}")]
pub struct MetricsError(String);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to gather what the `metrics` macros report. There is one gatherer in a process: a
    /// second call answers the first one's.
    ///
    /// # Errors
    /// [`MetricsError`] where there is one already that is not ours.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: OnceLock<Result<Metrics, MetricsError>> = OnceLock::new();
        INSTALLED.get_or_init(|| start().map_err(MetricsError)).clone()
    }

    /// Writes all metrics in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        // Counted where nothing may be reported: the log is told of metrics.
        metrics::counter!("tokend_log_lines_lost_total").absolute(telemetry::lost_lines());
        self.0.render()
    }

    /// Folds old samples together now and then until the shutdown; without it memory grows.
    pub async fn keep_up(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn start() -> Result<Metrics, String> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_jobs".to_owned()), &COUNTS)
        })
        .map_err(|error| error.to_string())?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    Ok(Metrics(handle))
}

/// What the routes answer from.
#[derive(Debug, Clone)]
pub struct ManagementState {
    /// Whether this process can serve.
    pub ready: Ready,
    /// What it gathered.
    pub metrics: Metrics,
}

/// The routes. Any other path is 404, any other method 405.
pub fn router(state: ManagementState) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route("/version", get(version))
        .fallback(|| async { json(StatusCode::NOT_FOUND, &error("not found")) })
        .method_not_allowed_fallback(|| async {
            json(StatusCode::METHOD_NOT_ALLOWED, &error("method not allowed"))
        })
        .with_state(state)
}

async fn readyz(State(state): State<ManagementState>) -> Response {
    match state.ready.check().await {
        Ok(()) => "ok\n".into_response(),
        Err(missing) => json(StatusCode::SERVICE_UNAVAILABLE, &error(&missing)),
    }
}

async fn metrics_text(State(state): State<ManagementState>) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text, state.metrics.render()).into_response()
}

async fn version() -> Response {
    let version = serde_json::json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("TOKEND_COMMIT"),
    });
    json(StatusCode::OK, &version)
}

fn error(text: &str) -> serde_json::Value {
    serde_json::json!({ "error": text })
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(ready: Result<(), &'static str>, path: &str) -> (u16, String) {
        let ready = Ready::new(move || async move { ready.map_err(str::to_owned) });
        let state = ManagementState { ready, metrics: Metrics::install().unwrap() };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(state).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn lives_whether_or_not_it_is_ready() {
        assert_eq!(get(Err("no database"), "/livez").await, (200, "ok\n".to_owned()));
    }

    #[tokio::test]
    async fn is_ready_only_while_the_check_says_so() {
        assert_eq!(get(Ok(()), "/readyz").await.0, 200);
        let (status, body) = get(Err("no database"), "/readyz").await;
        assert_eq!((status, body.as_str()), (503, r#"{"error":"no database"}"#));
    }

    #[tokio::test(start_paused = true)]
    async fn is_not_ready_where_the_check_never_ends() {
        let ready = Ready::new(std::future::pending);
        assert_eq!(ready.check().await, Err("no answer in time".to_owned()));
    }

    #[tokio::test]
    async fn shows_times_as_histograms_with_our_buckets() {
        let first = Metrics::install().unwrap();
        metrics::histogram!("tokend_test_seconds").record(0.003);
        let (status, body) = get(Ok(()), "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains(r#"tokend_test_seconds_bucket{le="0.005"} 1"#), "{body}");
        assert!(body.contains(r#"tokend_test_seconds_bucket{le="0.0025"} 0"#), "{body}");
        assert!(first.render().contains("tokend_test_seconds_count 1"));
    }

    #[tokio::test]
    async fn tells_its_version_and_no_other_path() {
        let (status, body) = get(Ok(()), "/version").await;
        let version: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200);
        assert_eq!(version["name"], "tokend");
        assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
        let missing = (404, r#"{"error":"not found"}"#.to_owned());
        assert_eq!(get(Ok(()), "/Livez").await, missing);
    }
}
