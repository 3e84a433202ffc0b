//! That the promise breaks where a rule is taken away, so that each rule is there for something and
//! the search would find what breaks it.

use super::promise::{
    ALONE, FAILOVER, LOADED, ONE, PAGES, RETRY, STALLED, TWO_LEASES, WHOLE, WHOLE_ALONE,
};
use super::search::search;
use super::{Flaw, Scope, Target};

/// Searches until the first breach, which there must be.
#[expect(clippy::print_stdout, reason = "how it breaks")]
fn breaks(scope: Scope, flaws: &'static [Flaw]) {
    let found = search(scope.with(flaws));
    let states = found.states;
    println!("{flaws:?}, after {states} states: {:?}", found.breach);
    assert!(found.breach.is_some(), "nothing breaks by {flaws:?}: {found:?}");
}

#[test]
fn a_number_given_twice_hides_a_revocation_where_the_nonce_is_not_compared() {
    breaks(FAILOVER, &[Flaw::NonceNotCompared]);
}

/// With the newest row gone alone, a page has no place for anybody: nobody gets a lease.
#[test]
fn a_purge_hides_a_revocation_where_it_spares_no_row_and_nothing_is_nothing_new() {
    breaks(LOADED, &[Flaw::NewestPurged, Flaw::NothingIsNothingNew]);
}

#[test]
fn a_change_of_ones_own_hides_anothers_where_it_moves_what_is_known() {
    breaks(LOADED, &[Flaw::OwnChangeMovesKnown]);
}

#[test]
fn a_full_page_hides_a_revocation_where_it_gives_a_lease() {
    breaks(PAGES, &[Flaw::FullPageGivesLease]);
}

#[test]
fn a_lease_outlives_the_wait_where_it_counts_from_the_answer() {
    breaks(ONE, &[Flaw::LeaseFromAnswer]);
}

#[test]
fn a_sync_of_before_the_arrival_serves_where_no_clock_is_looked_at_again() {
    breaks(ONE, &[Flaw::ArrivalForgotten, Flaw::EndWithoutClock]);
}

#[test]
fn a_revocation_slips_in_where_everything_is_loaded_before_known_is_read() {
    breaks(LOADED, &[Flaw::LoadBeforeKnown]);
}

#[test]
fn old_facts_are_believed_where_they_get_the_lease_of_the_new() {
    breaks(LOADED, &[Flaw::LeaseBeforeFacts]);
}

#[test]
fn a_stalled_read_brings_a_row_back_where_marks_are_forgotten_without_a_floor() {
    breaks(STALLED, &[Flaw::FloorForgotten]);
}

#[test]
fn a_stalled_read_brings_a_row_back_where_its_beginning_is_forgotten() {
    breaks(ONE, &[Flaw::AsOfDropped]);
}

#[test]
fn a_row_hides_that_its_grant_was_revoked_after_it_where_it_is_asked_alone() {
    breaks(Scope { target: Target::GrantOfRow, ..ONE }, &[Flaw::RowAlone]);
}

#[test]
fn an_old_user_meets_a_new_role_where_the_end_looks_at_no_clock() {
    breaks(WHOLE, &[Flaw::EndWithoutClock]);
}

#[test]
fn an_old_user_meets_a_new_role_where_the_end_looks_not_at_what_is_known() {
    breaks(WHOLE, &[Flaw::EndWithoutKnown]);
}

#[test]
fn an_old_user_meets_a_new_role_where_the_facts_were_replaced_in_between() {
    breaks(WHOLE_ALONE, &[Flaw::EndWithoutSameFacts]);
}

#[test]
fn a_longer_lease_outlives_the_wait_where_a_revoker_goes_by_its_own() {
    breaks(TWO_LEASES, &[Flaw::OwnLeaseOnly]);
}

#[test]
fn a_longer_lease_outlives_the_wait_where_it_is_announced_after_it_was_taken() {
    breaks(TWO_LEASES, &[Flaw::AnnouncedLate]);
}

#[test]
fn nobody_hears_of_a_commit_where_the_callers_hanging_up_ends_the_task() {
    breaks(ALONE, &[Flaw::HangUpEndsTask]);
}

#[test]
fn nobody_hears_of_a_commit_where_a_failed_sync_leaves_the_lease() {
    breaks(ALONE, &[Flaw::FailureForgiven]);
}

#[test]
fn a_retry_answers_too_soon_where_it_does_not_wait_for_what_is_done_already() {
    breaks(RETRY, &[Flaw::AlreadyDoneAtOnce]);
}

#[test]
fn a_failover_takes_a_revocation_back_where_nobody_asks_once_more() {
    breaks(FAILOVER, &[Flaw::OkUnconfirmed]);
}

#[test]
fn a_lease_outlives_a_wait_that_is_one_tick_shorter() {
    breaks(ONE, &[Flaw::WaitShorter]);
}
