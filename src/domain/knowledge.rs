//! The facts, kept in step with the database: loads, the tail of changes, the lease.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::clock::{Clock, Instant};
use super::error::{Error, NoLease};
use super::facts::{Capacity, Facts, Held};
use super::keys::KeyRing;
use super::lease::{DatabaseLoss, Lease};
use super::loads::Loads;
use super::seal::MasterKey;
use super::store::{Seq, Store, Terms};

mod commit;
mod condition;
mod read;
mod sight;
mod sync;
mod wall_clock;

pub use sight::{Missing, Sight};

use condition::{Condition, Conditions, SLOW_SYNCS};
use sync::{PATIENCE, Turn};
use wall_clock::WallClock;

/// How often a read or a judgement is tried again because a change came in between.
pub(super) const MOST_TRIES: usize = 16;

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
    conditions: Conditions,
    wall_clock: WallClock,
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

/// By what checks are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By facts that may be believed.
    Fresh,
    /// By facts that are served although they are stale, as the operator has chosen.
    Stale,
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
    /// How far the wall clock may be from the database's before that is told.
    pub clock_leeway: Duration,
}

impl Knowledge {
    /// Announces the lease, loads what must be known from the start, and takes it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], and [`Error::Internal`] where a key does not open.
    pub async fn load(sources: Sources) -> Result<Self, Error> {
        let Sources { store, clock, master, lease, loss, capacity, clock_leeway } = sources;
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
            conditions: Conditions::new(lease),
            wall_clock: WallClock::new(clock_leeway),
            terms: Mutex::default(),
            loads: Loads::default(),
        };
        this.sync().await?;
        Ok(this)
    }

    /// Begins a judgement: within the lease, or after a sync that began after the call arrived.
    ///
    /// # Errors
    /// [`Error::NoLease`] and [`Error::Unavailable`] where the database does not answer in time: no
    /// guess is made.
    pub async fn view(self: &Arc<Self>) -> Result<View, Error> {
        for tries in 0..MOST_TRIES {
            let known = self.known.load_full();
            let asked = self.clock.instant();
            let Some(age) = self.age(&known, asked) else {
                self.earn_lease(&known, asked, tries).await?;
                continue;
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

    /// How old the facts may be by which a judgement may begin now; `None`: it may not.
    fn age(&self, known: &Known, now: Instant) -> Option<Duration> {
        if known.facts.lease_holds(now) {
            return Some(Duration::ZERO);
        }
        self.stale_age(known)
    }

    /// Has a call without a lease wait for a sync, unless that is known to be in vain. Where stale
    /// facts are served it comes back without one, too.
    async fn earn_lease(
        self: &Arc<Self>,
        known: &Known,
        asked: Instant,
        tries: usize,
    ) -> Result<(), Error> {
        let known_fault = self.conditions.known_fault().filter(|fault| match fault {
            // Most outages are over in a moment: for so long it is worth the wait.
            NoLease::Lost => known.facts.age(asked) > PATIENCE,
            NoLease::TooFar { .. } => true,
        });
        if let Some(fault) = known_fault {
            return Err(refused(Error::NoLease(fault)));
        }
        if tries >= SLOW_SYNCS
            && let Some(fault) = self.conditions.fault()
        {
            return Err(refused(Error::NoLease(fault)));
        }
        match self.sync_for_caller(asked).await {
            Err(error) if self.stale_age(known).is_none() => Err(refused(self.told(error))),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What a caller hears of a sync that failed: the log has its cause, where that has ended.
    fn told(&self, error: Error) -> Error {
        self.conditions.fault().map_or(error, Error::NoLease)
    }

    /// Lets a call go on to the database, unless that is lost: then it fails at once, and not when
    /// its own wait for a connection is over. A call that waits for a sync here waits for two
    /// seconds at most.
    ///
    /// # Errors
    /// [`Error::NoLease`] and [`Error::Unavailable`].
    pub async fn reach(self: &Arc<Self>) -> Result<(), Error> {
        let asked = self.clock.instant();
        if self.known.load().facts.lease_holds(asked) {
            return Ok(());
        }
        match self.conditions.known_fault() {
            Some(NoLease::Lost) => Err(refused(Error::NoLease(NoLease::Lost))),
            // It answers, and what is written there is as good as ever.
            Some(NoLease::TooFar { .. }) => Ok(()),
            None => self.sync_for_caller(asked).await.map_err(|error| refused(self.told(error))),
        }
    }

    /// Whether checks can be decided now: by facts that may be believed, or that are served stale.
    /// Does not wait where the database is known to be lost.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(self: &Arc<Self>) -> Result<Standing, NoLease> {
        let known = self.known.load_full();
        match (self.age(&known, self.clock.instant()), self.conditions.known_fault()) {
            (Some(Duration::ZERO), _) => return Ok(Standing::Fresh),
            (Some(_), _) => return Ok(Standing::Stale),
            (None, Some(fault)) => return Err(fault),
            (None, None) => {}
        }
        match self.view().await {
            Ok(view) if view.age.is_zero() => Ok(Standing::Fresh),
            Ok(_) => Ok(Standing::Stale),
            Err(_) => Err(self.conditions.fault().unwrap_or(NoLease::Lost)),
        }
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
            DatabaseLoss::ServeStale(bound) if self.conditions.get() != Condition::Good => {
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

/// What a call hears that was tried again as often as it may be.
pub(super) fn restless() -> Error {
    Error::Unavailable("the facts changed, or the lease ended, faster than could be judged".into())
}

fn refused(error: Error) -> Error {
    metrics::counter!("tokend_refused_without_lease_total").increment(1);
    error
}
