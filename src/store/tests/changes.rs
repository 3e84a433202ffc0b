//! Changes.

use super::*;

#[tokio::test]
async fn numbers_changes_without_gaps_in_the_order_of_commits() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let order = order(1);
    let revoke = || bed.revoke_user(user, &order);
    let all = tokio::join!(revoke(), revoke(), revoke(), revoke(), revoke());
    let mut marks = [all.0, all.1, all.2, all.3, all.4].map(|c| c.unwrap().mark.unwrap().seq.0);
    marks.sort_unstable();
    assert_eq!(marks, [2, 3, 4, 5, 6]);

    let tail = bed.changes_from(Seq(1)).await.unwrap();
    let seqs: Vec<_> = tail.changes.iter().map(|(mark, _)| mark.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    assert_eq!(tail.more, More::No);
    assert_eq!(bed.head().await.unwrap(), tail.changes[5].0);
}

#[tokio::test]
async fn answers_the_mark_that_the_tail_has() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let mark = bed.revoke_user(user, &order(1)).await.unwrap().mark.unwrap();
    let tail = bed.changes_from(mark.seq).await.unwrap();
    assert_eq!(tail.changes, [(mark, Change::User(user))]);
}

#[tokio::test]
async fn answers_the_terms_with_the_changes_and_without_any() {
    let bed = bed().await;
    let terms = Terms {
        longest_lease: Duration::from_millis(300),
        serve_stale: Some(Duration::from_mins(1)),
    };
    bed.announce_terms(terms).await.unwrap();
    let shorter = Terms { longest_lease: Duration::from_millis(200), serve_stale: None };
    bed.announce_terms(shorter).await.unwrap();
    let tail = bed.changes_from(Seq(1)).await.unwrap();
    assert_eq!((tail.terms, tail.changes.len()), (terms, 1));
    let tail = bed.changes_from(Seq(2)).await.unwrap();
    assert_eq!((tail.terms, tail.changes.len()), (terms, 0));
    bed.set_terms(shorter, &audit(1)).await.unwrap();
    assert_eq!(bed.changes_from(Seq(2)).await.unwrap().terms, shorter);
}

#[tokio::test]
async fn says_when_a_page_came_back_full() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let list = (0..600).map(|n| token(&format!("t{n}"), &grant, TokenKind::Operation)).collect();
    bed.sign_in(&grant, list).await;
    assert!(bed.delete_user(user, &order(1)).await.unwrap().value);

    let page = bed.changes_from(Seq(1)).await.unwrap();
    assert_eq!((page.changes.len(), page.more), (512, More::Perhaps));
    let rest = bed.changes_from(Seq(513)).await.unwrap();
    // The first change of all, the grant, 600 tokens and the user.
    assert_eq!((rest.changes.len(), rest.more), (603 - 512, More::No));
}

#[tokio::test]
async fn reads_back_every_kind_of_change() {
    let bed = bed().await;
    let order = order(0);
    let id = GrantId(uuid(7));
    let until = Some(at(5));
    let all = [
        Change::User(UserId(uuid(1))),
        Change::Role(RoleId(uuid(2))),
        Change::Anonymous(Realm::default()),
        Change::Token(TokenDigest::of("secret")),
        Change::Grant { id, until, revoked: GrantChange::Revoked },
        Change::Grant { id, until: None, revoked: GrantChange::Restamped },
        Change::Jti { id: TokenId::parse("jti").unwrap(), until },
        Change::Keys,
        Change::Unknown,
    ];
    let mut write = bed.store.write(&order).await.unwrap();
    for change in &all {
        write.change(change.clone());
    }
    let _ = write.done(()).await.unwrap();
    assert_eq!(bed.all_changes().await, all);
}

#[tokio::test]
async fn writes_one_barrier_at_most_where_nothing_was_done() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let audited = bed.audit_count().await;
    let update =
        UserUpdate { id: user, state: Some(UserState::Active), display_name: None, at: at(1) };
    let same = bed.update_user(&update, &order(1)).await.unwrap();
    assert_eq!(same.mark, None);
    assert_eq!(same.value.unwrap().updated_at, at(0));
    let same = bed.set_user_roles(user, &BTreeSet::new(), &order(1)).await.unwrap();
    assert_eq!((same.mark, same.value.is_some()), (None, true));
    // What was found may never have been acknowledged; after the barrier it is.
    assert_eq!(bed.all_changes().await, [Change::Barrier]);
    assert_eq!(bed.audit_count().await, audited);
}
