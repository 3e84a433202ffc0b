//! What is kept of the end of a grant, and for how long.

use futures_util::future::join_all;
use sea_orm::{EntityTrait, PaginatorTrait as _};

use super::*;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::facts::{Capacity, Facts};
use crate::store::entity::{
    attempt, audit_event, change, grant as grants, key, revocation, sign_in_network, token as rows,
};

/// A grant without an end, and the personal token that it is for.
fn personal(number: u128, user: UserId) -> (Grant, Token) {
    let grant = Grant { expires_at: None, ..grant(number, user) };
    let id = format!("personal-{number}");
    let token = Token { expires_at: None, ..token(&id, &grant, TokenKind::Personal) };
    (grant, token)
}

async fn kept(bed: &Bed) -> Vec<(GrantId, Option<Timestamp>)> {
    let listed = bed.list_revocations().await.unwrap().into_iter();
    let grants = listed.filter_map(|revocation| match revocation {
        Revocation::Grant(id, until) => Some((id, until)),
        Revocation::Jti(..) => None,
    });
    grants.collect()
}

/// Purges until nothing is left to remove.
async fn purge_all(bed: &Bed, now: Timestamp) {
    let purge = Purge { audit_retention: Some(24 * HOUR), ..purge_until(now, 500) };
    while bed.purge(purge).await.unwrap().unwrap() != Purged::default() {}
}

#[tokio::test]
async fn is_nothing_where_no_jwt_was_made() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (endless, token) = personal(10, user);
    bed.sign_in(&endless, vec![token]).await;
    let dated = Grant { expires_at: Some(at(100_000)), ..grant(11, user) };
    let token = Token { expires_at: dated.expires_at, ..personal(11, user).1 };
    let opaque = super::token("opaque", &dated, TokenKind::Operation);
    bed.sign_in(&dated, vec![token, opaque]).await;
    for grant in [endless.id, dated.id] {
        let revoked = bed.revoke_grant(grant, &order(1)).await.unwrap();
        assert!(revoked.value.unwrap().count > 0);
        let change = Change::Grant { id: grant, until: Some(at(1)), revoked: GrantChange::Revoked };
        assert_eq!(bed.all_changes().await.last(), Some(&change));
    }
    assert_eq!(kept(&bed).await, []);
}

#[tokio::test]
async fn lasts_until_the_last_jwt_has_expired() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let until =
        |id: &str, grant: &Grant, hours| Token { expires_at: Some(at(hours)), ..jwt(id, grant) };
    let (endless, token) = personal(10, user);
    let jwts = [until("a", &endless, 50), until("b", &endless, 90), until("c", &endless, 70)];
    bed.sign_in(&endless, [vec![token], jwts.to_vec()].concat()).await;
    // One that was ended by itself is kept by itself, and may be the last.
    let _ = bed.revoke_token(&TokenId::parse("b").unwrap(), &order(1)).await.unwrap();
    let _ = bed.revoke_grant(endless.id, &order(2)).await.unwrap();
    assert_eq!(kept(&bed).await, [(endless.id, Some(at(90)))]);
    purge_all(&bed, at(90)).await;
    assert_eq!(kept(&bed).await, [(endless.id, Some(at(90)))], "its rows are gone long since");
    purge_all(&bed, at(115)).await;
    assert_eq!(kept(&bed).await, []);
}

#[tokio::test]
async fn lasts_as_long_as_the_grant_where_a_refresh_may_have_made_jwts() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (fresh, old) = (grant(10, user), grant(11, user));
    bed.sign_in(&fresh, vec![token("fresh", &fresh, TokenKind::Refresh)]).await;
    let over = Token { expires_at: Some(at(10)), ..token("old", &old, TokenKind::Refresh) };
    bed.sign_in(&old, vec![over, token("opaque", &old, TokenKind::Operation)]).await;
    purge_all(&bed, at(40)).await;
    assert!(bed.find_token(&TokenId::parse("old").unwrap()).await.unwrap().is_none());
    for grant in [&fresh, &old] {
        let _ = bed.revoke_grant(grant.id, &order(41)).await.unwrap();
    }
    assert_eq!(kept(&bed).await, [(fresh.id, fresh.expires_at), (old.id, old.expires_at)]);
}

#[tokio::test]
async fn is_for_ever_where_a_jwt_never_ends() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (endless, token) = personal(10, user);
    let jwt = Token { expires_at: None, ..jwt("endless", &endless) };
    bed.sign_in(&endless, vec![token, jwt]).await;
    let _ = bed.revoke_grant(endless.id, &order(2)).await.unwrap();
    assert_eq!(kept(&bed).await, [(endless.id, None)]);
}

#[tokio::test]
async fn is_nothing_of_a_user_s_opaque_tokens_once_they_are_removed() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (opaque, signed) = (personal(10, user), personal(11, user));
    bed.sign_in(&opaque.0, vec![opaque.1]).await;
    let made = jwt("made", &signed.0);
    bed.sign_in(&signed.0, vec![signed.1, made.clone()]).await;
    assert!(bed.delete_user(user, &order(1)).await.unwrap().value);
    assert_eq!(kept(&bed).await, [(signed.0.id, made.expires_at)]);
}

