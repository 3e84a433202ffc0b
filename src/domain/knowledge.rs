//! The facts, kept in step with the database: loads, the tail of changes, the lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::clock::Clock;
use super::error::Error;
use super::facts::{Capacity, Facts, Held};
use super::keys::KeyRing;
use super::lease::{DatabaseLoss, Lease};
use super::loads::Loads;
use super::seal::MasterKey;
use super::store::{Seq, Store, Terms};

mod commit;
mod read;
mod sight;
mod sync;

pub use sight::{Missing, Sight};

use sync::Turn;

/// How often a read is tried again because a change came in between.
const MOST_TRIES: usize = 16;

/// What is known, from one load on.
#[derive(Debug)]
struct Known {
    facts: Facts,
    keys: ArcSwap<KeyRing>,
}

/// What is known of the database.
#[derive(Debug)]
pub struct Knowledge {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    master: Arc<MasterKey>,
    lease: Lease,
    loss: DatabaseLoss,
    capacity: Capacity,
    known: ArcSwap<Known>,
    turns: tokio::sync::Mutex<Turn>,
    // Whether the last sync has failed.
    failing: AtomicBool,
    // What the replicas had announced when the last sync read it.
    terms: Mutex<Terms>,
    loads: Loads,
}

/// What one judgement sees. Its end must be asked whether it still held.
#[derive(Debug, Clone)]
pub struct View {
    known: Arc<Known>,
    /// The keys.
    pub keys: Arc<KeyRing>,
    /// How old the facts are, where the lease is over and they are served all the same.
    pub age: Duration,
    seq: Seq,
}

impl View {
    /// The facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.known.facts
    }
}

/// What a [`Knowledge`] is made of.
#[derive(Debug)]
pub struct Sources {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// What opens the keys.
    pub master: Arc<MasterKey>,
    /// How long the facts may be believed.
    pub lease: Lease,
    /// What is done when the database does not answer after that.
    pub loss: DatabaseLoss,
    /// How much memory they may take.
    pub capacity: Capacity,
}

impl Knowledge {
    /// Announces the lease, loads what must be known from the start, and takes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], and [`Error::Internal`] where a key does not open.
    pub async fn load(sources: Sources) -> Result<Self, Error> {
        let Sources { store, clock, master, lease, loss, capacity } = sources;
        // Before the load: whoever commits after it waits for this lease, and what was committed
        // before is loaded.
        store.announce_terms(lease.terms(loss)).await?;
        let known = sync::load(&*store, &master, capacity, None).await?;
        let this = Self {
            store,
            clock,
            master,
            lease,
            loss,
            capacity,
            known: ArcSwap::from_pointee(known),
            turns: tokio::sync::Mutex::default(),
            failing: AtomicBool::new(false),
            terms: Mutex::default(),
            loads: Loads::default(),
        };
        this.sync().await?;
        Ok(this)
    }

    /// Begins a judgement: within the lease, or after a sync that began after the call arrived.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the database does not answer in time: no guess is made.
    pub async fn view(self: &Arc<Self>) -> Result<View, Error> {
        let arrived = self.clock.instant();
        for _ in 0..MOST_TRIES {
            let known = self.known.load_full();
            let age = if known.facts.lease_holds(arrived) {
                Duration::ZERO
            } else if let Some(age) = self.stale_age(&known) {
                age
            } else {
                match self.sync_for_caller(arrived).await {
                    Ok(()) => continue,
                    Err(error) => self.stale_age(&known).ok_or_else(|| refused(error))?,
                }
            };
            let seq = known.facts.known();
            let keys = known.keys.load_full();
            if known.facts.admits_keys(keys.as_of) {
                return Ok(View { known, keys, age, seq });
            }
            self.reload_keys(&known).await?;
        }
        Err(restless())
    }

    /// Whether a judgement that began with this view may be answered: nothing has changed since,
    /// and the lease still holds.
    #[must_use]
    pub fn still_holds(&self, view: &View) -> bool {
        if view.age.is_zero() {
            return self.held(&view.known, view.seq);
        }
        view.known.facts.known() == view.seq
            && self.stale_age(&view.known).is_some()
            && self.is_present(&view.known)
    }

    /// Whether a judgement that began within the lease, when `seq` was known, may be answered.
    fn held(&self, known: &Arc<Known>, seq: Seq) -> bool {
        known.facts.still_hold(seq, self.clock.instant()) && self.is_present(known)
    }

    /// Whether nothing was loaded anew since.
    fn is_present(&self, known: &Arc<Known>) -> bool {
        std::ptr::eq(Arc::as_ptr(known), Arc::as_ptr(&self.known.load()))
    }

    /// How old the facts are, where the database is lost and they may be served all the same.
    fn stale_age(&self, known: &Known) -> Option<Duration> {
        match self.loss {
            DatabaseLoss::ServeStale(bound) if self.failing.load(Ordering::Acquire) => {
                let age = known.facts.age(self.clock.instant());
                (age <= bound).then_some(age.max(Duration::from_micros(1)))
            }
            DatabaseLoss::ServeStale(_) | DatabaseLoss::Refuse => None,
        }
    }

    /// The keys that are known, without a lease: for what no revocation can make wrong.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyRing> {
        self.known.load().keys.load_full()
    }

    /// What is kept, how long the lease still lasts (`None`: for ever), and how long
    /// ago the read began by which all is known.
    #[must_use]
    pub fn report(&self) -> ([Held; 5], Option<Duration>, Duration) {
        let known = self.known.load();
        let now = self.clock.instant();
        (known.facts.held(), known.facts.lease_left(now), known.facts.age(now))
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn restless() -> Error {
    Error::Unavailable("the facts changed faster than they could be read".into())
}

fn refused(error: Error) -> Error {
    metrics::counter!("tokend_refused_without_lease_total").increment(1);
    error
}
