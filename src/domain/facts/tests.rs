//! Which facts are believed, and for how long.

use uuid::Uuid;

use super::marks::MOST_MARKS;
use super::*;
use crate::domain::identity::{Generation, UserState};
use crate::domain::profile::{ProfileName, Profiles};
use crate::domain::token::{Grant, KeyId, RoleChoice, Token, TokenKind};

const TEN: Lease = Lease::For(Duration::from_secs(10));

const CAPACITY: Capacity = Capacity { tokens: 4096, jwts: 4096, users: 65_536 };

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
    assert!(facts.kept_user(user).is_none());
    assert_eq!(facts.keep_user(user, None, facts.known()), Kept::Yes);
    assert!(facts.kept_user(user).is_some());
}

#[test]
fn drops_the_fact_that_a_change_is_about_and_no_other() {
    let facts = facts();
    let (one, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    for user in [one, other] {
        assert_eq!(facts.keep_user(user, None, facts.known()), Kept::Yes);
    }
    facts.apply(&[(mark(2), Change::User(one))]);
    assert!(facts.kept_user(one).is_none());
    assert!(facts.kept_user(other).is_some());
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
fn wants_the_keys_read_again_after_they_changed() {
    let facts = facts();
    let as_of = facts.known();
    assert!(facts.admits_keys(as_of));
    facts.apply(&[(mark(2), Change::Keys)]);
    assert!(!facts.admits_keys(as_of));
    assert!(facts.admits_keys(facts.known()));
}

fn id(n: usize) -> Uuid {
    // As random as what it stands for.
    let digest = TokenDigest::of(&n.to_string());
    Uuid::from_bytes(digest.as_bytes()[..16].try_into().unwrap())
}

fn digest(n: usize) -> TokenDigest {
    TokenDigest::of(&n.to_string())
}

fn token(n: usize, roles: RoleChoice) -> TokenFact {
    let row = Token {
        id: TokenId::parse(&id(n).to_string()).unwrap(),
        user: UserId(id(n / 10)),
        grant: GrantId(id(n)),
        display_name: "of no importance to a check".to_owned(),
        profile: ProfileName::parse("personal").unwrap(),
        kind: TokenKind::Personal,
        roles,
        digest: Some(digest(n)),
        key: KeyId::parse("key").unwrap(),
        created_at: Timestamp::from_micros(0),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        parent: None,
    };
    TokenFact::of(row, &grant(n), &Profiles::default())
}

fn grant(n: usize) -> Grant {
    Grant {
        id: GrantId(id(n)),
        user: UserId(id(n / 10)),
        generation: Generation(1),
        created_at: Timestamp::from_micros(0),
        expires_at: None,
        revoked_at: None,
    }
}

fn keep_pair(facts: &Facts, n: usize, roles: RoleChoice) {
    let as_of = facts.known();
    assert_eq!(facts.keep_token(digest(n), Some(token(n, roles)), as_of), Kept::Yes);
    assert_eq!(facts.keep_grant(GrantId(id(n)), Some(GrantFact::of(&grant(n))), as_of), Kept::Yes);
}

fn bytes(facts: &Facts, sort: &str) -> usize {
    facts.held().iter().find(|held| held.sort == sort).unwrap().bytes
}

#[test]
fn stays_within_its_bytes_however_much_comes() {
    let facts =
        Facts::new(Capacity { tokens: 64 << 10, jwts: 4096, users: 64 << 10 }, mark(1), vec![]);
    let roles = RoleChoice::only((0..9).map(|n| RoleId(id(n))));
    for n in 0..20_000 {
        let choice = if n % 2 == 0 { RoleChoice::Inherit } else { roles.clone() };
        keep_pair(&facts, n, choice);
        let _ = facts.keep_user(UserId(id(n)), Some(Arc::new(user(n))), facts.known());
        assert!(bytes(&facts, "token") + bytes(&facts, "grant") <= 64 << 10);
        assert!(bytes(&facts, "user") + bytes(&facts, "role") <= 64 << 10);
    }
    assert!(bytes(&facts, "token") > 32 << 10 && bytes(&facts, "user") > 32 << 10);
}

#[test]
fn weighs_the_roles_that_were_chosen() {
    let fit = |choice: &RoleChoice| {
        let facts = Facts::new(Capacity { tokens: 64 << 10, ..CAPACITY }, mark(1), vec![]);
        (0..2000).for_each(|n| keep_pair(&facts, n, choice.clone()));
        facts.tokens.len()
    };
    let chosen = RoleChoice::only((0..9).map(|n| RoleId(id(n))));
    assert!(fit(&chosen) < fit(&RoleChoice::Inherit));
}

#[test]
fn weighs_no_less_than_the_slots_take() {
    let facts = facts();
    for n in 0..10 {
        keep_pair(&facts, n, RoleChoice::Inherit);
        let _ = facts.keep_user(UserId(id(n)), None, facts.known());
        let _ = facts.keep_role(RoleId(id(n)), None, facts.known());
    }
    assert!(facts.tokens.slots() <= facts.tokens.bytes());
    assert!(facts.grants.slots() <= facts.grants.bytes());
    assert!(facts.users.slots() <= facts.users.bytes());
    assert!(facts.roles.slots() <= facts.roles.bytes());
}

#[test]
fn lets_in_what_is_asked_for_today_where_all_is_full_of_yesterday() {
    let facts = Facts::new(Capacity { tokens: 1 << 20, ..CAPACITY }, mark(1), vec![]);
    let ask = |n| {
        facts.kept_token(&digest(n)).is_some() || {
            keep_pair(&facts, n, RoleChoice::Inherit);
            false
        }
    };
    for round in 0..4 {
        for n in 0..20_000 {
            let _ = ask(n % 4_000 + round);
        }
    }
    let today = 1_000_000..1_001_500;
    for _ in 0..3 {
        today.clone().for_each(|n| _ = ask(n));
    }
    let kept = today.clone().filter(|n| facts.kept_token(&digest(*n)).is_some()).count();
    assert!(kept > 1_400, "{kept} of {}", today.len());
}

#[test]
fn keeps_some_where_little_is_given() {
    let facts = facts();
    for n in 0..1000 {
        keep_pair(&facts, n, RoleChoice::Inherit);
        assert!(
            facts.kept_token(&digest(n)).is_some() && facts.kept_grant(GrantId(id(n))).is_some()
        );
    }
    assert!((10..=30).contains(&facts.tokens.len()), "{}", facts.tokens.len());
}

#[test]
fn remembers_a_note_as_long_as_the_token_is_kept() {
    let facts = facts();
    let now = Timestamp::from_micros(1_000_000_000_000);
    let noted = || facts.kept_token(&digest(1)).unwrap().unwrap().noted;
    keep_pair(&facts, 1, RoleChoice::Inherit);
    assert!(noted().is_due(now));
    facts.note_token(&digest(1), now);
    assert!(!noted().is_due(now.plus(Duration::from_secs(59))));
    assert!(noted().is_due(now.plus(Duration::from_mins(1))));
    assert!(noted().is_due(now.minus(Duration::from_secs(1))), "the clock was set back");
    facts.evict(&FactKey::Token(digest(1)));
    facts.note_token(&digest(1), now);
    assert!(facts.kept_token(&digest(1)).is_none(), "a note brings nothing back");
    keep_pair(&facts, 1, RoleChoice::Inherit);
    assert!(noted().is_due(now), "it was read anew");
}

#[test]
fn knows_each_of_many_revocations_and_no_other() {
    let end = Timestamp::from_micros(1_000_000_000_000);
    let jti = |n: usize| TokenId::parse(&id(n).to_string()).unwrap();
    let of = |n| if n % 2 == 0 { Some(end) } else { None };
    let loaded = (0..500).map(|n| Revocation::Jti(jti(n), of(n))).collect();
    let facts = Facts::new(CAPACITY, mark(1), loaded);
    for n in 500..1000 {
        facts.apply(&[(mark(n.try_into().unwrap()), Change::Jti { id: jti(n), until: of(n) })]);
    }
    for n in 0..1000 {
        assert!(facts.is_jti_revoked(&jti(n)), "{n}");
        assert!(!facts.is_jti_revoked(&jti(1000 + n)), "{n}");
        assert!(!facts.is_grant_revoked(GrantId(id(n))), "{n}");
    }
    assert_eq!(facts.revoked.len(), 1000);
}

fn user(n: usize) -> User {
    User {
        id: UserId(id(n)),
        realm: Realm::default(),
        username: format!("user-{n}"),
        display_name: "Somebody".to_owned(),
        state: UserState::Active,
        generation: Generation(1),
        roles: (0..3).map(|n| RoleId(id(n))).collect(),
        created_at: Timestamp::from_micros(0),
        updated_at: Timestamp::from_micros(0),
    }
}
