//! Whether the settings make sense.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::load::Faults;
use super::{
    Bootstrap, Database, Facts, Grpc, Keys, Lifetime, Limits, Log, Management, Passwords, Replica,
    Rest, Settings, Shutdown, SignIn, Tokens, Upkeep,
};
use crate::domain::identity::Username;
use crate::domain::password;
use crate::domain::seal::MasterKey;
use crate::rest;

/// The largest message of a method that needs more than others.
const LARGEST_MESSAGE: usize = 256 << 10;

/// The least memory for facts of one sort: room for some tokens.
const LEAST_KEPT: usize = 4 << 10;

/// What the URL of a database begins with.
const SCHEMES: [&str; 5] = ["sqlite:", "postgres://", "postgresql://", "mariadb://", "mysql://"];

impl Settings {
    /// Lists what makes no sense, all of it.
    pub(super) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        self.grpc.check(&mut faults);
        self.rest.check(&mut faults);
        self.management.check(&mut faults);
        self.limits.check(&mut faults, self.grpc.max_request_bytes);
        self.database.check(&mut faults);
        self.replica.check(&mut faults);
        self.facts.check(&mut faults);
        faults.take("keys.master_key", self.keys.decode());
        self.bootstrap.check(&mut faults);
        self.tokens.check(&mut faults);
        self.passwords.check(&mut faults);
        self.sign_in.check(&mut faults);
        self.upkeep.check(&mut faults);
        self.log.check(&mut faults);
        self.shutdown.check(&mut faults);
        match self.profiles() {
            Ok(profiles) => {
                match self.rest.shim(&profiles, self.grpc.max_deadline) {
                    Ok(shim) => {
                        if let Err(clash) = rest::check(&shim) {
                            faults.add("rest", clash.to_string());
                        }
                    }
                    Err(others) => faults.append(others),
                }
                if profiles.find("operation").is_none() {
                    faults.add("profiles.operation", "must be there");
                }
            }
            Err(others) => faults.append(others),
        }
        faults
    }
}

impl Settings {
    /// Answers the settings of the shim.
    ///
    /// # Errors
    /// Every fault of the profiles and of the dialects.
    pub fn shim(&self) -> Result<rest::Settings, Faults> {
        self.rest.shim(&self.profiles()?, self.grpc.max_deadline)
    }
}

impl Keys {
    /// Reads the master key; `None` where none is set.
    ///
    /// # Errors
    /// As [`MasterKey::parse`], to follow its name.
    pub fn decode(&self) -> Result<Option<MasterKey>, &'static str> {
        let key = self.master_key.as_ref();
        key.map(|text| MasterKey::parse(text.expose_secret())).transpose()
    }
}

impl Grpc {
    fn check(&self, faults: &mut Faults) {
        not_zero(faults, "grpc.max_deadline", self.max_deadline);
        within(faults, "grpc.max_request_bytes", self.max_request_bytes, 4096..=64 * 1024 * 1024);
        within(faults, "grpc.max_connections", self.max_connections, 1..=1_000_000);
        not_zero(faults, "grpc.idle_timeout", self.idle_timeout);
        within(faults, "grpc.max_concurrent_streams", self.max_concurrent_streams, 1..=100_000);
        within(faults, "grpc.cores", self.cores, 0..=1024);
    }
}

impl Rest {
    fn check(&self, faults: &mut Faults) {
        within(faults, "rest.max_connections", self.max_connections, 1..=1_000_000);
        not_zero(faults, "rest.header_timeout", self.header_timeout);
        not_zero(faults, "rest.idle_timeout", self.idle_timeout);
        let is_url = |url: &String| {
            url.parse::<http::Uri>().is_ok_and(|uri| {
                uri.host().is_some()
                    && uri.query().is_none()
                    && matches!(uri.scheme_str(), Some("http" | "https"))
            })
        };
        if self.public_url.as_ref().is_some_and(|url| !is_url(url)) {
            faults.add("rest.public_url", "must be a URL such as `https://id.example.com`");
        }
        let is_host = |text: &String| {
            text.parse::<http::uri::Authority>()
                .is_ok_and(|host| host.as_str() == text && !text.contains('@'))
        };
        if !self.hosts.iter().all(is_host) {
            faults.add("rest.hosts", "must be hosts such as `id.example.com` or `10.0.0.7:8080`");
        }
    }
}

impl Management {
    fn check(&self, faults: &mut Faults) {
        within(faults, "management.max_connections", self.max_connections, 1..=1_000_000);
    }
}

impl Limits {
    fn check(&self, faults: &mut Faults, max_request_bytes: usize) {
        let Self { connections_per_address, request_memory, body_timeout } = self;
        within(faults, "limits.connections_per_address", *connections_per_address, 1..=1_000_000);
        // A connection has a sixteenth of it, in which its longest message must fit, with what
        // stands before it.
        let least =
            max_request_bytes.max(LARGEST_MESSAGE).saturating_add(64 << 10).saturating_mul(16);
        if *request_memory < least {
            let text = format!("must be {}KiB at least, for the largest message", least >> 10);
            faults.add("limits.request_memory", text);
        }
        not_zero(faults, "limits.body_timeout", *body_timeout);
    }
}

