//! The facts, kept in step with the database: loads, the tail of changes, the lease.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, Instant};
use super::error::Error;
use super::facts::{Capacity, Fact, FactKey, Facts, Kept, Shelf};
use super::identity::{Realm, Role, RoleId, User, UserId};
use super::keys::KeyRing;
use super::loads::Loads;
use super::seal::MasterKey;
use super::store::{Answer, Change, More, Seq, Store};
use super::token::{Grant, GrantId, Token, TokenDigest};
use arc_swap::ArcSwap;

mod commit;

/// How long a call waits for a sync before it gives up.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);
/// How often a read is tried again because a change came in between.
const MOST_TRIES: usize = 16;

/// How long a replica may answer from its facts without having asked the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// For ever: this process is the database's only one.
    Endless,
    /// This long.
    For(Duration),
}

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
    capacity: Capacity,
    known: ArcSwap<Known>,
    turns: tokio::sync::Mutex<()>,
    loads: Loads,
}

/// What one judgement sees. Its end must be asked whether it still held.
#[derive(Debug, Clone)]
pub struct View {
    known: Arc<Known>,
    /// The keys.
    pub keys: Arc<KeyRing>,
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
    /// How many are kept.
    pub capacity: Capacity,
}

impl Knowledge {
    /// Loads what must be known from the start, and takes a lease.
    ///
    /// # Errors
    /// [`Error::Unavailable`], and [`Error::Internal`] where a key does not open.
    pub async fn load(sources: Sources) -> Result<Self, Error> {
        let Sources { store, clock, master, lease, capacity } = sources;
        let known = load(&*store, &master, capacity).await?;
        let this = Self {
            store,
            clock,
            master,
            lease,
            capacity,
            known: ArcSwap::from_pointee(known),
            turns: tokio::sync::Mutex::default(),
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
            if !known.facts.lease_holds(arrived) {
                self.sync_for_caller(arrived).await?;
                continue;
            }
            let seq = known.facts.known();
            let keys = known.keys.load_full();
            if known.facts.admits_keys(keys.as_of) {
                return Ok(View { known, keys, seq });
            }
            self.reload_keys(&known).await?;
        }
        Err(restless())
    }

    /// Whether a judgement that began with this view may be answered: nothing has changed since,
    /// and the lease still holds.
    #[must_use]
    pub fn still_holds(&self, view: &View) -> bool {
        view.known.facts.known() == view.seq
            && view.known.facts.lease_holds(self.clock.instant())
            && std::ptr::eq(Arc::as_ptr(&view.known), Arc::as_ptr(&self.known.load()))
    }

