//! The tail: what keeps the facts in step with the database, and earns the lease.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::timeout;
use tracing::{error, warn};

use super::wall_clock::Clocks;
use super::{Knowledge, Known};
use crate::domain::clock::Instant;
use crate::domain::error::Error;
use crate::domain::facts::{Capacity, Caught, Facts};
use crate::domain::keys::KeyRing;
use crate::domain::lease::Lease;
use crate::domain::seal::MasterKey;
use crate::domain::store::{KeyRow, Seq, Store, Tail, Terms};

/// How long a call waits for a sync, and a sync for a page.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long everything may take to load.
const LOAD_PATIENCE: Duration = Duration::from_mins(1);

/// How often one sync loads everything, where the list of changes has no place for what it loaded.
const MOST_LOADS: usize = 3;

/// How many pages one sync reads: beyond it, the list grows faster than it is read.
const MOST_PAGES: usize = 10_000;

/// How often one sync announces what the database has forgotten.
const MOST_ANNOUNCEMENTS: usize = 3;

/// How often the tail is read during one lease.
const SYNCS_PER_LEASE: u32 = 4;

impl Knowledge {
    /// Reads the tail again and again, so that calls find a lease. Ends at once where the lease
    /// never does; else it is for the caller to end it.
    pub async fn keep_up(self: &Arc<Self>) {
        let Lease::For(length) = self.lease else { return };
        let mut following = None;
        loop {
            self.clock.tick(length / SYNCS_PER_LEASE).await;
            following.get_or_insert_with(|| self.conditions.follow());
            // What it comes to is told where it is noted, for others sync as well.
            drop(self.sync().await);
        }
    }

    /// Loads everything anew, so that nothing is kept for ever by what no change told of.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: what is kept stays.
    pub async fn renew(&self) -> Result<(), Error> {
        // Before the turn, for others need it to keep the lease meanwhile.
        let known = Arc::new(self.load_anew().await?);
        let _turn = self.turns.lock().await;
        self.read_tail(known).await.map(drop)
    }

    /// Lets a call that arrived then wait for a sync: at most until [`PATIENCE`] is over.
    pub(super) async fn sync_for_caller(self: &Arc<Self>, arrived: Instant) -> Result<(), Error> {
        let this = Arc::clone(self);
        // A task of its own, so that a caller who gives up does not end it for the others.
        let task = tokio::spawn(async move { this.sync_once_for(arrived).await });
        match timeout(PATIENCE, task).await {
            Ok(joined) => joined.map_err(Error::internal)?,
            Err(late) => Err(Error::Unavailable(late.into())),
        }
    }

    /// Syncs for a caller, unless another's sync has done it for them while they waited, or has
    /// failed since they arrived.
    async fn sync_once_for(&self, arrived: Instant) -> Result<(), Error> {
        let mut turn = self.turns.lock().await;
        if self.known.load().facts.lease_holds(arrived) {
            return Ok(());
        }
        if turn.last.as_ref().is_some_and(|last| last.terms.is_none() && last.began >= arrived) {
            return Err(shared());
        }
        self.tail(&mut turn).await.map(drop)
    }

    /// Reads the tail of the changes, applies it, and takes a lease from before the read. Many who
    /// ask at once share what began after they had asked: a success or a failure.
    pub(super) async fn sync(&self) -> Result<Terms, Error> {
        let asked = self.clock.instant();
        let mut turn = self.turns.lock().await;
        match &turn.last {
            // What began at the same moment by the clock may have begun before.
            Some(Last { began, terms: Some(terms) }) if *began > asked => Ok(*terms),
            Some(Last { began, terms: None }) if *began > asked => Err(shared()),
            Some(_) | None => self.tail(&mut turn).await,
        }
    }

    /// What a sync does once it has its turn.
    async fn tail(&self, turn: &mut Turn) -> Result<Terms, Error> {
        let began = self.clock.instant();
        let synced = self.read_tail(self.known.load_full()).await;
        turn.last = Some(Last { began, terms: synced.as_ref().ok().map(|synced| synced.terms) });
        let outcome = if synced.is_ok() { "ok" } else { "failed" };
        metrics::counter!("tokend_syncs_total", "outcome" => outcome).increment(1);
        match synced {
            Ok(Synced { terms, asked, answered }) => {
                self.conditions.answered(asked, answered);
                *self.terms() = terms;
                Ok(terms)
            }
            Err(error) => {
                self.conditions.failed(&error);
                Err(error)
            }
        }
    }

