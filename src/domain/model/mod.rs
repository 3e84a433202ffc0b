//! A model of strict revocation, searched through to its end.
//!
//! The promise: once a revocation has answered OK, no check that begins later answers ALLOW, on
//! any replica. It rests on what each replica keeps in memory and for how long it believes it, and
//! that is the product's own code here: [`Facts`](super::facts::Facts) and
//! [`Lease`](super::lease::Lease), which take time as an argument. What stands around them is
//! played: a database, and replicas, revokers, checks and reads of facts that take the steps of
//! `knowledge` in its order. Between any two steps everybody else may go on, and nobody has to, so
//! that every step may be late, or the last. The search goes through all states that a scope
//! reaches, and asks of each check that began after the OK.
//!
//! | file | what it plays |
//! |---|---|
//! | `database.rs` | the list of changes, purge, failover |
//! | `library.rs` | the facts: each call of the product, made once on equal facts and remembered |
//! | `tail.rs` | a replica: start, the tail, the lease, loading anew, restart |
//! | `check.rs` | a check, and the reads of the facts that it misses |
//! | `revoker.rs` | a revocation: commit, wait, asking once more; its retry; its end on the way |
//! | `search.rs` | the search |
//! | `promise.rs` | that the promise holds, scope by scope |
//! | `mutants.rs` | that it does not where a rule is taken away |
//!
//! What bounds it, beside the numbers that each scope names:
//! - Time goes in ticks of 20 ms up to the horizon of the scope. A replica's clock may lose as
//!   much as a revoker's wait is longer than the lease.
//! - A step is one call of the product, one statement of the database, or one reading of a clock.
//!   What happens within a call of `Facts`, between its atomics, is not seen here.
//! - One target is revoked: a fact that is read (an opaque token's row, a user), or one whose
//!   absence means "allowed" (a JWT by `jti`, a grant). Beside it one role is changed.
//! - A check that waits for a sync goes on whenever the lease holds for its arrival. Reads of one
//!   fact have turns, as in the product, and any check may have begun the one under way.
//! - At most one set of facts that was replaced is still in use; while it is, nothing is loaded
//!   anew.
//! - A failover loses the newest change at most, and none that was read back after its wait or that
//!   a purge went past. The old primary is fenced.
//! - Checks come to one replica: to the last, where there are two. Of them one is played at a time.
//! - Stale facts are never served: who serves them says that a revocation is not strict.

mod check;
mod database;
mod library;
mod mutants;
mod promise;
mod revoker;
mod search;
mod tail;

use std::time::Duration;

use super::clock::Instant;
use super::lease::Lease;
use check::{Check, Load};
use database::Database;
use library::Library;
use revoker::Revoker;
use tail::Replica;

/// A tick of the model. With it a lease of one waits two, a lease of two waits three.
const TICK: Duration = Duration::from_millis(20);

/// So many replicas, and so many revokers, at most.
const TWO: usize = 2;

fn instant(ticks: u8) -> Instant {
    Instant::from_duration(TICK * u32::from(ticks))
}

/// The lease of so many ticks; zero stands for the endless one.
fn lease(ticks: u8) -> Lease {
    if ticks == 0 { Lease::Endless } else { Lease::For(TICK * u32::from(ticks)) }
}

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// An opaque token, by its row.
    Token,
    /// A user.
    User,
    /// A JWT, by its `jti`.
    Jti,
    /// A grant whose JWTs are checked without a row.
    Grant,
    /// A grant whose opaque token is read with it.
    GrantOfRow,
}

impl Target {
    /// Whether it is a fact that is read when it is missed.
    fn is_read(self) -> bool {
        match self {
            Self::Token | Self::User | Self::GrantOfRow => true,
            Self::Jti | Self::Grant => false,
        }
    }
}

/// What is asked of all checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// One that began after the revocation's OK does not answer ALLOW.
    Strict,
    /// Nor one that began after the revocation had ended, however it ended: for a process that is
    /// alone.
    Heard,
    /// The user lost a role (OK), and only then did that role get what is asked for: no check, of
    /// whenever, answers ALLOW.
    Whole,
}

/// A rule that is taken away, by what somebody does or by how a call of the product is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    NonceNotCompared,
    NewestPurged,
    NothingIsNothingNew,
    OwnChangeMovesKnown,
    FullPageGivesLease,
    LeaseFromAnswer,
    ArrivalForgotten,
    LoadBeforeKnown,
    LeaseBeforeFacts,
    FloorForgotten,
    AsOfDropped,
    RowAlone,
    EndWithoutClock,
    EndWithoutKnown,
    EndWithoutSameFacts,
    OwnLeaseOnly,
    AnnouncedLate,
    HangUpEndsTask,
    FailureForgiven,
    AlreadyDoneAtOnce,
    OkUnconfirmed,
    WaitShorter,
}

/// What is searched.
#[derive(Debug, Clone, Copy)]
struct Scope {
    promise: Promise,
    target: Target,
    /// The last tick.
    horizon: u8,
    /// The lease of each replica, in ticks; zero is endless.
    leases: &'static [u8],
    /// The replica that each revoker is a task of; `None`: of one that is not played, of the
    /// lease of the first.
    revokers: &'static [Option<usize>],
    /// What may happen, and how often.
    events: Events,
    /// Whether old changes are purged.
    purge: bool,
    /// Whether facts are dropped that would still be good.
    evicts: bool,
    /// How many rows a page of the tail holds.
    page: usize,
    /// How many marks a replica remembers.
    marks: usize,
    flaws: &'static [Flaw],
}