    /// The keys that are known, without a lease: for what no revocation can make wrong.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyRing> {
        self.known.load().keys.load_full()
    }

    /// How many facts are kept, and how long the lease still lasts (`None`: for ever).
    #[must_use]
    pub fn report(&self) -> ([(&'static str, usize); 4], Option<Duration>) {
        let known = self.known.load();
        let now = u64::try_from(self.clock.instant().since_start().as_micros()).unwrap_or(0);
        let until = known.facts.lease_until();
        let left = (until != u64::MAX).then(|| Duration::from_micros(until.saturating_sub(now)));
        (known.facts.counts(), left)
    }

    /// Forgets what no longer matters.
    pub fn forget_ended(&self) {
        self.known.load().facts.forget_ended(self.clock.now());
    }

    /// Finds a user.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn user(&self, view: &View, id: UserId) -> Result<Fact<User>, Error> {
        let facts = view.facts();
        let read = || self.store.find_user(id);
        let keep = |user, as_of| facts.keep_user(id, user, as_of);
        self.fact(facts, (&facts.users, id, FactKey::User(id)), read, keep).await
    }

    /// Finds a role.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn role(&self, view: &View, id: RoleId) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let read = || self.store.find_role(id);
        let keep = |role, as_of| facts.keep_role(id, role, as_of);
        self.fact(facts, (&facts.roles, id, FactKey::Role(id)), read, keep).await
    }

    /// Finds what everyone in a realm holds.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn anonymous(&self, view: &View, realm: &Realm) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let read = || self.store.find_anonymous(realm);
        let keep = |role, as_of| facts.keep_anonymous(realm, role, as_of);
        let place = (&facts.anonymous, realm.clone(), FactKey::Anonymous(realm.clone()));
        self.fact(facts, place, read, keep).await
    }

    /// Finds an opaque token.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn token(&self, view: &View, digest: TokenDigest) -> Result<Fact<Token>, Error> {
        let facts = view.facts();
        let read = || self.store.find_token_by_digest(digest);
        let keep = |token, as_of| facts.keep_token(digest, token, as_of);
        self.fact(facts, (&facts.tokens, digest, FactKey::Token(digest)), read, keep).await
    }

    /// Finds a grant.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grant(&self, view: &View, id: GrantId) -> Result<Fact<Grant>, Error> {
        let facts = view.facts();
        let read = || self.store.find_grant(id);
        let keep = |grant, as_of| facts.keep_grant(id, grant, as_of);
        self.fact(facts, (&facts.grants, id, FactKey::Grant(id)), read, keep).await
    }

    async fn fact<K, V, F>(
        &self,
        facts: &Facts,
        (kept, key, fact): (&Shelf<K, V>, K, FactKey),
        read: impl Fn() -> F + Send,
        keep: impl Fn(Fact<V>, Seq) -> Kept + Send,
    ) -> Result<Fact<V>, Error>
    where
        K: Hash + Eq + Clone + Send + Sync,
        V: Send + Sync,
        F: Future<Output = Answer<Option<V>>> + Send,
    {
        if let Some(found) = kept.get(&key) {
            return Ok(found);
        }
        // Calls that miss the same fact share one read.
        let _turn = self.loads.turn(fact).await;
        if let Some(found) = kept.get(&key) {
            return Ok(found);
        }
        for _ in 0..MOST_TRIES {
            let as_of = facts.known();
            metrics::counter!("tokend_fact_reads_total").increment(1);
            let value = read().await?.map(Arc::new);
            match keep(value.clone(), as_of) {
                Kept::Yes => return Ok(value),
                Kept::Stale => {}
            }
        }
        Err(restless())
    }

    async fn reload_keys(&self, known: &Known) -> Result<(), Error> {
        let _turn = self.loads.turn(FactKey::Keys).await;
        if known.facts.admits_keys(known.keys.load().as_of) {
            return Ok(());
        }
        let as_of = known.facts.known();
        let rows = self.store.list_keys().await?;
        known.keys.store(Arc::new(KeyRing::open(&rows, &self.master, as_of)?));
        Ok(())
    }

    async fn sync_for_caller(self: &Arc<Self>, arrived: Instant) -> Result<(), Error> {
        let this = Arc::clone(self);
        // A task of its own, so that a caller who gives up does not end it for the others.
        let task = tokio::spawn(async move { this.sync_once_for(arrived).await });
        match tokio::time::timeout(SYNC_PATIENCE, task).await {
            Ok(joined) => joined.map_err(Error::internal)?,
            Err(late) => Err(Error::Unavailable(late.into())),
        }
    }

    /// Syncs for a caller, unless another's sync has done it for them while they waited.
    async fn sync_once_for(&self, arrived: Instant) -> Result<(), Error> {
        let _turn = self.turns.lock().await;
        if self.known.load().facts.lease_holds(arrived) { Ok(()) } else { self.tail().await }
    }

    /// Reads the tail of the changes, applies it, and takes a lease from before the read.
    async fn sync(&self) -> Result<(), Error> {
        let _turn = self.turns.lock().await;
        self.tail().await
    }

    /// What a sync does once it has its turn.
    async fn tail(&self) -> Result<(), Error> {
        loop {
            let began = self.clock.instant();
            let known = self.known.load_full();
            let suspensions = known.facts.suspensions();
            let mark = known.facts.known_mark();
            let tail = self.store.changes_from(mark.seq).await?;
            let fresh = match tail.changes.split_first() {
                Some(((first, _), fresh)) if *first == mark => fresh,
                // The list was purged past us, or a failover lost what we knew.
                Some(_) | None => return self.reload(began).await,
            };
            if fresh.iter().any(|(_, change)| *change == Change::Unknown) {
                return self.reload(began).await;
            }
            known.facts.apply(fresh);
            match tail.more {
                // A page that came back full extends nothing.
                More::Perhaps => {}
                More::No => {
                    known.facts.lease(self.lease_from(began), suspensions);
                    return Ok(());
                }
            }
        }
    }

    /// Builds everything anew beside the old, and swaps the two.
    async fn reload(&self, began: Instant) -> Result<(), Error> {
        tracing::warn!(
            "the list of changes has no place for us any more; all facts are loaded anew"
        );
        let known = load(&*self.store, &self.master, self.capacity).await?;
        known.facts.lease(self.lease_from(began), known.facts.suspensions());
        self.known.store(Arc::new(known));
        Ok(())
    }

    fn lease_from(&self, began: Instant) -> Option<Instant> {
        match self.lease {
            Lease::Endless => None,
            Lease::For(length) => Some(began.plus(length)),
        }
    }
}

/// Reads where the list of changes stands, then everything that must be known from the start.
async fn load(store: &dyn Store, master: &MasterKey, capacity: Capacity) -> Result<Known, Error> {
    let head = store.head().await?;
    let revocations = store.list_revocations().await?;
    let rows = store.list_keys().await?;
    let keys = KeyRing::open(&rows, master, head.seq)?;
    let facts = Facts::new(capacity, head, revocations);
    Ok(Known { facts, keys: ArcSwap::from_pointee(keys) })
}

fn restless() -> Error {
    Error::Unavailable("the facts changed faster than they could be read".into())
}
