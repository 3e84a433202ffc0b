//! A revocation: commit, a sync, the wait, asking once more. It may end on the way, and another
//! may find it done.

use super::database::{About, Row};
use super::library::{Call, terms};
use super::tail::Sync;
use super::{Flaw, Model, Scope, TICK, Who, World, lease};
use crate::domain::store::Terms;

/// Where a revocation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Revoker {
    Idle,
    /// The database has answered, or not.
    Answered(Left),
    /// It has the turn at the tail of its replica, which may have told the longest lease.
    Syncing {
        at: u8,
        left: Left,
        longest_lease: u8,
    },
    /// It waits until then, and then asks once more.
    Waiting {
        left: Left,
        until: u8,
    },
    /// It has answered, or died.
    Over,
}

/// What a revocation left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Left {
    /// This change is committed.
    Change(Row),
    /// There was nothing to do: this change or one before it did it.
    AlreadyDone(Row),
    /// Nobody knows, and the facts are believed.
    Unsure,
    /// Nobody knows, and nothing is believed.
    UnsureAndSuspended,
}

impl Revoker {
    /// Whether it may still answer OK by this tick, where it waits so long at least.
    pub(super) fn may_answer(self, (now, horizon): (u8, u8), least_wait: u8) -> bool {
        match self {
            Self::Idle | Self::Answered(_) | Self::Syncing { .. } => now + least_wait <= horizon,
            Self::Waiting { until, .. } => until <= horizon,
            Self::Over => false,
        }
    }

    /// Whether anything that it committed may still be unheard of for its sake.
    pub(super) fn is_under_way(self) -> bool {
        match self {
            Self::Idle | Self::Over => false,
            Self::Answered(_) | Self::Syncing { .. } | Self::Waiting { .. } => true,
        }
    }

    /// Takes the longest lease from a page that its own sync has read.
    pub(super) fn read_terms(&mut self, replica: u8, longest: u8) {
        if let Self::Syncing { at, longest_lease, .. } = self
            && *at == replica
        {
            *longest_lease = longest;
        }
    }

    /// Ends with the process that it is a task of.
    pub(super) fn end_with(&mut self) {
        if self.is_under_way() {
            *self = Self::Over;
        }
    }
}

impl Scope {
    /// How many ticks a revoker waits, by its own lease and the longest that was announced.
    pub(super) fn wait(&self, at: usize, longest_lease: u8) -> u8 {
        let own_only = self.has(Flaw::OwnLeaseOnly);
        let terms = if own_only { Terms::default() } else { terms(longest_lease) };
        let time = lease(self.leases[at]).wait(terms);
        let ticks = u8::try_from(time.as_micros().div_ceil(TICK.as_micros())).unwrap();
        ticks - u8::from(self.has(Flaw::WaitShorter))
    }
}

impl Model {
    pub(super) fn revoke(&mut self, world: &World, v: usize) {
        let who = Who::Revoker(v);
        let home = self.scope.revokers[v];
        // A task of a process that does not run does not begin.
        if home.is_some_and(|at| world.replicas[at].facts.is_none()) {
            return;
        }
        match (world.revokers[v], home) {
            (Revoker::Idle, _) => self.mutate(world, v),
            (Revoker::Answered(Left::Unsure), Some(at)) => {
                let mut next = *world;
                next.revokers[v] = Revoker::Answered(Left::UnsureAndSuspended);
                self.call(&mut next.replicas[at], false, Call::Suspend);
                self.go(who, "ends the lease, for it is not sure", next);
            }
            (Revoker::Answered(left), Some(at)) => self.sync_at_home(world, v, (left, at)),
            (Revoker::Answered(left), None) => {
                let mut next = *world;
                let longest = world.database.changes_from(1, self.scope.page).longest_lease;
                next.revokers[v] = self.wait(world, (left, 0), longest);
                self.go(who, "reads the terms, and begins to wait", next);
                self.end(world, v, "dies");
            }
            (Revoker::Waiting { left, until }, _) => {
                if world.now >= until {
                    self.ask_once_more(world, v, left);
                }
                if home.is_none() {
                    self.end(world, v, "dies");
                }
            }
            (Revoker::Syncing { .. } | Revoker::Over, _) => {}
        }
    }