#[tokio::test]
async fn is_given_an_end_where_a_version_before_kept_it_for_ever() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (there, token) = personal(10, user);
    bed.sign_in(&there, vec![token]).await;
    let keep = |kind: &str, id: GrantId| {
        bed.database
            .run(&format!("INSERT INTO revocations VALUES ('{kind}', '{id}', '{id}', NULL)"));
    };
    keep("grant", there.id);
    for number in 20..25 {
        keep("grant", GrantId(uuid(number)));
    }
    // A JWT without an end: nobody made one, but this is not for the purge to judge.
    keep("jti", GrantId(uuid(30)));
    // By the database's own time, for nobody knows when they were revoked.
    let now = || SystemClock.now();
    let before = now();
    let purge = Purge { longest_jwt: 10 * HOUR, ..purge_until(now(), 3) };
    let mut dated = Vec::new();
    for _ in 0..3 {
        dated.push(bed.purge(purge).await.unwrap().unwrap().dated);
    }
    assert_eq!(dated, [3, 2, 0]);
    let all = kept(&bed).await;
    let spared: Vec<_> =
        all.iter().filter(|(_, until)| until.is_none()).map(|(id, _)| *id).collect();
    assert_eq!((all.len(), spared), (6, vec![there.id]));
    let soonest = before.minus(24 * HOUR).plus(10 * HOUR).minus(HOUR);
    for until in all.iter().filter_map(|(_, until)| *until) {
        assert!(soonest <= until && until <= now(), "{until:?}");
    }
}

#[tokio::test]
async fn removes_what_has_been_given_an_end() {
    let bed = bed().await;
    for number in 20..25 {
        let id = GrantId(uuid(number));
        bed.database
            .run(&format!("INSERT INTO revocations VALUES ('grant', '{id}', '{id}', NULL)"));
    }
    let now = SystemClock.now();
    // What it may still matter to lives for no time at all, so a day later it is over.
    let purge = Purge { longest_jwt: Duration::ZERO, ..purge_until(now, 100) };
    let first = bed.purge(purge).await.unwrap().unwrap();
    assert_eq!((first.dated, first.revocations), (5, 0));
    bed.database.run("UPDATE revocations SET until = until - 60000000");
    let second = bed.purge(purge).await.unwrap().unwrap();
    assert_eq!((second.dated, second.revocations), (0, 5));
}

async fn count<E: EntityTrait<Model: Send + Sync>>(bed: &Bed, _: E) -> u64
where
    E::Model: sea_orm::FromQueryResult,
{
    E::find().count(&bed.readers).await.unwrap()
}

/// Makes so many personal tokens and ends them. Answers, of a day later, how many rows each table
/// has, and how many revocations are loaded at a start and kept when all is read anew.
async fn left_by(tokens_made: u128) -> (Vec<u64>, usize) {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let made: Vec<_> = (0..tokens_made).map(|n| personal(1000 + n, user)).collect();
    let order = order(1);
    let new: Vec<_> = made
        .iter()
        .map(|(grant, token)| tokens(Some(grant.clone()), vec![token.clone()]))
        .collect();
    // No more at once than get their turn in time.
    for new in new.chunks(100) {
        let all = join_all(new.iter().map(|new| bed.insert_tokens(new, &order))).await;
        assert!(all.into_iter().all(|one| one.is_ok()));
    }
    for made in made.chunks(100) {
        let all = made.iter().map(|(grant, _)| bed.revoke_grant(grant.id, &order));
        assert!(join_all(all).await.into_iter().all(|one| one.unwrap().value.unwrap().count == 1));
    }
    purge_all(&bed, at(1 + 25)).await;
    let rows = vec![
        count(&bed, rows::Entity).await,
        count(&bed, grants::Entity).await,
        count(&bed, revocation::Entity).await,
        count(&bed, change::Entity).await,
        count(&bed, audit_event::Entity).await,
        count(&bed, attempt::Entity).await,
        count(&bed, sign_in_network::Entity).await,
        count(&bed, key::Entity).await,
    ];
    let loaded = bed.list_revocations().await.unwrap();
    let bytes = 1 << 20;
    let capacity = Capacity { tokens: bytes, jwts: bytes, users: bytes };
    let facts = Facts::new(capacity, bed.head().await.unwrap(), loaded);
    (rows, facts.held().iter().map(|held| held.count).sum())
}

#[tokio::test]
async fn leaves_no_more_of_two_thousand_tokens_than_of_twenty() {
    let (few, many) = (left_by(20).await, left_by(2000).await);
    assert_eq!(few, many);
    // The newest change stays.
    assert_eq!(many, (vec![0, 0, 0, 1, 0, 0, 0, 0], 0));
}