/// What may happen, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Events {
    /// Somebody changes a role, and does not wait.
    role_changes: u8,
    failovers: u8,
    /// A replica's process ends.
    restarts: u8,
    /// A replica loads everything anew, as it does each hour.
    renewals: u8,
    /// The database does not say whether a revocation was committed.
    broken_commits: u8,
    /// Ticks that each replica's clock loses.
    lost_ticks: u8,
}

impl Scope {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaws.contains(&flaw)
    }

    fn with(self, flaws: &'static [Flaw]) -> Self {
        Self { flaws, ..self }
    }
}

/// One state of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    now: u8,
    database: Database,
    replicas: [Replica; TWO],
    revokers: [Revoker; TWO],
    /// Whether a revocation has answered OK.
    is_ok: bool,
    /// What may still happen.
    left: Events,
}

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    who: Who,
    what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    World,
    Replica(usize),
    Revoker(usize),
}

/// One way on from a state.
#[derive(Debug, Clone, Copy)]
struct Way {
    step: Step,
    world: World,
    is_breach: bool,
}

/// What was reached at all, so that a promise is not kept by nothing happening.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reached {
    /// A check before the OK would have been answered ALLOW.
    allow_before: bool,
    /// A check after the OK was answered DENY.
    deny_after: bool,
    /// A check had to be judged again.
    judged_again: bool,
}

/// All who act.
#[derive(Debug)]
struct Model {
    scope: Scope,
    library: Library,
    /// How many ticks a revoker waits at least.
    least_wait: u8,
    reached: Reached,
    ways: Vec<Way>,
}

impl Model {
    fn new(scope: Scope) -> Self {
        let library = Library::new(scope);
        let at_once = scope.has(Flaw::AlreadyDoneAtOnce);
        let least_wait = if at_once { 0 } else { scope.wait(0, 0) };
        Self { scope, library, least_wait, reached: Reached::default(), ways: Vec::new() }
    }

    /// Where everything begins: no replica runs, nothing is revoked.
    fn start(&self) -> World {
        let announced = if self.scope.leases.len() > 1 { self.scope.leases[0] } else { 0 };
        World {
            now: 0,
            database: Database::new(announced),
            replicas: [Replica::DOWN; TWO],
            revokers: [Revoker::Idle; TWO],
            is_ok: false,
            left: self.scope.events,
        }
    }

    /// All that may happen next.
    fn ways(&mut self, world: &World) -> Vec<Way> {
        self.pass_time(world);
        self.change_database(world);
        let last = self.scope.leases.len() - 1;
        for replica in 0..=last {
            self.keep_up(world, replica);
        }
        self.read_facts(world, last);
        self.check(world, last);
        for revoker in 0..self.scope.revokers.len() {
            self.revoke(world, revoker);
        }
        std::mem::take(&mut self.ways)
    }

    /// Notes a way on, unless nothing that matters can come of it any more.
    fn go(&mut self, who: Who, what: &'static str, mut world: World) {
        if self.is_hopeless(&world) {
            return;
        }
        for replica in 0..self.scope.leases.len() {
            self.let_lapse(&mut world, replica);
        }
        self.ways.push(Way { step: Step { who, what }, world, is_breach: false });
    }

    /// Whether no revocation can answer OK within the horizon: then no check is asked of.
    fn is_hopeless(&self, world: &World) -> bool {
        let time = (world.now, self.scope.horizon);
        let mut revokers = world.revokers.iter().take(self.scope.revokers.len());
        match self.scope.promise {
            Promise::Strict | Promise::Whole => {
                !world.is_ok && !revokers.any(|revoker| revoker.may_answer(time, self.least_wait))
            }
            Promise::Heard => false,
        }
    }

    /// A tick passes. Any replica's clock may miss it.
    fn pass_time(&mut self, world: &World) {
        if world.now == self.scope.horizon {
            return;
        }
        for missing in 0..1_usize << self.scope.leases.len() {
            let mut next = World { now: world.now + 1, ..*world };
            let misses = |replica: usize| missing & (1 << replica) != 0;
            for (n, replica) in next.replicas.iter_mut().enumerate() {
                replica.ticks_lost += u8::from(misses(n));
            }
            let most = self.scope.events.lost_ticks;
            if next.replicas.iter().all(|replica| replica.ticks_lost <= most) {
                let what = if missing == 0 { "a tick passes" } else { "a tick passes unseen" };
                self.go(Who::World, what, next);
            }
        }
    }

    fn change_database(&mut self, world: &World) {
        let after_ok = self.scope.promise == Promise::Whole;
        if world.left.role_changes > 0 && (world.is_ok || !after_ok) {
            let mut next = *world;
            next.left.role_changes -= 1;
            let row = next.database.commit(database::About::Role);
            if self.scope.has(Flaw::OwnChangeMovesKnown) {
                self.hear_own(&mut next.replicas[0], row);
            }
            self.go(Who::World, "somebody changes a role", next);
        }
        let spared = usize::from(!self.scope.has(Flaw::NewestPurged));
        if self.scope.purge && world.database.has_more_than(spared) {
            let mut next = *world;
            next.database.purge();
            self.go(Who::World, "the oldest change is purged", next);
        }
        if world.left.failovers > 0 && world.database.may_lose() {
            let mut next = *world;
            next.left.failovers -= 1;
            next.database.fail_over();
            self.go(Who::World, "a failover loses the newest change", next);
        }
    }
}
