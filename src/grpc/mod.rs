//! The contract served: parse, call the core, convert, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Response, Status};

use crate::domain::Core;
use crate::pb;
use crate::pb::audit_service_server::AuditServiceServer;
use crate::pb::directory_service_server::DirectoryServiceServer;
use crate::pb::key_service_server::KeyServiceServer;
use crate::pb::maintenance_service_server::MaintenanceServiceServer;
use crate::pb::token_service_server::TokenServiceServer;
use crate::transport::BodyTimes;

mod answer;
mod audit;
mod caller;
mod checks;
mod convert;
mod decisions;
mod directory;
mod elsewhere;
mod frame;
mod health;
mod keys;
mod layers;
mod listener;
mod maintenance;
mod metered;
mod status;
mod tokens;

pub use health::Health;
pub use listener::{Limits, ServeError, serve};

/// What a client of any language takes unless it was told otherwise, so that a larger answer would
/// fail there with less to read.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Whether the server tells its contract to whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reflection {
    /// It does (v1 and v1alpha).
    On,
    /// It does not.
    Off,
}

/// How the contract is served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The peers that are believed about whom they call for (`tokend-client-address`).
    pub trusted_peers: Vec<IpNet>,
    /// Whether there is reflection.
    pub reflection: Reflection,
    /// How long a call may take, whatever its caller grants it.
    pub max_deadline: Duration,
    /// The longest request message, in bytes; `PutRole` may have a longer one.
    pub max_request_bytes: usize,
    /// Ends open streams, which would keep the server from stopping.
    pub shutdown: CancellationToken,
}

/// The description of the contract that was compiled in can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the compiled contract is damaged")]
pub struct DescriptorError(#[source] Box<dyn std::error::Error + Send + Sync>);

use checks::{Checks, ChecksFirst};
use decisions::Decisions;
use elsewhere::Elsewhere;
use metered::Rules;

type Answer<T> = Result<Response<T>, Status>;

/// All of our services: each file beside implements one.
#[derive(Debug)]
struct Services {
    core: Core,
    callers: caller::Callers,
    decisions: Arc<Decisions>,
}

/// All services, ready to be called.
#[derive(Debug, Clone)]
pub struct Contract {
    routes: Routes,
    checks: Checks,
    rpcs: Arc<layers::Rpcs>,
    request_bytes: usize,
}

impl Contract {
    /// The services for callers in this process.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// The services for a listener, all on the runtime that it is on.
    fn here(self, times: BodyTimes) -> ChecksFirst<Routes> {
        let Self { routes, checks, rpcs, request_bytes } = self;
        ChecksFirst::new(checks, routes, Rules { rpcs, request_bytes, times })
    }

    /// The services for listeners on other runtimes: there, checks that memory can answer are
    /// answered, and here all that may wait or work for long.
    fn apart(self, runtime: Handle, times: BodyTimes) -> ChecksFirst<Elsewhere<Routes>> {
        let Self { routes, checks, rpcs, request_bytes } = self;
        let rest = Elsewhere::new(routes, runtime, checks.max_deadline);
        ChecksFirst::new(checks, rest, Rules { rpcs, request_bytes, times })
    }
}

/// Builds all services, in all layers: for the listener and for callers in this process alike.
///
/// # Errors
/// [`DescriptorError`] where this binary was not built right.
pub fn contract(
    core: Core,
    settings: Settings,
    health: &Health,
) -> Result<Contract, DescriptorError> {
    let Settings { trusted_peers, reflection, max_deadline, max_request_bytes, shutdown } =
        settings;
    let decisions = Arc::<Decisions>::default();
    let services = Arc::new(Services {
        core: core.clone(),
        callers: caller::Callers::new(trusted_peers),
        decisions: Arc::clone(&decisions),
    });
    macro_rules! limited {
        ($server:expr) => {
            $server
                // The listener has a limit for each method. This one is for callers within.
                .max_decoding_message_size(Rules::longest(max_request_bytes))
                .max_encoding_message_size(MAX_ANSWER_BYTES)
        };
    }
    let mut routes = Routes::new(limited!(TokenServiceServer::from_arc(services.clone())))
        .add_service(limited!(DirectoryServiceServer::from_arc(services.clone())))
        .add_service(limited!(KeyServiceServer::from_arc(services.clone())))
        .add_service(limited!(AuditServiceServer::from_arc(services.clone())))
        .add_service(limited!(MaintenanceServiceServer::from_arc(services)))
        .add_service(limited!(health.server()));
    match reflection {
        Reflection::On => {
            let v1 = described().build_v1().map_err(|e| DescriptorError(e.into()))?;
            let v1alpha = described().build_v1alpha().map_err(|e| DescriptorError(e.into()))?;
            routes = routes.add_service(limited!(v1)).add_service(limited!(v1alpha));
        }
        Reflection::Off => {}
    }
    let rpcs = Arc::new(
        layers::Rpcs::read(&[
            pb::DESCRIPTOR,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ])
        .map_err(|e| DescriptorError(e.into()))?,
    );
    let rpc = rpcs.get(checks::PATH);
    let checks = Checks { core, decisions, rpc, max_deadline };
    let layers = layers::Layers { rpcs: Arc::clone(&rpcs), max_deadline, shutdown };
    let routes = layers::around(routes, layers);
    Ok(Contract { routes, checks, rpcs, request_bytes: max_request_bytes })
}

fn described() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