impl Database {
    fn check(&self, faults: &mut Faults) {
        within(faults, "database.readers", self.readers, 1..=64);
        within(faults, "database.writers", self.writers, 1..=64);
        within(faults, "database.group", self.group, 1..=1000);
        not_zero(faults, "database.connection_wait", self.connection_wait);
        let url = self.url.expose_secret();
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            faults.add(
                "database.url",
                "must begin with sqlite://, postgres://, mariadb:// or mysql://",
            );
        }
    }
}

impl Replica {
    fn check(&self, faults: &mut Faults) {
        let Self { lease, database_loss: _, stale_for, clock_leeway } = self;
        if !(Duration::from_millis(20)..=Duration::from_secs(10)).contains(lease) {
            faults.add("replica.lease", "must be from 20ms to 10s");
        }
        if stale_for < lease || *stale_for > Duration::from_hours(24) {
            faults.add("replica.stale_for", "must be from `replica.lease` to 24h");
        }
        if !(Duration::from_millis(100)..=Duration::from_hours(24)).contains(clock_leeway) {
            faults.add("replica.clock_leeway", "must be from 100ms to 24h");
        }
    }
}

impl Facts {
    fn check(&self, faults: &mut Faults) {
        let Self { tokens, jwts, users } = self;
        for (name, bytes) in
            [("facts.tokens", tokens), ("facts.jwts", jwts), ("facts.users", users)]
        {
            if *bytes < LEAST_KEPT {
                faults.add(name, "must be 4KiB at least");
            }
        }
    }
}

impl Bootstrap {
    fn check(&self, faults: &mut Faults) {
        faults.take("bootstrap.username", Username::parse(&self.username));
        if let Some(password) = self.password.as_ref().map(SecretString::expose_secret)
            && (!(1..=1024).contains(&password.len()) || password.contains('\0'))
        {
            faults.add("bootstrap.password", "must be 1 to 1024 bytes without NUL");
        }
    }
}

impl Tokens {
    fn check(&self, faults: &mut Faults) {
        let Self { issuer, audience } = self;
        for (name, value) in [("tokens.issuer", issuer), ("tokens.audience", audience)] {
            if value.is_empty() {
                faults.add(name, "must not be empty");
            }
        }
    }
}

impl Passwords {
    fn check(&self, faults: &mut Faults) {
        within(faults, "passwords.iterations", self.iterations, 1..=password::MOST_ITERATIONS);
        within(faults, "passwords.parallelism", self.parallelism, 1..=password::MOST_LANES);
        // Argon2 asks for 8 KiB a lane.
        let least = self.parallelism.saturating_mul(8);
        within(faults, "passwords.memory_kib", self.memory_kib, least..=password::MOST_MEMORY_KIB);
        within(faults, "passwords.threads", self.threads, 0..=1024);
        within(faults, "passwords.queue", self.queue, 1..=1_000_000);
        within(faults, "passwords.max_import_cost", self.max_import_cost, 1..=1000);
        if self.queue_wait.is_zero() {
            faults.add("passwords.queue_wait", "must be longer than nothing");
        }
    }
}

impl SignIn {
    fn check(&self, faults: &mut Faults) {
        within(faults, "sign_in.rate_per_minute", self.rate_per_minute, 1..=u32::MAX);
        within(faults, "sign_in.burst", self.burst, 1..=u32::MAX);
        self.lockout.check(faults, "sign_in.lockout");
    }
}

impl Upkeep {
    fn check(&self, faults: &mut Faults) {
        let Self { audit_retention } = self;
        if *audit_retention < Lifetime::For(Duration::from_hours(24)) {
            faults.add("upkeep.audit_retention", "must be a day at least");
        }
    }
}

impl Log {
    fn check(&self, faults: &mut Faults) {
        // `EnvFilter` takes a lone word that is no level for the name of a module.
        let is_level = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
        let is_known = self.level.split(',').all(is_level);
        if !is_known || EnvFilter::builder().parse(&self.level).is_err() {
            faults.add("log.level", "must be a level, or directives such as `info,tokend=debug`");
        }
    }
}

impl Shutdown {
    fn check(&self, faults: &mut Faults) {
        let Self { delay, grace: _ } = self;
        if delay.is_some_and(|delay| delay > Duration::from_hours(1)) {
            faults.add("shutdown.delay", "must be an hour at most");
        }
    }
}

fn not_zero(faults: &mut Faults, name: &str, time: Duration) {
    if time.is_zero() {
        faults.add(name, "must be longer than nothing");
    }
}

fn within<T: PartialOrd + Display + Copy>(
    faults: &mut Faults,
    name: &str,
    value: T,
    bounds: RangeInclusive<T>,
) {
    if !bounds.contains(&value) {
        faults.add(name, format!("must be from {} to {}", bounds.start(), bounds.end()));
    }
}