    /// Reads the tail to its end, from what is known or from facts that are loaded anew, and takes
    /// the lease. New facts replace the old together with their lease.
    async fn read_tail(&self, mut known: Arc<Known>) -> Result<Synced, Error> {
        let (mut loads, mut announcements) = (0..MOST_LOADS, 0..MOST_ANNOUNCEMENTS);
        for _ in 0..MOST_PAGES {
            let began = self.clock.instant();
            let suspensions = known.facts.suspensions();
            let page = self.page(known.facts.known_mark().seq).await?;
            match known.facts.take_in(&page) {
                Caught::Up if self.must_announce(page.terms) => {
                    // Lowered by hand too early, or a backup of before was restored.
                    warn!("the database forgot what this replica had announced");
                    announcements.next().ok_or_else(forgetful)?;
                    self.store.announce_terms(self.lease.terms(self.loss)).await?;
                }
                Caught::Up => {
                    let answered = self.clock.instant();
                    known.facts.take_lease(self.lease, began, suspensions);
                    self.known.store(known);
                    return Ok(Synced { terms: page.terms, asked: began, answered });
                }
                // A page that came back full extends nothing.
                Caught::Behind => {}
                Caught::Lost => {
                    warn!("the list of changes has no place for this replica: all is loaded anew");
                    loads.next().ok_or_else(lost)?;
                    // What a load finds may be of a moment before it: the tail goes on from there.
                    known = Arc::new(self.load_anew().await?);
                }
            }
        }
        Err(Error::Unavailable("the list of changes grows faster than it can be read".into()))
    }

    async fn load_anew(&self) -> Result<Known, Error> {
        let before = self.keys();
        let load = load(&*self.store, &self.master, self.capacity, Some(&before));
        let loaded = timeout(LOAD_PATIENCE, load).await;
        loaded.map_err(|late| Error::Unavailable(late.into()))?
    }

    /// Whether a revoker that reads these terms would not wait for this replica.
    fn must_announce(&self, terms: Terms) -> bool {
        let own = self.lease.terms(self.loss);
        terms.longest_lease < own.longest_lease || terms.serve_stale < own.serve_stale
    }

    /// Reads a page of the changes, from this one on.
    pub(super) async fn page(&self, from: Seq) -> Result<Tail, Error> {
        let asked = self.clock.now();
        match timeout(PATIENCE, self.store.changes_from(from)).await {
            Ok(page) => {
                let page = page?;
                let answered = self.clock.now();
                self.wall_clock.compare(Clocks { asked, answered, database: page.clock });
                Ok(page)
            }
            Err(late) => Err(Error::Unavailable(late.into())),
        }
    }
}

/// What a sync came to that has read the tail to its end.
struct Synced {
    terms: Terms,
    /// When its last page was asked for, and when it was here.
    asked: Instant,
    answered: Instant,
}

/// The turn at reading the tail, which one has at a time.
#[derive(Debug, Default)]
pub(super) struct Turn {
    last: Option<Last>,
}

/// The last sync.
#[derive(Debug)]
struct Last {
    began: Instant,
    /// What it read; `None`: it failed.
    terms: Option<Terms>,
}

/// Reads where the list of changes stands, then everything that must be known from the start.
pub(super) async fn load(
    store: &dyn Store,
    master: &MasterKey,
    capacity: Capacity,
    before: Option<&KeyRing>,
) -> Result<Known, Error> {
    let head = store.head().await?;
    let revocations = store.list_revocations().await?;
    let rows = store.list_keys().await?;
    let keys = open_keys((&rows, head.seq), master, before)?;
    let facts = Facts::new(capacity, head, revocations);
    Ok(Known { facts, keys: ArcSwap::from_pointee(keys) })
}

/// Opens the keys as they were then, and says which do not open, where that was not said before.
pub(super) fn open_keys(
    (rows, as_of): (&[KeyRow], Seq),
    master: &MasterKey,
    before: Option<&KeyRing>,
) -> Result<KeyRing, Error> {
    let keys = KeyRing::open(rows, master, as_of)?;
    for id in keys.shut().filter(|id| before.is_none_or(|before| !before.is_shut(id))) {
        error!(key.id = %id, "a signing key does not open: what it signed is refused, and where it \
            is the active one its profile signs nothing until it is retired");
    }
    Ok(keys)
}

fn shared() -> Error {
    Error::Unavailable("the sync that others waited for has failed".into())
}

fn forgetful() -> Error {
    Error::Unavailable("the database forgets what this replica announces".into())
}

fn lost() -> Error {
    Error::Unavailable("what is loaded has no place in the list of changes".into())
}
