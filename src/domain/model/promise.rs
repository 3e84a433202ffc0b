//! That the promise holds, scope by scope, and that something happens in each.
//!
//! Each is searched through to its end. The states of each (without those that `let_lapse` and
//! `is_hopeless` spare), by which a debug build takes about 20 µs a state:
//!
//! | scope | states |
//! |---|---|
//! | one replica, for a token or a user (a `jti` or a grant: a fifth) | 19,000 |
//! | `STALLED` | 63,000 |
//! | `LOADED` | 195,000 |
//! | `FAILOVER` | 147,000 |
//! | `FAILOVER_OF_ROWS` | 137,000 |
//! | `RETRY` | 60,000 |
//! | `RETRY_AND_FAILOVER` | 63,000 |
//! | `RETRY_OF_ROWS` | 112,000 |
//! | `PAGES` | 163,000 |
//! | `TWO_LEASES` | 62,000 |
//! | `WHOLE` | 104,000 |
//! | `WHOLE_ALONE` | 233,000 |
//! | `ALONE` | 17,000 |
//! | `ALONE_WITH_ROWS` | 8,000 |

use super::search::search;
use super::{Events, Flaw, Promise, Scope, Target};

const NOTHING: Events = Events {
    role_changes: 0,
    failovers: 0,
    restarts: 0,
    renewals: 0,
    broken_commits: 0,
    lost_ticks: 0,
};

/// One replica of a lease of two ticks, whose clock loses one; a revoker elsewhere, which waits
/// three.
pub(super) const ONE: Scope = Scope {
    promise: Promise::Strict,
    target: Target::Token,
    horizon: 5,
    leases: &[2],
    revokers: &[None],
    events: Events { lost_ticks: 1, ..NOTHING },
    purge: false,
    evicts: true,
    page: 512,
    marks: 100,
    flaws: &[],
};

/// A row that is read, and kept while other changes push its mark out.
pub(super) const STALLED: Scope = Scope {
    horizon: 4,
    events: Events { role_changes: 1, restarts: 1, ..NOTHING },
    marks: 1,
    ..ONE
};

/// Revocations that are all loaded: at starts, restarts, and each hour.
pub(super) const LOADED: Scope = Scope {
    horizon: 4,
    target: Target::Jti,
    events: Events { role_changes: 1, restarts: 1, renewals: 1, lost_ticks: 1, ..NOTHING },
    purge: true,
    ..ONE
};

/// A failover that gives a number twice.
pub(super) const FAILOVER: Scope = Scope {
    horizon: 4,
    target: Target::Jti,
    events: Events { role_changes: 1, failovers: 1, restarts: 1, lost_ticks: 1, ..NOTHING },
    purge: true,
    ..ONE
};

/// A failover under the reads of a row.
pub(super) const FAILOVER_OF_ROWS: Scope =
    Scope { horizon: 4, events: Events { role_changes: 1, failovers: 1, ..NOTHING }, ..ONE };

/// A revoker that dies on its way, and another.
pub(super) const RETRY: Scope = Scope {
    horizon: 4,
    target: Target::Jti,
    revokers: &[None, None],
    events: Events { restarts: 1, lost_ticks: 1, ..NOTHING },
    ..ONE
};

/// The same, with a failover that may lose what the first has committed.
pub(super) const RETRY_AND_FAILOVER: Scope =
    Scope { events: Events { failovers: 1, ..NOTHING }, ..RETRY };

/// The same, of a row.
pub(super) const RETRY_OF_ROWS: Scope = Scope { target: Target::Token, events: NOTHING, ..RETRY };

/// Pages that hold one new change.
pub(super) const PAGES: Scope = Scope {
    horizon: 4,
    target: Target::Jti,
    events: Events { role_changes: 2, lost_ticks: 1, ..NOTHING },
    page: 2,
    purge: true,
    ..ONE
};

/// Two replicas: the first, of a short lease, revokes and checks; the second, of a longer one,
/// checks.
pub(super) const TWO_LEASES: Scope = Scope {
    target: Target::Jti,
    horizon: 4,
    leases: &[1, 2],
    revokers: &[Some(0)],
    events: Events { lost_ticks: 1, ..NOTHING },
    ..ONE
};

