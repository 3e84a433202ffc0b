//! The layers around a service that does as it is told.

use std::convert::Infallible;

use http::HeaderValue;
use http_body_util::BodyExt as _;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{ServiceExt as _, service_fn};

use crate::client;
use crate::pb;

use super::*;

fn layers(max_deadline: Duration) -> Arc<Layers> {
    let rpcs = Arc::new(Rpcs::read(&[pb::DESCRIPTOR]).unwrap());
    Arc::new(Layers { rpcs, max_deadline, shutdown: CancellationToken::new() })
}

fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

async fn answer<F>(layers: Arc<Layers>, request: Request<Body>, call: F) -> Response<Body>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut call = Some(call);
    let inner = service_fn(move |_: Request<Body>| {
        let call = call.take().unwrap();
        async move { Ok::<_, Infallible>(call.await) }
    });
    let Ok(answer) = Layered { inner, layers }.oneshot(request).await;
    answer
}

fn verdict(answer: &Response<Body>) -> (Code, String) {
    let status = Status::from_header_map(answer.headers()).unwrap();
    (status.code(), status.get_error_details().error_info().unwrap().reason.clone())
}

#[tokio::test]
async fn answers_deadline_exceeded_with_its_reason() {
    let due = (Code::DeadlineExceeded, "ERROR_REASON_DEADLINE_EXCEEDED".to_owned());
    let long = Duration::from_hours(1);
    let granted = request(&[("grpc-timeout", "1m")]);
    let answer1 = answer(layers(long), granted, std::future::pending()).await;
    assert_eq!(verdict(&answer1), due);
    let generous = request(&[("grpc-timeout", "1H")]);
    let answer2 = answer(layers(Duration::ZERO), generous, std::future::pending()).await;
    assert_eq!(verdict(&answer2), due);
}

#[test]
fn reads_a_timeout_and_ignores_one_that_is_none() {
    let max = Duration::from_hours(10);
    for (value, due) in [
        ("10S", Duration::from_millis(9995)),
        ("10m", Duration::from_millis(9)),
        ("1H", Duration::from_hours(1) - Duration::from_millis(5)),
        ("99999999H", max),
        ("100000000n", max),
        ("", max),
        ("S", max),
        ("-1S", max),
        ("+1S", max),
        ("1s", max),
        ("1.5S", max),
    ] {
        let request = request(&[("grpc-timeout", value)]);
        assert_eq!(deadline::of(request.headers(), max), due, "{value}");
    }
}

#[tokio::test]
async fn answers_internal_where_a_call_panics() {
    let call = async { panic!("for the test") };
    let answer = answer(layers(Duration::MAX), request(&[]), call).await;
    assert_eq!(verdict(&answer), (Code::Internal, "ERROR_REASON_INTERNAL".to_owned()));
    assert!(answer.headers().contains_key(client::REQUEST_ID));
}

#[tokio::test]
async fn keeps_a_request_id_that_a_log_can_hold() {
    let long = "a".repeat(65);
    for (given, kept) in [("a-B_9", true), ("a b", false), ("", false), (&*long, false)] {
        let request = request(&[(client::REQUEST_ID, given)]);
        let answer =
            answer(layers(Duration::MAX), request, std::future::ready(Response::default())).await;
        let echoed = answer.headers()[client::REQUEST_ID].to_str().unwrap();
        assert_eq!(echoed == given, kept, "{given}");
        assert!(!echoed.is_empty());
    }
}

#[test]
fn makes_no_label_of_an_unknown_method() {
    let layers = layers(Duration::MAX);
    let known = layers.rpcs.get("/tokend.v1.TokenService/Authorize");
    assert_eq!((&*known.service, &*known.method), ("tokend.v1.TokenService", "Authorize"));
    for path in ["/tokend.v1.TokenService/Forge", "/a/b", "/", "authorize"] {
        let rpc = layers.rpcs.get(path);
        assert_eq!((&*rpc.service, &*rpc.method), ("unknown", "unknown"), "{path}");
    }
}

/// A body of which nothing ever comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn ends_an_open_stream_when_the_server_stops() {
    let layers = layers(Duration::MAX);
    let call = async { Response::new(Body::new(Silent)) };
    let answer = answer(Arc::clone(&layers), request(&[]), call).await;
    layers.shutdown.cancel();
    let end = answer.into_body().collect().await.unwrap();
    let status = Status::from_header_map(end.trailers().unwrap()).unwrap();
    assert_eq!(status.code(), Code::Unavailable);
}

fn ending_with(code: &'static str) -> Body {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    Body::new(
        http_body_util::Full::new(Bytes::from_static(b"x"))
            .with_trailers(async { Some(Ok(trailers)) }),
    )
}

#[test]
fn counts_each_call_once_by_the_code_it_ended_with() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let call = async { Response::new(ending_with("5")) };
            let trailed = answer(layers(Duration::MAX), request(&[]), call).await;
            trailed.into_body().collect().await.unwrap();
            let call = async { Status::not_found("").into_http() };
            drop(answer(layers(Duration::MAX), request(&[]), call).await);
            let call = async { Response::new(Body::new(Silent)) };
            drop(answer(layers(Duration::MAX), request(&[]), call).await);
        });
    });
    let page = recorder.handle().render();
    let counted = |code: &str, times: u8| {
        let labels = format!(r#"{{service="unknown",method="unknown",code="{code}"}} {times}"#);
        page.contains(&format!("tokend_rpc_total{labels}"))
    };
    assert!(counted("NOT_FOUND", 2) && counted("CANCELLED", 1), "{page}");
}
