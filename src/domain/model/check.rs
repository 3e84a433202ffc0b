//! A check, and the reads of the facts that it misses.

use super::database::About;
use super::library::{Answer, Call, Shelved};
use super::tail::{Replica, Sync};
use super::{Flaw, Model, Promise, Who, World, instant};
use crate::domain::store::Seq;

/// A check that matters: where only those that begin after the revocation do, no other is played,
/// for a check changes nothing but by its reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Check {
    /// There is none.
    Away,
    /// It has arrived, and then read the clock.
    Arrived { arrived: u8 },
    /// The lease of these facts held when it arrived.
    Leased { is_replaced: bool },
    /// It knows by which change it judges.
    Viewing { is_replaced: bool, seq: u8 },
    /// It has read that the user has the role.
    Halfway { is_replaced: bool, seq: u8 },
    /// It will allow.
    Judged { is_replaced: bool, seq: u8 },
    /// It has read the clock once more.
    Ending { is_replaced: bool, seq: u8, clock: u8 },
}

/// The turn at reading one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Load {
    Idle,
    /// What was known is noted.
    Begun {
        is_replaced: bool,
        as_of: u8,
    },
    /// The database has answered; the answer may be long under way.
    Read {
        is_replaced: bool,
        as_of: u8,
        is_changed: bool,
    },
}

impl Check {
    /// The reading of the clock that it asks by.
    pub(super) fn clock(self) -> Option<u8> {
        match self {
            Self::Arrived { arrived: clock } | Self::Ending { clock, .. } => Some(clock),
            Self::Away
            | Self::Leased { .. }
            | Self::Viewing { .. }
            | Self::Halfway { .. }
            | Self::Judged { .. } => None,
        }
    }

    /// Whether it goes by the present facts, or by those that were replaced.
    pub(super) fn goes_by(self, replaced: bool) -> bool {
        match self {
            Self::Away | Self::Arrived { .. } => false,
            Self::Leased { is_replaced }
            | Self::Viewing { is_replaced, .. }
            | Self::Halfway { is_replaced, .. }
            | Self::Judged { is_replaced, .. }
            | Self::Ending { is_replaced, .. } => is_replaced == replaced,
        }
    }

    /// The same, after its facts were replaced.
    pub(super) fn replaced(mut self) -> Self {
        match &mut self {
            Self::Away | Self::Arrived { .. } => {}
            Self::Leased { is_replaced }
            | Self::Viewing { is_replaced, .. }
            | Self::Halfway { is_replaced, .. }
            | Self::Judged { is_replaced, .. }
            | Self::Ending { is_replaced, .. } => *is_replaced = true,
        }
        self
    }
}

impl Load {
    /// Whether it is for the present facts, or for those that were replaced.
    pub(super) fn goes_by(self, replaced: bool) -> bool {
        match self {
            Self::Idle => false,
            Self::Begun { is_replaced, .. } | Self::Read { is_replaced, .. } => {
                is_replaced == replaced
            }
        }
    }

    /// The same, after its facts were replaced.
    pub(super) fn replaced(mut self) -> Self {
        match &mut self {
            Self::Idle => {}
            Self::Begun { is_replaced, .. } | Self::Read { is_replaced, .. } => *is_replaced = true,
        }
        self
    }
}