/// The user loses a role, and only then does it grant what is asked for.
pub(super) const WHOLE: Scope = Scope {
    promise: Promise::Whole,
    target: Target::User,
    horizon: 3,
    evicts: false,
    events: Events { role_changes: 1, ..NOTHING },
    ..ONE
};

/// A process that is alone, with its endless lease, and two revocations in it.
pub(super) const ALONE: Scope = Scope {
    promise: Promise::Heard,
    target: Target::Jti,
    horizon: 0,
    leases: &[0],
    revokers: &[Some(0), Some(0)],
    events: Events { restarts: 1, renewals: 1, broken_commits: 1, ..NOTHING },
    ..ONE
};

/// The same, of a row.
pub(super) const ALONE_WITH_ROWS: Scope = Scope {
    target: Target::Token,
    revokers: &[Some(0)],
    events: Events { renewals: 1, broken_commits: 1, ..NOTHING },
    ..ALONE
};

/// A process that is alone; its user loses a role, and only then does it grant what is asked for.
pub(super) const WHOLE_ALONE: Scope = Scope {
    promise: Promise::Whole,
    target: Target::User,
    revokers: &[Some(0)],
    events: Events { role_changes: 1, renewals: 1, ..NOTHING },
    evicts: false,
    ..ALONE
};

/// Searches, and asks that nothing breaks the promise and that all was reached.
#[expect(clippy::print_stdout, reason = "how much was searched")]
fn keeps(scope: Scope) {
    let found = search(scope);
    let (states, facts) = (found.states, found.facts);
    println!("{states} states, {facts} different facts");
    assert!(found.breach.is_none(), "{scope:?}: {found:?}");
    let reached = found.reached;
    assert!(reached.allow_before && reached.deny_after, "{scope:?}: {reached:?}");
    assert_eq!(reached.judged_again, scope.promise == Promise::Whole, "{scope:?}");
}

#[test]
fn allows_nothing_revoked_after_the_ok() {
    for target in [Target::Token, Target::User, Target::Jti, Target::Grant, Target::GrantOfRow] {
        keeps(Scope { target, ..ONE });
    }
}

#[test]
fn throws_away_reads_that_stall_past_a_revocation_and_a_restart() {
    keeps(STALLED);
    keeps(Scope { target: Target::GrantOfRow, ..STALLED });
}

#[test]
fn misses_no_revocation_that_is_committed_while_it_loads() {
    keeps(LOADED);
}

#[test]
fn notices_a_failover_that_gives_a_number_twice() {
    keeps(FAILOVER);
    keeps(FAILOVER_OF_ROWS);
    keeps(Scope { target: Target::GrantOfRow, ..FAILOVER_OF_ROWS });
}

#[test]
fn keeps_the_promise_of_a_retry_whose_first_try_has_died() {
    keeps(RETRY);
    keeps(RETRY_OF_ROWS);
    keeps(RETRY_AND_FAILOVER);
}

#[test]
fn reads_on_after_a_full_page() {
    keeps(PAGES);
}

#[test]
fn waits_for_the_longest_lease_of_all() {
    keeps(TWO_LEASES);
}

#[test]
fn combines_no_old_user_with_a_new_role() {
    keeps(WHOLE);
    keeps(WHOLE_ALONE);
}

#[test]
fn hears_of_all_that_is_committed_where_the_lease_never_ends() {
    keeps(ALONE);
    keeps(ALONE_WITH_ROWS);
    keeps(Scope { target: Target::GrantOfRow, ..ALONE_WITH_ROWS });
}

/// The clock is read when a check arrives and when it ends. For one fact either is enough; the
/// mutants show that none is not.
#[test]
fn needs_one_of_the_two_readings_of_the_clock_for_one_fact() {
    for one in [&[Flaw::ArrivalForgotten], &[Flaw::EndWithoutClock]] {
        let found = search(ONE.with(one));
        assert!(found.breach.is_none(), "{found:?}");
    }
}
