//! The core: the rules over a database, clocks and randomness.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, Timestamp};
use super::error::{Error, NoLease};
use super::facts::{Capacity, Held};
use super::format::jwt::Context;
use super::hashing::{HashPool, PoolSize};
use super::keys::{self, KeyRing, NewKey};
use super::knowledge::{Knowledge, Sources, Standing};
use super::lease::{DatabaseLoss, Lease};
use super::password::{Dearest, HashCost};
use super::profile::{Format, Profile, Profiles};
use super::proven::Proven;
use super::random::Random;
use super::roots::Roots;
use super::seal::MasterKey;
use super::sign_in::{AddressLimit, Untried};
use super::store::{Actor, Audit, KeyPurpose, LockoutPolicy, Seq, Store};
use super::token::TokenId;
use super::uses::Uses;

/// How many uses one transaction writes.
const USES_PER_WRITE: usize = 500;

/// Who may call `Authorize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizeCallers {
    /// Anyone. Their `authorization` metadata is not read.
    Open,
    /// Whoever presents a token of their own.
    Authenticated,
}

/// How many sign-ins one address may try.
#[derive(Debug, Clone, Copy)]
pub struct AddressRate {
    /// Each minute, in the long run.
    pub per_minute: u32,
    /// At once.
    pub burst: u32,
}

/// What the operator decides of the rules.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The profiles and realms.
    pub profiles: Profiles,
    /// Who our JWTs say made them.
    pub issuer: String,
    /// Who our JWTs of RFC 9068 say they are for.
    pub audience: String,
    /// Who may call `Authorize`.
    pub authorize_callers: AuthorizeCallers,
    /// What a password's hash costs.
    pub hash_cost: HashCost,
    /// The dearest hash that is taken from elsewhere, or tried.
    pub dearest_hash: Dearest,
    /// How many are hashed at once.
    pub hash_pool: PoolSize,
    /// Failed sign-ins are answered on a grid of this: zero for none.
    pub failure_grid: Duration,
    /// How failures lock a name where no profile is asked for.
    pub lockout: LockoutPolicy,
    /// How many tries one address has.
    pub address_rate: AddressRate,
    /// How long events are remembered; `None`: for ever.
    pub audit_retention: Option<Duration>,
    /// How long facts may be believed.
    pub lease: Lease,
    /// What is done when the database does not answer after that.
    pub loss: DatabaseLoss,
    /// How much memory the facts may take.
    pub capacity: Capacity,
    /// How far the wall clock may be from the database's before that is told.
    pub clock_leeway: Duration,
}

impl Settings {
    /// The longest that any policy remembers failures.
    pub(super) fn longest_memory(&self) -> Duration {
        let profiles = self.profiles.iter().map(|profile| profile.lockout);
        let policies = profiles.chain([self.lockout]);
        policies.map(|policy| policy.forget_after).max().unwrap_or_default()
    }

    /// How long a JWT lives at most that `CreateToken` makes: each has an end.
    pub(super) fn longest_jwt(&self) -> Duration {
        let jwts =
            self.profiles.iter().filter(|profile| matches!(profile.format, Format::Jwt { .. }));
        jwts.map(|profile| profile.max_life.length()).max().unwrap_or_default()
    }

    /// The same of all that a key signs, and of the refresh tokens beside it.
    pub(super) fn longest_signed(&self) -> Duration {
        let policies = self.profiles.iter().filter_map(|profile| profile.refresh);
        policies.map(|policy| policy.life).chain([self.longest_jwt()]).max().unwrap_or_default()
    }
}

/// Why calls can't be served now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// No decision can be made.
    #[error(transparent)]
    NoLease(#[from] NoLease),
    /// The database takes no writes: its disk is full, or it was made read-only.
    #[error("the database takes no writes")]
    WriteFailed,
}

/// What a [`Core`] is made of.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What seals the keys.
    pub master: MasterKey,
    /// What the operator decided.
    pub settings: Settings,
}

