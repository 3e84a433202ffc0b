//! A replica: how it starts, reads the tail, takes its lease, loads anew and dies.

use std::time::Duration;

use super::database::{About, Page, Row, Rows};
use super::library::{Answer, Call, Shelved};
use super::{Check, Flaw, Load, Model, Who, World, instant};
use crate::domain::facts::Caught;

/// A replica's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    /// How many ticks its clock has lost.
    pub(super) ticks_lost: u8,
    /// What it goes by; `None`: it has not loaded yet.
    pub(super) facts: Option<Shelved>,
    /// What it went by before, where a check or a read still does.
    pub(super) replaced: Option<Shelved>,
    /// Who has the turn at the tail.
    pub(super) sync: Sync,
    /// Who has the turn at reading the target, and the role.
    pub(super) loads: [Load; 2],
    /// One check.
    pub(super) check: Check,
}

/// Where the tail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sync {
    /// The process does not run.
    Down,
    /// Nobody has the turn.
    Idle,
    /// The clock was read, and how often the lease was ended; the database is asked.
    Asked { began: u8, suspensions: u8 },
    /// It has answered.
    Answered { began: u8, suspensions: u8, page: Page },
    /// The page was taken in. No lease was taken yet.
    TakenIn { began: u8, suspensions: u8 },
    /// Everything is loaded, the head first. A start takes no lease from it.
    Loading { began: Option<u8>, head: Option<Row>, is_revoked: Option<bool> },
    /// Only by a flaw: the old facts have the new lease.
    Leased { began: u8, head: Row, is_revoked: bool },
}

impl Replica {
    pub(super) const DOWN: Self = Self {
        ticks_lost: 0,
        facts: None,
        replaced: None,
        sync: Sync::Down,
        loads: [Load::Idle; 2],
        check: Check::Away,
    };

    /// The facts that somebody goes by.
    pub(super) fn held(&self, is_replaced: bool) -> Shelved {
        if is_replaced { self.replaced } else { self.facts }.unwrap()
    }

    fn hold(&mut self, is_replaced: bool, facts: Shelved) {
        *(if is_replaced { &mut self.replaced } else { &mut self.facts }) = Some(facts);
    }

    /// Lets go of replaced facts that nobody goes by any more.
    pub(super) fn let_go(&mut self) {
        let used = self.check.goes_by(true) || self.loads.iter().any(|load| load.goes_by(true));
        if !used {
            self.replaced = None;
        }
    }

    /// Puts new facts, their lease with them, in the place of the old. `false`: the bound forbids
    /// it.
    fn swap(&mut self, facts: Shelved) -> bool {
        if self.replaced.is_some() {
            return false;
        }
        self.replaced = self.facts.replace(facts);
        self.check = self.check.replaced();
        self.loads = self.loads.map(Load::replaced);
        self.let_go();
        true
    }
}

impl Sync {
    /// The same, where a lease from a read that began before `earliest` would be over for all who
    /// may ask.
    fn forget_before(&mut self, earliest: u8) {
        match self {
            Self::Asked { began, .. }
            | Self::Answered { began, .. }
            | Self::TakenIn { began, .. }
            | Self::Loading { began: Some(began), .. }
            | Self::Leased { began, .. } => *began = earliest.max(*began),
            Self::Down | Self::Idle | Self::Loading { began: None, .. } => {}
        }
    }
}

impl Model {
    /// Makes one of states in which the same can happen: when a lease was that is over for all who
    /// may still ask does not matter.
    pub(super) fn let_lapse(&mut self, world: &mut World, n: usize) {
        let (lease, clock) = (self.scope.leases[n], Self::clock(world, n));
        if lease == 0 {
            return;
        }
        let replica = &mut world.replicas[n];
        let asked = replica.check.clock().unwrap_or(clock);
        for shelved in [&mut replica.facts, &mut replica.replaced].into_iter().flatten() {
            let facts = self.library.facts(*shelved);
            let is_over = !facts.lease_holds(instant(asked));
            if is_over && facts.lease_left(instant(0)) != Some(Duration::ZERO) {
                *shelved = self.library.call(*shelved, Call::Lapse).0;
            }
        }
        replica.sync.forget_before(asked.saturating_sub(lease));
    }

    pub(super) fn clock(world: &World, n: usize) -> u8 {
        world.now - world.replicas[n].ticks_lost
    }

    /// Calls the facts of a replica.
    pub(super) fn call(&mut self, replica: &mut Replica, is_replaced: bool, call: Call) -> Answer {
        let (after, answer) = self.library.call(replica.held(is_replaced), call);
        replica.hold(is_replaced, after);
        answer
    }

