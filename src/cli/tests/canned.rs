//! A server for tests, which answers each call with what was made ready for it, and a keyboard.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use clap::Parser as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use secrecy::SecretString;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service};
use tonic::server::NamedService;
use tonic::service::Routes;

use super::super::{Args, Command, Error, Outcome, SecretSource, Session, Standing, run};
use crate::client::{InProcess, Upstream};

/// A call that came in.
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    message: Bytes,
}

impl Call {
    pub(super) fn message<M: Message + Default>(&self) -> M {
        M::decode(self.message.clone()).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

type Answer = Result<Vec<u8>, Status>;

#[derive(Clone, Default)]
pub(super) struct Canned {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Canned {
    pub(super) fn then(self, message: &impl Message) -> Self {
        self.answers.lock().unwrap().push_back(Ok(message.encode_to_vec()));
        self
    }

    pub(super) fn then_refuse(self, status: Status) -> Self {
        self.answers.lock().unwrap().push_back(Err(status));
        self
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let frame = body.collect().await.unwrap().to_bytes();
        let call = Call { headers: parts.headers, message: frame.slice(5..) };
        self.calls.lock().unwrap().push(call);
        match self.answers.lock().unwrap().pop_front().expect("no answer is ready") {
            Ok(message) => framed(&message),
            Err(status) => status.into_http(),
        }
    }
}

fn framed(message: &[u8]) -> Response<Body> {
    let length = u32::try_from(message.len()).unwrap();
    let frame = [&[0], &length.to_be_bytes()[..], message].concat();
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let trailers: Ready<Option<Result<_, Infallible>>> = ready(Some(Ok(trailers)));
    let body = Full::new(Bytes::from(frame)).with_trailers(trailers);
    Response::builder().header("content-type", "application/grpc").body(Body::new(body)).unwrap()
}

macro_rules! serve {
    ($type:ident as $name:literal) => {
        #[derive(Clone)]
        struct $type(Canned);

        impl NamedService for $type {
            const NAME: &'static str = $name;
        }

        impl Service<Request<Body>> for $type {
            type Response = Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let answer = self.0.clone().answer(request);
                Box::pin(async { Ok(answer.await) })
            }
        }
    };
}

serve!(Directory as "tokend.v1.DirectoryService");
serve!(Tokens as "tokend.v1.TokenService");

/// What somebody types, at a terminal or into a pipe.
pub(super) struct Keyboard {
    terminal: bool,
    lines: Mutex<VecDeque<&'static str>>,
}

impl Keyboard {
    pub(super) fn terminal(lines: &[&'static str]) -> Self {
        Self { terminal: true, lines: Mutex::new(lines.iter().copied().collect()) }
    }

    pub(super) fn pipe(lines: &[&'static str]) -> Self {
        Self { terminal: false, ..Self::terminal(lines) }
    }
}

impl SecretSource for Keyboard {
    fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn ask(&self, _: &str) -> io::Result<SecretString> {
        assert!(self.terminal, "asked where nobody is");
        Ok(self.lines.lock().unwrap().pop_front().expect("asked once too often").into())
    }

    fn next_line(&self) -> io::Result<SecretString> {
        Ok(self.lines.lock().unwrap().pop_front().unwrap_or_default().into())
    }
}

/// What a command came to.
pub(super) struct Ran {
    pub(super) outcome: Result<Outcome, Error>,
    pub(super) out: String,
    pub(super) notes: String,
}

impl Ran {
    /// Holds it to have done what was asked.
    pub(super) fn done(self) {
        assert_eq!(self.outcome.unwrap(), Outcome::Done);
    }
}

/// Runs a command line against `server`.
pub(super) async fn tokend(
    line: &str,
    server: &Canned,
    standing: Standing,
    keyboard: Keyboard,
) -> Ran {
    let args = Args::try_parse_from(["tokend"].into_iter().chain(line.split(' '))).unwrap();
    let Some(Command::Client(command)) = args.command else { panic!("{line}") };
    let routes = Routes::new(Directory(server.clone())).add_service(Tokens(server.clone()));
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let session = Session {
        upstream: Upstream::in_process(routes, InProcess::Operator),
        standing,
        secrets: Arc::new(keyboard),
        notes: &mut notes,
    };
    let outcome = run(command, session, &mut out).await;
    Ran { outcome, out: String::from_utf8(out).unwrap(), notes: String::from_utf8(notes).unwrap() }
}