impl Model {
    /// The facts that are read in this scope: by their place among the turns.
    fn read_here(&self) -> &'static [(usize, About)] {
        match (self.scope.promise, self.scope.target.is_read()) {
            (Promise::Whole, _) => &[(0, About::Target), (1, About::Role)],
            (Promise::Strict | Promise::Heard, true) => &[(0, About::Target)],
            (Promise::Strict | Promise::Heard, false) => &[],
        }
    }

    /// Reads of facts that some check missed, and what drops facts.
    pub(super) fn read_facts(&mut self, world: &World, n: usize) {
        let replica = &world.replicas[n];
        if replica.facts.is_none() {
            return;
        }
        for (turn, about) in self.read_here().iter().copied() {
            match replica.loads[turn] {
                Load::Idle => {
                    self.begin_read(world, n, (turn, about, false));
                    if replica.replaced.is_some() {
                        self.begin_read(world, n, (turn, about, true));
                    }
                }
                Load::Begun { is_replaced, as_of } => {
                    let mut next = *world;
                    let is_changed = match about {
                        About::Role => world.database.is_role_changed,
                        About::Target | About::Nothing => world.database.is_revoked,
                    };
                    next.replicas[n].loads[turn] = Load::Read { is_replaced, as_of, is_changed };
                    self.go(Who::Replica(n), "has a fact read by the database", next);
                }
                Load::Read { is_replaced, as_of, is_changed } => {
                    let mut next = *world;
                    let dropped = self.scope.has(Flaw::AsOfDropped);
                    let as_of = if dropped { self.known(replica.held(is_replaced)) } else { as_of };
                    let replica = &mut next.replicas[n];
                    let call = Call::Keep { about, is_changed, as_of };
                    let Answer::Kept(_) = self.call(replica, is_replaced, call) else {
                        panic!("a fact was kept")
                    };
                    replica.loads[turn] = Load::Idle;
                    replica.let_go();
                    self.go(Who::Replica(n), "is told the fact, and may keep it", next);
                }
            }
        }
    }

    fn begin_read(&mut self, world: &World, n: usize, (turn, about, old): (usize, About, bool)) {
        let facts = world.replicas[n].held(old);
        let mut next = *world;
        if self.library.find(facts, about).is_none() {
            let as_of = self.known(facts);
            next.replicas[n].loads[turn] = Load::Begun { is_replaced: old, as_of };
            self.go(Who::Replica(n), "misses a fact, and notes what is known", next);
        } else if !old && self.scope.evicts {
            self.call(&mut next.replicas[n], false, Call::Evict(about));
            self.go(Who::Replica(n), "drops a fact, for it is full", next);
        }
    }

    fn known(&self, facts: Shelved) -> u8 {
        self.library.known_mark(facts).0
    }

    /// Whether a check that begins now is one that matters.
    fn matters(&self, world: &World) -> bool {
        match self.scope.promise {
            Promise::Strict => world.is_ok,
            Promise::Heard => {
                let ended = world.revokers.iter().all(|revoker| !revoker.is_under_way());
                world.is_ok || (world.database.is_revoked && ended)
            }
            Promise::Whole => true,
        }
    }

    /// The steps of a check.
    pub(super) fn check(&mut self, world: &World, n: usize) {
        let replica = &world.replicas[n];
        self.look_before(world, n);
        let clock = Self::clock(world, n);
        match replica.check {
            // A process that has no lease yet does not serve.
            Check::Away if replica.sync == Sync::Down || replica.facts.is_none() => {}
            Check::Away => {
                if self.matters(world) {
                    let arrived = Check::Arrived { arrived: clock };
                    self.go_checking(
                        world,
                        n,
                        arrived,
                        "lets a check arrive, which reads the clock",
                    );
                }
            }
            Check::Arrived { arrived } => {
                if self.library.facts(replica.held(false)).lease_holds(instant(arrived)) {
                    let leased = Check::Leased { is_replaced: false };
                    self.go_checking(world, n, leased, "finds that its lease holds for the check");
                }
            }
            Check::Leased { is_replaced } => {
                let seq = self.known(replica.held(is_replaced));
                let viewing = Check::Viewing { is_replaced, seq };
                self.go_checking(world, n, viewing, "notes what is known for the check");
            }
            Check::Viewing { is_replaced, seq } => self.judge(world, n, (is_replaced, seq)),
            Check::Halfway { is_replaced, seq } => self.judge_role(world, n, (is_replaced, seq)),
            Check::Judged { is_replaced, seq } => {
                let ending = Check::Ending { is_replaced, seq, clock };
                self.go_checking(world, n, ending, "reads the clock at the end of the check");
            }
            Check::Ending { is_replaced, seq, clock } => {
                self.end_check(world, n, (is_replaced, seq, clock));
            }
        }
    }

    fn judge(&mut self, world: &World, n: usize, (is_replaced, seq): (bool, u8)) {
        let allows = match self.scope.promise {
            Promise::Strict | Promise::Heard => Check::Judged { is_replaced, seq },
            Promise::Whole => Check::Halfway { is_replaced, seq },
        };
        match self.library.find(world.replicas[n].held(is_replaced), About::Target) {
            // Until some check's read has brought it.
            None => {}
            Some(true) => self.deny(world, n),
            Some(false) => self.go_checking(world, n, allows, "finds nothing revoked"),
        }
    }

    fn judge_role(&mut self, world: &World, n: usize, (is_replaced, seq): (bool, u8)) {
        match self.library.find(world.replicas[n].held(is_replaced), About::Role) {
            None => {}
            Some(false) => self.deny(world, n),
            Some(true) => {
                let judged = Check::Judged { is_replaced, seq };
                self.go_checking(world, n, judged, "finds that the role grants it");
            }
        }
    }

    fn go_checking(&mut self, world: &World, n: usize, check: Check, what: &'static str) {
        let mut next = *world;
        next.replicas[n].check = check;
        next.replicas[n].let_go();
        self.go(Who::Replica(n), what, next);
    }

    fn deny(&mut self, world: &World, n: usize) {
        self.reached.deny_after |= world.is_ok;
        self.go_checking(world, n, Check::Away, "answers DENY");
    }

    fn end_check(&mut self, world: &World, n: usize, (is_old, seq, clock): (bool, u8, u8)) {
        let facts = self.library.facts(world.replicas[n].held(is_old));
        let (clock, since) = (instant(clock), Seq(seq.into()));
        let holds =
            match (self.scope.has(Flaw::EndWithoutClock), self.scope.has(Flaw::EndWithoutKnown)) {
                (false, false) => facts.still_hold(since, clock),
                (true, false) => facts.known() == since,
                (false, true) => facts.lease_holds(clock),
                (true, true) => true,
            };
        let is_same = !is_old || self.scope.has(Flaw::EndWithoutSameFacts);
        if holds && is_same {
            self.go_checking(world, n, Check::Away, "answers ALLOW");
            self.ways.last_mut().unwrap().is_breach = true;
        } else {
            self.reached.judged_again = true;
            let arrived = Check::Arrived { arrived: Self::clock(world, n) };
            self.go_checking(world, n, arrived, "judges the check again, and reads the clock");
        }
    }

    /// Notes whether a check that passed in one moment here would be answered ALLOW.
    fn look_before(&mut self, world: &World, n: usize) {
        if self.reached.allow_before || world.database.is_revoked {
            return;
        }
        if let Replica { facts: Some(facts), .. } = world.replicas[n] {
            let now = instant(Self::clock(world, n));
            let seq = self.library.facts(facts).known();
            let allows = self.library.find(facts, About::Target) == Some(false);
            self.reached.allow_before = allows && self.library.facts(facts).still_hold(seq, now);
        }
    }
}
