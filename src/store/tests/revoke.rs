//! Revocation.

use super::*;

async fn signed_in() -> (Bed, UserId, Grant) {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let list = vec![token("opaque", &grant, TokenKind::Operation), jwt("jwt", &grant)];
    bed.sign_in(&grant, list).await;
    (bed, user, grant)
}

fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

#[tokio::test]
async fn revokes_an_opaque_token_once() {
    let (bed, _, _) = signed_in().await;
    let first = bed.revoke_token(&id("opaque"), &order(1)).await.unwrap();
    let again = bed.revoke_token(&id("opaque"), &order(2)).await.unwrap();
    assert!(first.mark.is_some());
    assert_eq!(first.value.unwrap().count, 1);
    assert_eq!(again.mark, None);
    let again = again.value.unwrap();
    assert_eq!((again.count, again.token.unwrap().revoked_at), (0, Some(at(1))));
    assert_eq!(bed.all_changes().await, [Change::Token(TokenDigest::of("opaque"))]);
    assert!(bed.revoke_token(&id("none"), &order(1)).await.unwrap().value.is_none());
}

#[tokio::test]
async fn revokes_a_jwt_with_a_row_by_its_jti() {
    let (bed, _, _) = signed_in().await;
    let done = bed.revoke_token(&id("jwt"), &order(1)).await.unwrap();
    assert_eq!(done.value.unwrap().count, 1);
    assert_eq!(bed.all_changes().await, [Change::Jti { id: id("jwt"), until: Some(at(100)) }]);
    let listed = bed.list_revocations().await.unwrap();
    assert!(matches!(&listed[..], [Revocation::Jti(jti, _)] if *jti == id("jwt")));
}

#[tokio::test]
async fn bounds_the_jtis_revoked_one_by_one() {
    let (bed, _, grant) = signed_in().await;
    let jti = |text: &str| JtiRevocation {
        id: id(text),
        grant: grant.id,
        until: Some(at(50)),
        most_per_grant: 2,
    };
    let revoke = async |text: &str| {
        let answer = bed.revoke_jti(&jti(text), &order(1)).await.unwrap();
        answer.value.map(|revoked| revoked.count)
    };
    assert_eq!(revoke("without-a-row").await, Some(1));
    assert_eq!(revoke("without-a-row").await, Some(0), "it was already");
    assert_eq!(revoke("jwt").await, Some(1));
    assert!(bed.find_token(&id("jwt")).await.unwrap().unwrap().0.revoked_at.is_some());
    assert_eq!(revoke("one-too-many").await, None);
    let later = bed.revoke_jti(&jti("later"), &order(80)).await.unwrap();
    assert_eq!(later.value.unwrap().count, 0, "it has ended by itself");
}

#[tokio::test]
async fn revokes_a_grant_with_its_tokens_once() {
    let (bed, _, grant) = signed_in().await;
    let first = bed.revoke_grant(grant.id, &order(1)).await.unwrap();
    let again = bed.revoke_grant(grant.id, &order(2)).await.unwrap();
    assert_eq!(first.value.unwrap().count, 2);
    assert_eq!((again.mark, again.value.unwrap().count), (None, 0));
    let dead = bed.revoke_token(&id("opaque"), &order(2)).await.unwrap();
    assert_eq!((dead.mark, dead.value.unwrap().count), (None, 0));
    let revoked = GrantChange::Revoked;
    let change = Change::Grant { id: grant.id, until: Some(at(1000)), revoked };
    assert_eq!(bed.all_changes().await, [change]);
    let listed = bed.list_revocations().await.unwrap();
    assert!(matches!(listed[..], [Revocation::Grant(id, _)] if id == grant.id));
    assert!(bed.revoke_grant(GrantId(uuid(99)), &order(1)).await.unwrap().value.is_none());
}

#[tokio::test]
async fn revokes_all_that_a_user_has() {
    let (bed, user, grant) = signed_in().await;
    let done = bed.revoke_user(user, &order(1)).await.unwrap();
    assert_eq!(done.value.unwrap().count, 2);
    assert!(bed.find_user(user).await.unwrap().unwrap().generation > Generation(1));
    assert!(bed.find_grant(grant.id).await.unwrap().unwrap().revoked_at.is_some());
    assert_eq!(bed.all_changes().await, [Change::User(user)]);
    assert!(bed.revoke_user(UserId(uuid(99)), &order(1)).await.unwrap().value.is_none());
}

#[tokio::test]
async fn gives_no_generation_twice_though_the_database_lost_the_one_before() {
    let (bed, user, _) = signed_in().await;
    let mut given = BTreeSet::new();
    for round in 0..3 {
        // As a failover that loses commits leaves it, and a backup that was restored.
        bed.database.run("UPDATE users SET generation = 1");
        // SQLite's clock goes by milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let _ = bed.revoke_user(user, &order(round)).await.unwrap();
        let cut = bed.find_user(user).await.unwrap().unwrap().generation;
        bed.database.run("UPDATE users SET generation = 1");
        tokio::time::sleep(Duration::from_millis(2)).await;
        let _ = bed.fence(&order(round)).await.unwrap();
        let fenced = bed.find_user(user).await.unwrap().unwrap().generation;
        assert!(given.insert(cut) && given.insert(fenced), "{given:?}");
    }
}

#[tokio::test]
async fn raises_a_generation_by_one_where_it_is_ahead_of_the_database_s_clock() {
    let (bed, user, _) = signed_in().await;
    bed.database.run("UPDATE users SET generation = 9000000000000000");
    let generation = async || bed.find_user(user).await.unwrap().unwrap().generation;
    let _ = bed.revoke_user(user, &order(1)).await.unwrap();
    assert_eq!(generation().await, Generation(9_000_000_000_000_001));
    let _ = bed.fence(&order(1)).await.unwrap();
    assert_eq!(generation().await, Generation(9_000_000_000_000_002));
}

#[tokio::test]
async fn writes_what_has_expired_by_its_own_clock_alone() {
    let (bed, _, grant) = signed_in().await;
    let jti = |text: &str| JtiRevocation {
        id: id(text),
        grant: grant.id,
        until: Some(at(100)),
        most_per_grant: 2,
    };
    let seen = |done: Committed<Option<Revoked>>| (done.mark.is_some(), done.value.unwrap().count);
    for (hour, written) in [(124, false), (123, true), (123, false)] {
        let order = order(hour);
        let row = bed.revoke_token(&id("opaque"), &order).await.unwrap();
        assert_eq!(seen(row), (written, 0), "{hour}");
        let without = bed.revoke_jti(&jti("without-a-row"), &order).await.unwrap();
        assert_eq!(seen(without), (written, 0), "{hour}");
        let with = bed.revoke_jti(&jti("jwt"), &order).await.unwrap();
        assert_eq!(seen(with), (written, 0), "{hour}");
    }
    let full = bed.revoke_jti(&jti("one-too-many"), &order(123)).await.unwrap();
    assert!(full.value.is_none(), "they are remembered for a day, and so they count");
    for (hour, written) in [(1024, false), (1023, true), (1023, false)] {
        let done = bed.revoke_grant(grant.id, &order(hour)).await.unwrap();
        assert_eq!(seen(done), (written, 0), "{hour}");
    }
}