/// The rules. Clones share everything.
#[derive(Clone)]
pub struct Core {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) master: Arc<MasterKey>,
    pub(super) settings: Arc<Settings>,
    pub(super) knowledge: Arc<Knowledge>,
    pub(super) hashes: HashPool,
    pub(super) addresses: Arc<AddressLimit>,
    pub(super) untried: Arc<Untried>,
    pub(super) uses: Arc<Uses>,
    pub(super) proven: Arc<Proven>,
    pub(super) roots: Arc<Roots>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Core {
    /// Makes the keys that are missing, loads what must be known, and is ready.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Internal`] where a key does not open with this master key.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { store, clock, random, master, settings } = parts;
        let master = Arc::new(master);
        make_missing_keys(&store, &master, &random, (&settings.profiles, clock.now())).await?;
        let knowledge = Knowledge::load(Sources {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            master: Arc::clone(&master),
            lease: settings.lease,
            loss: settings.loss,
            capacity: settings.capacity,
            clock_leeway: settings.clock_leeway,
        })
        .await?;
        let core = Self {
            store,
            clock,
            random,
            master,
            knowledge: Arc::new(knowledge),
            hashes: HashPool::start(settings.hash_pool)?,
            addresses: Arc::new(AddressLimit::new(settings.address_rate)),
            untried: Arc::default(),
            uses: Arc::default(),
            proven: Arc::new(Proven::new(settings.capacity.jwts)),
            roots: Arc::default(),
            settings: Arc::new(settings),
        };
        core.replace_keys_of_other_algorithms().await?;
        Ok(core)
    }

    /// Whether `Authorize` asks for a caller. Where not, nothing that proves one may be read.
    #[must_use]
    pub fn authorize_asks_caller(&self) -> bool {
        self.settings.authorize_callers == AuthorizeCallers::Authenticated
    }

    /// Does what is done now and then: notes when tokens were last used, and retires keys that
    /// outlived their tokens. What fails is tried again the next time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn housekeep(&self) -> Result<(), Error> {
        self.addresses.forget_idle();
        // One that fails does not keep the others from their turn.
        let flushed = self.flush_uses().await;
        let retired = self.retire_outlived_keys().await;
        flushed.and(retired)
    }

    /// Keeps the facts in step with the database. Ends at once where nobody else changes it; else
    /// it is for the caller to end it.
    pub async fn keep_up(&self) {
        self.knowledge.keep_up().await;
    }

    /// Loads everything that is kept in memory anew.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what was kept goes on as before.
    pub async fn renew(&self) -> Result<(), Error> {
        self.knowledge.renew().await
    }

    /// Notes in the database when tokens were last used.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing is lost, the next call tries again.
    pub async fn flush_uses(&self) -> Result<(), Error> {
        self.write_uses(self.uses.list()).await
    }

    /// Notes in the database which refresh tokens were put to use, so that other replicas take a
    /// second use of the one before for what it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing is lost, the next call tries again.
    pub async fn flush_refreshes(&self) -> Result<(), Error> {
        self.write_uses(self.uses.list_refreshes()).await
    }

    async fn write_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<(), Error> {
        if uses.is_empty() {
            return Ok(());
        }
        self.knowledge.reach().await?;
        // In small transactions, for there may be one writer, and others wait for it.
        for batch in uses.chunks(USES_PER_WRITE) {
            self.store.touch_tokens(batch).await?;
        }
        self.uses.wrote(uses);
        Ok(())
    }

    /// Answers where calls can be served now: there is a lease, or stale facts are served as the
    /// operator has chosen, and the database can be read and written.
    ///
    /// It waits for the database, unless that is known to be lost.
    ///
    /// # Errors
    /// Why they can't.
    pub async fn check_ready(&self) -> Result<(), NotReady> {
        match self.knowledge.check().await? {
            // It is as ready as it can be.
            Standing::Stale => return Ok(()),
            Standing::Fresh => {}
        }
        self.store.head().await.map_err(|_| NotReady::NoLease(NoLease::Lost))?;
        self.store.check_writable().await.map_err(|_| NotReady::WriteFailed)
    }

    /// Waits about so long before the next turn of what is done again and again.
    pub async fn tick(&self, period: Duration) {
        self.clock.tick(period).await;
    }

    /// Publishes what is kept as metrics.
    pub fn publish_metrics(&self) {
        let (held, lease_left, age) = self.knowledge.report();
        for Held { sort, count, bytes } in held.into_iter().chain([self.proven.held()]) {
            metrics::gauge!("tokend_facts", "sort" => sort).set(gauge(count));
            metrics::gauge!("tokend_fact_bytes", "sort" => sort).set(gauge(bytes));
        }
        metrics::gauge!("tokend_lease_left_seconds")
            .set(lease_left.map_or(f64::INFINITY, |left| left.as_secs_f64()));
        if lease_left.is_some() {
            metrics::gauge!("tokend_tail_lag_seconds").set(age.as_secs_f64());
        }
        metrics::gauge!("tokend_hash_queue").set(gauge(self.hashes.waiting()));
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins the record of an event.
    pub(super) fn audit(
        &self,
        action: &'static str,
        actor: Actor,
        address: Option<IpAddr>,
    ) -> Audit {
        Audit {
            at: self.now(),
            action,
            outcome: "ok",
            realm: None,
            actor,
            target: String::new(),
            client_address: address,
        }
    }

    /// What a JWT of this profile says beside its claims; `None` for an opaque profile.
    pub(super) fn jwt_context(&self, profile: &Profile) -> Option<Context<'_>> {
        let Settings { issuer, audience, .. } = &*self.settings;
        match profile.format {
            Format::Opaque(_) => None,
            Format::Jwt { algorithm: _, claims } => {
                Some(Context { style: claims, issuer, audience })
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is read by eye")]
fn gauge(count: usize) -> f64 {
    count as f64
}

/// Makes the keys that the profiles need and that the database does not have.
async fn make_missing_keys(
    store: &Arc<dyn Store>,
    master: &Arc<MasterKey>,
    random: &Arc<dyn Random>,
    (profiles, now): (&Profiles, Timestamp),
) -> Result<(), Error> {
    let codes = [KeyPurpose::Check, KeyPurpose::Derive, KeyPurpose::Page].map(NewKey::Code);
    let signing = profiles.iter().filter_map(|profile| match profile.format {
        Format::Opaque(_) => None,
        Format::Jwt { algorithm, .. } => {
            Some(NewKey::Sign { profile: profile.name.as_str().to_owned(), algorithm })
        }
    });
    let rows = store.list_keys().await?;
    // With another master key than theirs, a key would be left behind that no other replica opens.
    drop(KeyRing::open(&rows, master, Seq(0))?);
    for new in codes.into_iter().chain(signing) {
        if rows.iter().any(|row| new.is_served_by(row)) {
            continue;
        }
        let (master, random) = (Arc::clone(master), Arc::clone(random));
        let made =
            tokio::task::spawn_blocking(move || keys::generate(&new, &master, &*random, now));
        let row = made.await.map_err(Error::internal)??;
        let audit = Audit {
            at: now,
            action: "key.create",
            outcome: "ok",
            realm: None,
            actor: Actor::Service,
            target: row.id.to_string(),
            client_address: None,
        };
        // Another replica may have been first: its key is as good.
        let _ = store.insert_first_key(&row, &audit).await?.value;
    }
    Ok(())
}
