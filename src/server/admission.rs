//! How many connections each listener takes, within what the machine allows.

use tracing::warn;

use crate::config::{Database, Settings};
use crate::transport::{Admission, AdmissionLimits, RequestMemory, files};

/// Files that are neither a connection's nor the database's: the program's own, its log, its
/// listeners, and some that are on their way out.
const RESERVE: usize = 64;

/// Files of a thread that answers calls.
const FILES_PER_CORE: usize = 4;

/// Files of a connection to the database: SQLite has three for each.
const FILES_PER_DATABASE_CONNECTION: usize = 3;

/// What requests to the probes may hold.
const MANAGEMENT_MEMORY: usize = 4 << 20;

/// The connections of all listeners.
#[derive(Debug)]
pub(super) struct Admissions {
    pub(super) grpc: Admission,
    pub(super) rest: Admission,
    pub(super) management: Admission,
}

impl Admissions {
    /// Raises the limit for open files, and shares out what there is.
    pub(super) fn new(settings: &Settings) -> Self {
        let files = files::raise().saturating_sub(reserve(settings));
        let wanted = [
            settings.grpc.max_connections,
            if settings.rest.enabled { settings.rest.max_connections } else { 0 },
        ];
        let [grpc, rest] = files::share(files, wanted);
        if grpc < settings.grpc.max_connections || rest < wanted[1] {
            warn!(
                grpc.max_connections = grpc,
                rest.max_connections = rest,
                "the limit for open files allows fewer connections than the settings"
            );
        }
        // One account for both: a client may speak to both.
        let memory = RequestMemory::new(settings.limits.request_memory);
        let per_address = settings.limits.connections_per_address;
        Self {
            grpc: Admission::new(
                "grpc",
                AdmissionLimits {
                    connections: grpc,
                    per_address,
                    trusted: settings.grpc.trusted_peers.clone(),
                },
                memory.clone(),
            ),
            rest: rest_admission(settings, rest, memory),
            management: Admission::new(
                "management",
                AdmissionLimits {
                    connections: settings.management.max_connections,
                    per_address: settings.management.max_connections.div_ceil(2),
                    trusted: Vec::new(),
                },
                RequestMemory::new(MANAGEMENT_MEMORY),
            ),
        }
    }

    /// The same for a process that has the HTTP listener alone.
    pub(super) fn of_rest(settings: &Settings) -> Admission {
        let files = files::raise().saturating_sub(RESERVE);
        let memory = RequestMemory::new(settings.limits.request_memory);
        rest_admission(settings, settings.rest.max_connections.min(files), memory)
    }
}

fn rest_admission(settings: &Settings, connections: usize, memory: RequestMemory) -> Admission {
    let limits = AdmissionLimits {
        connections,
        per_address: settings.limits.connections_per_address,
        trusted: settings.rest.trusted_proxies.clone(),
    };
    Admission::new("rest", limits, memory)
}

/// Files that no connection to gRPC or HTTP may take.
fn reserve(settings: &Settings) -> usize {
    let Database { readers, writers, .. } = settings.database;
    let database = usize::try_from(readers.saturating_add(writers)).unwrap_or(usize::MAX);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    RESERVE
        .saturating_add(database.saturating_add(2).saturating_mul(FILES_PER_DATABASE_CONNECTION))
        .saturating_add(settings.management.max_connections)
        .saturating_add(cores.max(settings.grpc.cores).saturating_mul(FILES_PER_CORE))
}
