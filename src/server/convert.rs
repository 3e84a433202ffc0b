//! The settings in the words of those who need them.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use super::{StartError, http};
use crate::config::{
    Callers, DatabaseLoss as LossWord, Facts, Lifetime, Replica, Runtime, Settings,
};
use crate::domain::facts::Capacity;
use crate::domain::hashing::PoolSize;
use crate::domain::lease::{DatabaseLoss, Lease};
use crate::domain::password::HashCost;
use crate::domain::{AddressRate, AuthorizeCallers, Settings as CoreSettings};
use crate::grpc;
use crate::store::Kind;
use crate::transport::BodyTimes;

pub(super) fn core(settings: &Settings) -> Result<CoreSettings, StartError> {
    let passwords = &settings.passwords;
    let hash_cost = HashCost {
        memory_kib: passwords.memory_kib,
        iterations: passwords.iterations,
        parallelism: passwords.parallelism,
    };
    Ok(CoreSettings {
        profiles: settings.profiles()?,
        issuer: settings.tokens.issuer.clone(),
        audience: settings.tokens.audience.clone(),
        authorize_callers: match settings.authorize.callers {
            Callers::Open => AuthorizeCallers::Open,
            Callers::Authenticated => AuthorizeCallers::Authenticated,
        },
        hash_cost: hash_cost.checked().map_err(StartError::HashCost)?,
        dearest_hash: hash_cost.times(passwords.max_import_cost),
        hash_pool: PoolSize {
            threads: threads(passwords.threads),
            turns: threads(passwords.threads) + 2 * writers(settings)?,
            queue: passwords.queue,
            wait: passwords.queue_wait,
        },
        failure_grid: passwords.failure_grid,
        lockout: settings.sign_in.lockout.policy(),
        address_rate: AddressRate {
            per_minute: settings.sign_in.rate_per_minute,
            burst: settings.sign_in.burst,
        },
        audit_retention: match settings.upkeep.audit_retention {
            Lifetime::For(time) => Some(time),
            Lifetime::Never => None,
        },
        lease: lease(settings),
        loss: loss(&settings.replica),
        capacity: capacity(&settings.facts),
        clock_leeway: settings.replica.clock_leeway,
    })
}

fn capacity(facts: &Facts) -> Capacity {
    let Facts { tokens, jwts, users } = *facts;
    Capacity { tokens, jwts, users }
}

fn lease(settings: &Settings) -> Lease {
    // One process has a SQLite database to itself.
    let is_alone = settings.database.url.expose_secret().starts_with("sqlite:");
    if is_alone { Lease::Endless } else { Lease::For(settings.replica.lease) }
}

fn loss(replica: &Replica) -> DatabaseLoss {
    match replica.database_loss {
        LossWord::Refuse => DatabaseLoss::Refuse,
        LossWord::ServeStale => DatabaseLoss::ServeStale(replica.stale_for),
    }
}

/// 0 is one for each core.
fn threads(setting: usize) -> usize {
    if setting > 0 {
        return setting;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub(super) fn grpc(settings: &Settings, stop: &CancellationToken) -> grpc::Settings {
    let reflection =
        if settings.grpc.reflection { grpc::Reflection::On } else { grpc::Reflection::Off };
    grpc::Settings {
        trusted_peers: settings.grpc.trusted_peers.clone(),
        reflection,
        max_deadline: settings.grpc.max_deadline,
        max_request_bytes: settings.grpc.max_request_bytes,
        shutdown: stop.clone(),
    }
}

pub(super) fn grpc_limits(settings: &Settings) -> grpc::Limits {
    grpc::Limits {
        cores: match settings.grpc.runtime {
            Runtime::PerCore => threads(settings.grpc.cores),
            Runtime::Shared => 0,
        },
        streams_per_connection: settings.grpc.max_concurrent_streams,
        body_times: body_times(settings),
        // Its caller has some seconds to take the answer.
        call_time: settings.grpc.max_deadline.saturating_add(Duration::from_secs(10)),
        idle_time: settings.grpc.idle_timeout,
        drain: settings.shutdown.grace,
        ..grpc::Limits::default()
    }
}

/// How many write to the database at once.
fn writers(settings: &Settings) -> Result<usize, StartError> {
    let database = &settings.database;
    Ok(match Kind::of(database.url.expose_secret())? {
        Kind::Sqlite => 1,
        Kind::Postgres | Kind::MariaDb => usize::try_from(database.writers).unwrap_or(1),
    })
}

pub(super) fn http_limits(settings: &Settings) -> http::Limits {
    http::Limits {
        head_time: settings.rest.header_timeout,
        idle_time: settings.rest.idle_timeout,
        body_times: body_times(settings),
        grace: settings.shutdown.grace,
        // A body and the calls that it leads to have a deadline each. Whoever answers in a
        // dialect's words comes first.
        request_time: settings.grpc.max_deadline.saturating_mul(3),
        ..http::Limits::default()
    }
}

fn body_times(settings: &Settings) -> BodyTimes {
    BodyTimes { whole: settings.limits.body_timeout, ..BodyTimes::default() }
}
