//! The purge.

use super::purge_until as until;
use super::*;
use crate::domain::store::Purge;

#[tokio::test]
async fn removes_what_is_over_for_a_day_and_nothing_else() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (short, long) = (grant(10, user), grant(11, user));
    let short = Grant { expires_at: Some(at(10)), ..short };
    bed.sign_in(&short, vec![Token { expires_at: Some(at(10)), ..jwt("short", &short) }]).await;
    bed.sign_in(&long, vec![jwt("long", &long)]).await;
    let _ = bed.revoke_grant(short.id, &order(1)).await.unwrap();

    // The first change of all is older than any test.
    let early = bed.purge(until(at(20), 100)).await.unwrap().unwrap();
    assert_eq!(early, Purged { changes: 1, ..Purged::default() });
    let purged = bed.purge(until(at(35), 100)).await.unwrap().unwrap();

    assert_eq!(purged, Purged { tokens: 1, grants: 1, revocations: 1, ..Purged::default() });
    assert!(bed.find_grant(short.id).await.unwrap().is_none());
    assert!(bed.find_grant(long.id).await.unwrap().is_some());
}

#[tokio::test]
async fn removes_an_endless_grant_with_its_last_token() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let endless = Grant { expires_at: None, ..grant(10, user) };
    let token = Token { expires_at: None, ..token("t", &endless, TokenKind::Personal) };
    bed.sign_in(&endless, vec![token.clone()]).await;
    let _ = bed.revoke_token(&token.id, &order(1)).await.unwrap();
    let purged = bed.purge(until(at(50), 100)).await.unwrap().unwrap();
    assert_eq!((purged.tokens, purged.grants), (1, 1));
    assert!(bed.find_grant(endless.id).await.unwrap().is_none());
}

#[tokio::test]
async fn removes_a_grant_that_is_over_with_all_its_tokens() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let over = Grant { expires_at: Some(at(10)), ..grant(10, user) };
    let later = |id: &str| Token { expires_at: Some(at(90)), ..jwt(id, &over) };
    bed.sign_in(&over, ["a", "b", "c"].map(later).to_vec()).await;
    let mut removed = vec![];
    for _ in 0..3 {
        let purged = bed.purge(until(at(50), 2)).await.unwrap().unwrap();
        removed.push((purged.tokens, purged.grants));
    }
    assert_eq!(removed, [(2, 0), (1, 1), (0, 0)]);
}

#[tokio::test]
async fn goes_by_small_batches() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, (0..5).map(|n| jwt(&format!("t{n}"), &grant)).collect()).await;
    let mut removed = vec![];
    for _ in 0..4 {
        removed.push(bed.purge(until(at(200), 2)).await.unwrap().unwrap().tokens);
    }
    assert_eq!(removed, [2, 2, 1, 0]);
}

#[tokio::test]
async fn keeps_the_newest_change() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    for hours in [1, 2, 3] {
        let _ = bed.revoke_user(user, &order(hours)).await.unwrap();
    }
    let head = bed.head().await.unwrap();
    assert_eq!(bed.purge(until(at(500), 100)).await.unwrap().unwrap().changes, 3);
    let tail = bed.changes_from(Seq(0)).await.unwrap();
    assert_eq!(tail.changes, [(head, Change::User(user))]);
    let next = bed.revoke_user(user, &order(501)).await.unwrap().mark.unwrap();
    assert_eq!(next.seq, Seq(head.seq.0 + 1));
}

#[tokio::test]
async fn leaves_no_hole_among_the_changes_where_clocks_differ() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    // The second was committed by a machine whose clock is behind.
    for hours in [40, 1, 41] {
        let _ = bed.revoke_user(user, &order(hours)).await.unwrap();
    }
    assert_eq!(
        bed.purge(until(at(50), 100)).await.unwrap().unwrap().changes,
        1,
        "the first of all alone"
    );
    let tail = bed.changes_from(Seq(0)).await.unwrap();
    let seqs: Vec<_> = tail.changes.iter().map(|(mark, _)| mark.seq.0).collect();
    assert_eq!(seqs, [2, 3, 4]);
}

#[tokio::test]
async fn forgets_events_past_their_retention_and_only_these() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![jwt("long", &grant)]).await;
    let events = async || bed.list_audit(&AuditQuery { limit: 100, ..Default::default() }).await;
    let before = events().await.unwrap().len();
    let _ = bed.revoke_grant(grant.id, &order(5)).await.unwrap();

    let month = Some(Duration::from_hours(30 * 24));
    let purge = |now| Purge { audit_retention: month, ..until(now, 100) };
    assert_eq!(bed.purge(purge(at(30 * 24 - 1))).await.unwrap().unwrap().audit_events, 0);
    let purged = bed.purge(purge(at(30 * 24 + 3))).await.unwrap().unwrap();

    assert_eq!(usize::try_from(purged.audit_events), Ok(before));
    assert_eq!(events().await.unwrap().len(), 1);
}

#[tokio::test]
async fn forgets_failed_sign_ins_a_day_after_every_policy_has() {
    let day = 24 * HOUR;
    let bed = bed().await;
    let count = |bucket: &str, memory: Duration| {
        let (at, memory) = (at(0).micros(), memory.as_micros());
        bed.database.run(&format!(
            "INSERT INTO attempts (bucket, failures, last_failure_at, forgiven, memory)
             VALUES ('{bucket}', 9, {at}, 0, {memory})"
        ));
    };
    count("x:0001", 2 * day);
    // By another replica, whose settings remember for longer.
    count("x:0002", 90 * day);
    let mut removed = Vec::new();
    for days in [31, 60, 62, 90, 92] {
        let purge = Purge { failure_memory: 60 * day, ..until(at(24 * days), 100) };
        removed.push(bed.purge(purge).await.unwrap().unwrap().attempts);
    }
    assert_eq!(removed, [0, 0, 1, 0, 1]);
}

#[tokio::test]
async fn removes_retired_keys_once_nothing_lives_that_they_signed() {
    let day = 24 * HOUR;
    let bed = bed().await;
    for (id, purpose, state) in
        [("a", "sign", "retired"), ("b", "sign", "verifying"), ("c", "check", "retired")]
    {
        let at = at(0).micros();
        bed.database.run(&format!(
            "INSERT INTO {} (id, purpose, profile, algorithm, state, sealed, created_at, retired_at)
             VALUES ('{id}', '{purpose}', '', '', '{state}', '', {at}, {at})",
            if bed.database.kind() == Kind::Mariadb { "`keys`" } else { "keys" }
        ));
    }
    let mut removed = Vec::new();
    for days in [30, 32, 400] {
        let purge = Purge { longest_signed: 30 * day, ..until(at(24 * days), 100) };
        removed.push(bed.purge(purge).await.unwrap().unwrap().keys);
    }
    assert_eq!(removed, [0, 1, 0]);
}
