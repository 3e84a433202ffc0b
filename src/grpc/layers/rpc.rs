//! The methods that there are, by path: so that no caller can make up a label of a metric.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Histogram};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

/// How many codes gRPC has.
const CODES: usize = 17;

/// How many messages one side of a call sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) enum Sends {
    /// One.
    Message,
    /// As many as it wants.
    Stream,
}

impl Sends {
    fn of(is_streaming: bool) -> Self {
        if is_streaming { Self::Stream } else { Self::Message }
    }
}

/// A method.
pub(in crate::grpc) struct Rpc {
    /// Its service's full name.
    pub(super) service: Arc<str>,
    /// Its own.
    pub(super) method: Arc<str>,
    /// What its callers send.
    pub(in crate::grpc) client: Sends,
    /// What it answers.
    pub(in crate::grpc) server: Sends,
    // Looked up once each, when the first call ends so.
    seconds: OnceLock<Histogram>,
    ended: [OnceLock<Counter>; CODES],
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, method, client: _, server: _, seconds: _, ended: _ } = self;
        write!(f, "Rpc({service}/{method})")
    }
}

impl Rpc {
    fn new(service: Arc<str>, method: Arc<str>) -> Self {
        Self {
            service,
            method,
            client: Sends::Message,
            server: Sends::Message,
            seconds: OnceLock::new(),
            ended: [const { OnceLock::new() }; CODES],
        }
    }

    /// Counts a call that took so long and ended with this code.
    pub(in crate::grpc) fn count(&self, code: Code, time: Duration) {
        let seconds = self.seconds.get_or_init(|| {
            let (service, method) = (Arc::clone(&self.service), Arc::clone(&self.method));
            metrics::histogram!("tokend_rpc_seconds", "service" => service, "method" => method)
        });
        seconds.record(time);
        let Some(ended) = usize::try_from(i32::from(code)).ok().and_then(|at| self.ended.get(at))
        else {
            return;
        };
        let ended = ended.get_or_init(|| {
            let (service, method) = (Arc::clone(&self.service), Arc::clone(&self.method));
            metrics::counter!(
                "tokend_rpc_total",
                "service" => service, "method" => method, "code" => name(code),
            )
        });
        ended.increment(1);
    }
}

/// The code as the contract writes it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The methods that there are.
#[derive(Debug)]
pub(in crate::grpc) struct Rpcs {
    by_path: HashMap<String, Arc<Rpc>>,
    unknown: Arc<Rpc>,
}

impl Rpcs {
    /// Reads them from compiled protos.
    ///
    /// # Errors
    /// Where these are none.
    pub(in crate::grpc) fn read(descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut by_path = HashMap::new();
        for descriptor in descriptors {
            for file in FileDescriptorSet::decode(*descriptor)?.file {
                for service in &file.service {
                    let service_name: Arc<str> =
                        format!("{}.{}", file.package(), service.name()).into();
                    for method in &service.method {
                        let rpc = Rpc {
                            client: Sends::of(method.client_streaming()),
                            server: Sends::of(method.server_streaming()),
                            ..Rpc::new(Arc::clone(&service_name), method.name().into())
                        };
                        by_path.insert(format!("/{service_name}/{}", rpc.method), Arc::new(rpc));
                    }
                }
            }
        }
        let unknown = Arc::new(Rpc::new("unknown".into(), "unknown".into()));
        Ok(Self { by_path, unknown })
    }

    /// Answers the method of a path, or one whose names are `unknown`.
    pub(in crate::grpc) fn get(&self, path: &str) -> Arc<Rpc> {
        Arc::clone(self.by_path.get(path).unwrap_or(&self.unknown))
    }
}