    pub(super) fn keep_up(&mut self, world: &World, n: usize) {
        let who = Who::Replica(n);
        match world.replicas[n].sync {
            Sync::Down => {
                let mut next = *world;
                if !self.scope.has(Flaw::AnnouncedLate) {
                    next.database.announce(self.scope.leases[n]);
                }
                let start = Sync::Loading { began: None, head: None, is_revoked: None };
                next.replicas[n].sync = start;
                self.go(who, "starts, and announces its lease", next);
            }
            Sync::Idle => {
                let mut next = *world;
                self.begin_sync(&mut next, n);
                self.go(who, "begins a sync: reads its clock", next);
                self.renew(world, n);
                if self.scope.has(Flaw::AnnouncedLate) {
                    let mut next = *world;
                    next.database.announce(self.scope.leases[n]);
                    self.go(who, "announces its lease at last", next);
                }
            }
            Sync::Asked { began, suspensions } => {
                let replica = &world.replicas[n];
                let (known, nonce) = self.library.known_mark(replica.held(false));
                let mut page = world.database.changes_from(known, self.scope.page);
                self.falsify(&mut page, (known, nonce));
                let mut next = *world;
                next.replicas[n].sync = Sync::Answered { began, suspensions, page };
                self.go(who, "has the tail read by the database", next);
                self.fail_sync(world, n);
            }
            Sync::Answered { began, suspensions, page } => {
                self.take_in(world, n, (began, suspensions, page));
            }
            Sync::TakenIn { began, suspensions } => {
                let mut next = *world;
                let call = Call::TakeLease { lease: self.scope.leases[n], began, suspensions };
                self.call(&mut next.replicas[n], false, call);
                self.end_sync(&mut next, n);
                self.go(who, "takes the lease", next);
            }
            Sync::Loading { .. } | Sync::Leased { .. } => self.load(world, n),
        }
        self.restart(world, n);
    }

    /// Takes the turn at the tail.
    pub(super) fn begin_sync(&mut self, next: &mut World, n: usize) {
        let suspensions = self.library.suspensions(next.replicas[n].held(false));
        next.replicas[n].sync = Sync::Asked { began: Self::clock(next, n), suspensions };
    }

    /// What the flaws make of a page.
    fn falsify(&self, page: &mut Page, (known, nonce): (u8, u8)) {
        let is_empty = page.rows.as_slice().is_empty();
        let begins = page.rows.as_slice().first().is_some_and(|row| row.seq == known);
        if begins && self.scope.has(Flaw::NonceNotCompared) {
            page.rows.set_first_nonce(nonce);
        }
        if is_empty && self.scope.has(Flaw::NothingIsNothingNew) {
            page.rows.push(Row { seq: known, nonce, about: About::Nothing });
        }
    }

    fn take_in(&mut self, world: &World, n: usize, (began, suspensions, page): (u8, u8, Page)) {
        let mut next = *world;
        let answer = self.call(&mut next.replicas[n], false, Call::TakeIn(page));
        if self.scope.has(Flaw::FloorForgotten) {
            self.call(&mut next.replicas[n], false, Call::DropFloor);
        }
        let Answer::Caught(caught) = answer else { panic!("a page was taken in") };
        for revoker in &mut next.revokers {
            revoker.read_terms(u8::try_from(n).unwrap(), page.longest_lease);
        }
        let from_answer = self.scope.has(Flaw::LeaseFromAnswer);
        let began = if from_answer { Self::clock(world, n) } else { began };
        let taken = Sync::TakenIn { began, suspensions };
        let what = match caught {
            Caught::Up => {
                next.replicas[n].sync = taken;
                "takes the page in"
            }
            Caught::Behind if self.scope.has(Flaw::FullPageGivesLease) => {
                next.replicas[n].sync = taken;
                "takes the full page in as if it were the last"
            }
            Caught::Behind => {
                self.begin_sync(&mut next, n);
                "takes the full page in, and asks on"
            }
            Caught::Lost => {
                let load = Sync::Loading { began: Some(began), head: None, is_revoked: None };
                next.replicas[n].sync = load;
                "finds no place for itself in the page"
            }
        };
        self.go(Who::Replica(n), what, next);
    }

    /// Loads everything anew for no reason.
    fn renew(&mut self, world: &World, n: usize) {
        if world.left.renewals > 0 {
            let mut next = *world;
            next.left.renewals -= 1;
            let began = Some(Self::clock(world, n));
            next.replicas[n].sync = Sync::Loading { began, head: None, is_revoked: None };
            self.go(Who::Replica(n), "begins to load everything anew", next);
        }
    }

