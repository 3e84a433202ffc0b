//! Which facts are believed, and for how long.

use uuid::Uuid;

use super::marks::MOST_MARKS;
use super::*;

const TEN: Lease = Lease::For(Duration::from_secs(10));

const CAPACITY: Capacity = Capacity { tokens: 16, users: 16 };

fn mark(seq: i64) -> Mark {
    Mark { seq: Seq(seq), nonce: seq * 7 }
}

fn facts() -> Facts {
    Facts::new(CAPACITY, mark(1), vec![])
}

fn at(seconds: u64) -> Instant {
    Instant::from_duration(Duration::from_secs(seconds))
}

#[test]
fn throws_away_a_read_that_began_before_a_change() {
    let facts = facts();
    let user = UserId(Uuid::from_u128(1));
    let as_of = facts.known();
    facts.apply(&[(mark(2), Change::User(user))]);
    assert_eq!(facts.keep_user(user, None, as_of), Kept::Stale);
    assert!(facts.users.get(&user).is_none());
    assert_eq!(facts.keep_user(user, None, facts.known()), Kept::Yes);
    assert!(facts.users.get(&user).is_some());
}

#[test]
fn drops_the_fact_that_a_change_is_about_and_no_other() {
    let facts = facts();
    let (one, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    for user in [one, other] {
        assert_eq!(facts.keep_user(user, None, facts.known()), Kept::Yes);
    }
    facts.apply(&[(mark(2), Change::User(one))]);
    assert!(facts.users.get(&one).is_none());
    assert!(facts.users.get(&other).is_some());
    assert_eq!(facts.known_mark(), mark(2));
}

#[test]
fn keeps_the_floor_when_marks_are_forgotten() {
    let facts = facts();
    let user = UserId(Uuid::from_u128(0));
    let as_of = facts.known();
    let changes: Vec<_> = (0..=MOST_MARKS)
        .map(|n| (mark(2 + i64::try_from(n).unwrap()), UserId(Uuid::from_u128(n as u128))))
        .map(|(mark, user)| (mark, Change::User(user)))
        .collect();
    facts.apply(&changes);
    assert_eq!(facts.keep_user(user, None, as_of), Kept::Stale);
    let stranger = UserId(Uuid::from_u128(u128::MAX));
    assert_eq!(facts.keep_user(stranger, None, as_of), Kept::Stale);
    assert_eq!(facts.keep_user(user, None, facts.known()), Kept::Yes);
}

#[test]
fn has_no_lease_before_one_was_given_nor_after_its_end() {
    let facts = facts();
    assert!(!facts.lease_holds(at(1)));
    facts.take_lease(TEN, at(0), facts.suspensions());
    assert!(facts.lease_holds(at(9)));
    assert!(!facts.lease_holds(at(10)));
    facts.take_lease(Lease::Endless, at(0), facts.suspensions());
    assert!(facts.lease_holds(at(1_000_000)));
    facts.suspend();
    assert!(!facts.lease_holds(at(1)));
}

#[test]
fn takes_no_lease_from_a_read_that_began_before_the_last_one_was_ended() {
    let facts = facts();
    let before = facts.suspensions();
    facts.suspend();
    facts.take_lease(Lease::Endless, at(0), before);
    assert!(!facts.lease_holds(at(1)));
    facts.take_lease(Lease::Endless, at(0), facts.suspensions());
    assert!(facts.lease_holds(at(1)));
}

#[test]
fn remembers_revocations_until_a_day_after_the_end() {
    let end = Timestamp::from_micros(1_000_000_000_000);
    let (id, grant) = (TokenId::parse("a").unwrap(), GrantId(Uuid::from_u128(1)));
    let facts = Facts::new(CAPACITY, mark(1), vec![Revocation::Jti(id.clone(), Some(end))]);
    let revoked = GrantChange::Revoked;
    facts.apply(&[(mark(2), Change::Grant { id: grant, until: None, revoked })]);
    facts.forget_ended(end.plus(Duration::from_hours(23)));
    assert!(facts.is_jti_revoked(&id));
    facts.forget_ended(end.plus(Duration::from_hours(25)));
    assert!(!facts.is_jti_revoked(&id));
    assert!(facts.is_grant_revoked(grant));
}

#[test]
fn wants_the_keys_read_again_after_they_changed() {
    let facts = facts();
    let as_of = facts.known();
    assert!(facts.admits_keys(as_of));
    facts.apply(&[(mark(2), Change::Keys)]);
    assert!(!facts.admits_keys(as_of));
    assert!(facts.admits_keys(facts.known()));
}