    fn sync_at_home(&mut self, world: &World, v: usize, (left, at): (Left, usize)) {
        if world.replicas[at].sync == Sync::Idle {
            let mut next = *world;
            self.begin_sync(&mut next, at);
            let at = u8::try_from(at).unwrap();
            next.revokers[v] = Revoker::Syncing { at, left, longest_lease: 0 };
            self.go(Who::Revoker(v), "begins a sync of its replica: reads its clock", next);
        }
        if self.scope.has(Flaw::HangUpEndsTask) {
            self.end(world, v, "ends with the caller who hung up");
        }
    }

    fn end(&mut self, world: &World, v: usize, what: &'static str) {
        let mut next = *world;
        next.revokers[v] = Revoker::Over;
        self.go(Who::Revoker(v), what, next);
    }

    fn mutate(&mut self, world: &World, v: usize) {
        let mut next = *world;
        if world.database.is_revoked {
            next.revokers[v] = Revoker::Answered(Left::AlreadyDone(world.database.head()));
            if self.scope.has(Flaw::AlreadyDoneAtOnce) {
                next.revokers[v] = Revoker::Over;
                next.is_ok = true;
            }
            self.go(Who::Revoker(v), "finds it done already", next);
        } else {
            let row = next.database.commit(About::Target);
            next.revokers[v] = Revoker::Answered(Left::Change(row));
            self.go(Who::Revoker(v), "commits", next);
        }
        if world.left.broken_commits > 0 {
            let mut next = *world;
            next.left.broken_commits -= 1;
            next.revokers[v] = Revoker::Answered(Left::Unsure);
            self.go(Who::Revoker(v), "does not commit, and does not know", next);
            if !world.database.is_revoked {
                next.database.commit(About::Target);
                self.go(Who::Revoker(v), "commits, and does not know", next);
            }
        }
    }

    fn wait(&self, world: &World, (left, at): (Left, u8), longest_lease: u8) -> Revoker {
        let ticks = self.scope.wait(usize::from(at), longest_lease);
        Revoker::Waiting { left, until: world.now + ticks }
    }

    fn ask_once_more(&mut self, world: &World, v: usize, left: Left) {
        let who = Who::Revoker(v);
        let mut next = *world;
        let home = self.scope.revokers[v];
        next.revokers[v] = Revoker::Over;
        // Who is alone has no failover.
        let is_alone = home.is_some_and(|at| self.scope.leases[at] == 0);
        match left {
            Left::Change(row) | Left::AlreadyDone(row) => {
                let unasked = is_alone || self.scope.has(Flaw::OkUnconfirmed);
                next.is_ok |= unasked || next.database.confirm(row);
                self.go(who, if next.is_ok { "answers OK" } else { "finds it lost" }, next);
            }
            Left::Unsure | Left::UnsureAndSuspended => panic!("it does not wait"),
        }
    }

    /// Lets a revoker whose sync has ended go on.
    pub(super) fn hear_of_sync(&mut self, next: &mut World, n: usize) {
        for v in 0..next.revokers.len() {
            match next.revokers[v] {
                Revoker::Syncing { at, left: Left::UnsureAndSuspended, .. }
                    if usize::from(at) == n =>
                {
                    next.revokers[v] = Revoker::Over;
                }
                Revoker::Syncing { at, left, longest_lease } if usize::from(at) == n => {
                    if let Left::Change(row) = left {
                        let facts = next.replicas[n].held(false);
                        if self.library.known_mark(facts).0 < row.seq {
                            self.call(&mut next.replicas[n], false, Call::Suspend);
                        }
                    }
                    next.revokers[v] = self.wait(next, (left, at), longest_lease);
                }
                Revoker::Idle
                | Revoker::Answered(_)
                | Revoker::Syncing { .. }
                | Revoker::Waiting { .. }
                | Revoker::Over => {}
            }
        }
    }

    /// Lets a revoker whose sync has failed end, without an OK.
    pub(super) fn hear_of_failure(&mut self, next: &mut World, n: usize) {
        for v in 0..next.revokers.len() {
            match next.revokers[v] {
                Revoker::Syncing { at, left, .. } if usize::from(at) == n => {
                    next.revokers[v] = Revoker::Over;
                    match left {
                        Left::AlreadyDone(_) => {}
                        Left::Change(_) | Left::Unsure | Left::UnsureAndSuspended => {
                            if !self.scope.has(Flaw::FailureForgiven) {
                                self.call(&mut next.replicas[n], false, Call::Suspend);
                            }
                        }
                    }
                }
                Revoker::Idle
                | Revoker::Answered(_)
                | Revoker::Syncing { .. }
                | Revoker::Waiting { .. }
                | Revoker::Over => {}
            }
        }
    }
}