    fn load(&mut self, world: &World, n: usize) {
        let mut next = *world;
        let database = &world.database;
        let (what, sync) = match world.replicas[n].sync {
            Sync::Loading { began, head: Some(head), is_revoked: Some(is_revoked) } => {
                return self.end_load(world, n, (began, head, is_revoked));
            }
            Sync::Leased { began: _, head, is_revoked } => {
                let facts = self.library.load(head, is_revoked);
                if next.replicas[n].swap(facts) {
                    self.end_sync(&mut next, n);
                    self.go(Who::Replica(n), "gets the new facts", next);
                }
                return;
            }
            Sync::Loading { began, head: None, is_revoked: None }
                if self.scope.has(Flaw::LoadBeforeKnown) =>
            {
                let is_revoked = Some(database.is_revoked);
                ("loads the revocations first", Sync::Loading { began, head: None, is_revoked })
            }
            Sync::Loading { began, head: None, is_revoked } => {
                let head = Some(database.head());
                ("reads the newest change", Sync::Loading { began, head, is_revoked })
            }
            Sync::Loading { began, head, is_revoked: None } => {
                let is_revoked = Some(database.is_revoked);
                ("loads the revocations", Sync::Loading { began, head, is_revoked })
            }
            Sync::Down
            | Sync::Idle
            | Sync::Asked { .. }
            | Sync::Answered { .. }
            | Sync::TakenIn { .. } => panic!("it does not load"),
        };
        next.replicas[n].sync = sync;
        self.go(Who::Replica(n), what, next);
        if world.replicas[n].facts.is_some() {
            self.fail_sync(world, n);
        }
    }

    fn end_load(
        &mut self,
        world: &World,
        n: usize,
        (began, head, revoked): (Option<u8>, Row, bool),
    ) {
        let mut next = *world;
        let lease = self.scope.leases[n];
        if let (Some(began), true) = (began, self.scope.has(Flaw::LeaseBeforeFacts)) {
            let suspensions = self.library.suspensions(world.replicas[n].held(false));
            let call = Call::TakeLease { lease, began, suspensions };
            self.call(&mut next.replicas[n], false, call);
            next.replicas[n].sync = Sync::Leased { began, head, is_revoked: revoked };
            return self.go(Who::Replica(n), "gets the new lease", next);
        }
        let mut facts = self.library.load(head, revoked);
        if let Some(began) = began {
            let suspensions = self.library.suspensions(facts);
            let call = Call::TakeLease { lease, began, suspensions };
            facts = self.library.call(facts, call).0;
        }
        if next.replicas[n].swap(facts) {
            self.end_sync(&mut next, n);
            self.go(Who::Replica(n), "swaps in what it loaded", next);
        }
    }

    /// Gives the turn back. A revoker or a check that waited for it goes on.
    fn end_sync(&mut self, next: &mut World, n: usize) {
        next.replicas[n].sync = Sync::Idle;
        if self.scope.has(Flaw::ArrivalForgotten) {
            let check = &mut next.replicas[n].check;
            if matches!(check, Check::Arrived { .. }) {
                *check = Check::Leased { is_replaced: false };
            }
        }
        self.hear_of_sync(next, n);
    }

    /// The database does not answer.
    fn fail_sync(&mut self, world: &World, n: usize) {
        let mut next = *world;
        next.replicas[n].sync = Sync::Idle;
        self.hear_of_failure(&mut next, n);
        self.go(Who::Replica(n), "gets no answer from the database", next);
    }

    fn restart(&mut self, world: &World, n: usize) {
        if world.left.restarts > 0 && world.replicas[n].facts.is_some() {
            let mut next = *world;
            next.left.restarts -= 1;
            let ticks_lost = world.replicas[n].ticks_lost;
            next.replicas[n] = Replica { ticks_lost, ..Replica::DOWN };
            for (v, home) in self.scope.revokers.iter().enumerate() {
                if *home == Some(n) {
                    next.revokers[v].end_with();
                }
            }
            self.go(Who::Replica(n), "dies", next);
        }
    }

    /// Only by a flaw: a change of one's own moves `known`, past others' changes.
    pub(super) fn hear_own(&mut self, replica: &mut Replica, row: Row) {
        if let Some(facts) = replica.facts {
            let (seq, nonce) = self.library.known_mark(facts);
            let mut rows = Rows::NONE;
            rows.push(Row { seq, nonce, about: About::Nothing });
            rows.push(row);
            let page = Page { rows, is_full: false, longest_lease: 0 };
            self.call(replica, false, Call::TakeIn(page));
        }
    }
}
