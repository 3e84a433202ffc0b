//! Writes that share a transaction.

use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::*;
use crate::store::create::Creation;
use crate::store::group::Job as _;
use crate::store::refresh::OrderedSwap;
use crate::store::revoke::{OrderedRevocation, Target};

fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

/// How many transactions there were of a kind, and of how many writes.
fn shared(recorder: &PrometheusRecorder, kind: &str) -> (u32, u32) {
    let text = recorder.handle().render();
    let value = |part: &str| {
        let name = format!("tokend_group_commit_jobs_{part}{{kind=\"{kind}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    };
    (value("count"), value("sum"))
}

fn proof(grant: &Grant, token: &str) -> Proof {
    let token = Some(id(token));
    let (user, generation, grant) = (grant.user, Generation(1), Some(grant.id));
    Proof { user, generation, grant, token, authority: None }
}

fn by(proof: impl Into<Option<Proof>>, hours: u32) -> Order {
    Order { proof: proof.into(), ..order(hours) }
}

/// A user who has signed in, with a bearer.
async fn signed_in() -> (Bed, Grant) {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("bearer", &grant, TokenKind::Operation)]).await;
    (bed, grant)
}

/// A new token of a bearer's grant.
fn minted(grant: &Grant, id: &str) -> Creation {
    let new = tokens(None, vec![token(id, grant, TokenKind::Operation)]);
    Creation { new, order: by(proof(grant, "bearer"), 1) }
}

async fn create(bed: &Bed, jobs: &[Creation]) -> Vec<Answer<Committed<()>>> {
    join_all(jobs.iter().map(|job| bed.insert_tokens(&job.new, &job.order))).await
}

async fn exists(bed: &Bed, token: &str) -> bool {
    bed.find_token(&id(token)).await.unwrap().is_some()
}

#[tokio::test]
async fn two_hundred_tokens_take_a_few_commits() {
    let (bed, grant) = signed_in().await;
    let before = bed.audit_count().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let watch = metrics::set_default_local_recorder(&recorder);
    let jobs: Vec<_> = (0..200).map(|n| minted(&grant, &format!("t{n}"))).collect();
    let answers = create(&bed, &jobs).await;
    drop(watch);
    assert!(answers.iter().all(Result::is_ok));
    for n in 0..200 {
        assert!(exists(&bed, &format!("t{n}")).await, "{n}");
    }
    assert_eq!(bed.audit_count().await, before + 200);
    let (transactions, writes) = shared(&recorder, "creation");
    assert_eq!(writes, 200);
    assert!(transactions <= 10, "{transactions}");
}

#[tokio::test]
async fn sign_ins_and_tokens_of_bearers_share() {
    let (bed, old) = signed_in().await;
    let signed = |n: u128| {
        let grant = grant(100 + n, old.user);
        let list = vec![
            token(&format!("o{n}"), &grant, TokenKind::Operation),
            token(&format!("r{n}"), &grant, TokenKind::Refresh),
        ];
        Creation { new: tokens(Some(grant), list), order: order(1) }
    };
    let mut jobs: Vec<_> = (0..20).map(signed).collect();
    jobs.push(minted(&old, "minted"));
    let answers = Creation::write(&bed, &jobs).await.unwrap();
    assert!(answers.iter().all(Result::is_ok));
    for job in &jobs {
        for token in &job.new.tokens {
            let (found, grant) = bed.find_token(&token.id).await.unwrap().unwrap();
            assert_eq!((&found, grant.id), (token, token.grant));
        }
    }
}

#[tokio::test]
async fn one_whose_caller_is_gone_harms_nobody() {
    let (bed, grant_1) = signed_in().await;
    let dead = grant(11, grant_1.user);
    bed.sign_in(&dead, vec![token("dead", &dead, TokenKind::Operation)]).await;
    let _ = bed.revoke_grant(dead.id, &order(0)).await.unwrap();
    let _ = bed.revoke_jti(&jti(&grant_1, "revoked"), &order(0)).await.unwrap();
    let before = bed.audit_count().await;
    let nobody = grant(12, UserId(uuid(99)));
    let older = Proof { generation: Generation(0), ..proof(&grant_1, "bearer") };
    let jobs = [
        minted(&grant_1, "first"),
        Creation { order: by(proof(&dead, "dead"), 1), ..minted(&grant_1, "of-a-dead-grant") },
        Creation { order: by(proof(&grant_1, "revoked"), 1), ..minted(&grant_1, "of-a-revoked") },
        Creation { order: by(older, 1), ..minted(&grant_1, "of-an-older-generation") },
        Creation {
            new: tokens(Some(nobody.clone()), vec![jwt("of-nobody", &nobody)]),
            order: order(1),
        },
        Creation { new: tokens(None, vec![jwt("without-a-grant", &nobody)]), order: order(1) },
        minted(&grant_1, "last"),
    ];
    let answers = Creation::write(&bed, &jobs).await.unwrap();
    for (job, answer) in jobs.iter().zip(&answers) {
        let name = job.new.tokens[0].id.to_string();
        let made = ["first", "last"].contains(&name.as_str());
        assert_eq!(answer.is_ok(), made, "{name}");
        assert_eq!(matches!(answer, Err(StoreError::CallerGone)), !made, "{name}");
        assert_eq!(exists(&bed, &name).await, made, "{name}");
    }
    assert_eq!(bed.audit_count().await, before + 2);
}

#[tokio::test]
async fn one_that_fails_does_not_fail_its_neighbours() {
    let (bed, grant) = signed_in().await;
    let mut jobs: Vec<_> = (0..20).map(|n| minted(&grant, &format!("t{n}"))).collect();
    // Its id is taken.
    jobs[7] = minted(&grant, "bearer");
    let answers = create(&bed, &jobs).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n != 7, "{n}");
    }
    for n in (0..20).filter(|n| *n != 7) {
        assert!(exists(&bed, &format!("t{n}")).await, "{n}");
    }
}

#[tokio::test]
async fn a_limit_of_live_tokens_holds_for_those_who_share() {
    let (bed, grant) = signed_in().await;
    let capped = |n: u32| {
        let mut job = minted(&grant, &format!("t{n}"));
        job.new.max_live = Some(3);
        job.new.tokens[0].created_at = at(n);
        job
    };
    let answers = Creation::write(&bed, &[capped(1), capped(2), capped(3), capped(4)]).await;
    let marks: Vec<_> = answers.unwrap().into_iter().map(|one| one.unwrap().mark).collect();
    assert!(marks[..3].iter().all(Option::is_none) && marks[3].is_some());
    let dead = ["bearer", "t1"].map(|id| Change::Token(TokenDigest::of(id)));
    assert_eq!(bed.all_changes().await, dead, "those unused for longest");
}

#[tokio::test]
async fn a_grant_lasts_as_long_as_the_longest_token_of_those_who_share() {
    let (bed, grant) = signed_in().await;
    let until = |id: &str, hours: Option<u32>| {
        let mut job = minted(&grant, id);
        job.new.tokens[0].expires_at = hours.map(at);
        job
    };
    let ends = async || bed.find_grant(grant.id).await.unwrap().unwrap().expires_at;
    let jobs = [until("a", Some(2000)), until("b", Some(3000)), until("c", Some(50))];
    let answers = Creation::write(&bed, &jobs).await.unwrap();
    let marks: Vec<_> = answers.into_iter().map(|one| one.unwrap().mark.is_some()).collect();
    assert_eq!(marks, [true, true, false], "each hears of its own");
    assert_eq!(ends().await, Some(at(3000)));
    let _ = Creation::write(&bed, &[until("d", None), until("e", Some(4000))]).await.unwrap();
    assert_eq!(ends().await, None);
}

fn swap(grant: &Grant, old: &str, new: &str) -> OrderedSwap {
    let salt = TokenDigest::of(new).as_bytes()[..16].try_into().unwrap();
    let derivation_key = KeyId::parse(&format!("key-{new}")).unwrap();
    let new = token(new, grant, TokenKind::Refresh);
    let swap = Swap { old: id(old), new, salt, derivation_key, at: at(1) };
    OrderedSwap { swap, order: order(1) }
}

#[tokio::test]
async fn of_those_who_swap_one_token_together_the_first_wins() {
    let (bed, grant_1) = signed_in().await;
    let dead = grant(11, grant_1.user);
    bed.sign_in(&dead, vec![token("old-of-dead", &dead, TokenKind::Refresh)]).await;
    let _ = bed.revoke_grant(dead.id, &order(0)).await.unwrap();
    let head = bed.head().await.unwrap();
    let list = vec![token("old", &grant_1, TokenKind::Refresh)];
    let _ = bed.insert_tokens(&tokens(None, list), &order(0)).await.unwrap();
    let before = bed.audit_count().await;
    let jobs = [
        swap(&dead, "old-of-dead", "n0"),
        swap(&dead, "old", "n1"),
        swap(&grant_1, "old", "n2"),
        swap(&grant_1, "old", "n3"),
        swap(&grant_1, "none", "n4"),
    ];
    let answers = OrderedSwap::write(&bed, &jobs).await.unwrap();
    for (n, answer) in answers.into_iter().map(Result::unwrap).enumerate() {
        assert_eq!(matches!(answer.value, Swapped::Done), n == 2, "{n}");
        assert_eq!(answer.found, (n != 2).then_some(head), "{n}");
        assert_eq!(exists(&bed, &format!("n{n}")).await, n == 2, "{n}");
    }
    assert_eq!(bed.audit_count().await, before + 1);
    let row = bed.find_refresh(TokenDigest::of("old")).await.unwrap().unwrap();
    assert_eq!(row.successor.unwrap().token, jobs[2].swap.new);
}

#[tokio::test]
async fn each_of_those_who_swap_together_gets_its_own_successor() {
    let (bed, first) = signed_in().await;
    let mut jobs = Vec::new();
    for n in 0..75 {
        let grant = grant(100 + n, first.user);
        bed.sign_in(&grant, vec![token(&format!("old{n}"), &grant, TokenKind::Refresh)]).await;
        jobs.push(swap(&grant, &format!("old{n}"), &format!("new{n}")));
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let watch = metrics::set_default_local_recorder(&recorder);
    let all = join_all(jobs.iter().map(|job| bed.swap_refresh(&job.swap, &job.order))).await;
    drop(watch);
    assert!(all.into_iter().all(|one| matches!(one.unwrap().value, Swapped::Done)));
    for OrderedSwap { swap, .. } in &jobs {
        let row = bed.find_refresh(TokenDigest::of(&swap.old.to_string())).await.unwrap().unwrap();
        let Successor { swapped_at, salt, key, token, used } = row.successor.unwrap();
        assert_eq!((swapped_at, salt, &key), (swap.at, swap.salt, &swap.derivation_key));
        assert_eq!((token, used), (swap.new.clone(), SuccessorUse::Unused));
    }
    let (transactions, writes) = shared(&recorder, "swap");
    assert!(writes == 75 && transactions <= 10, "{transactions}");
}

fn jti(grant: &Grant, text: &str) -> JtiRevocation {
    JtiRevocation { id: id(text), grant: grant.id, until: Some(at(50)), most_per_grant: 9 }
}

#[tokio::test]
async fn each_revocation_of_those_that_share_has_its_own_mark() {
    let (bed, grant_1) = signed_in().await;
    let (grant_2, gone) = (grant(11, grant_1.user), grant(12, grant_1.user));
    let grant_3 = grant(13, grant_1.user);
    bed.sign_in(&grant_2, vec![jwt("of-two", &grant_2)]).await;
    bed.sign_in(&grant_3, vec![token("late", &grant_3, TokenKind::Operation)]).await;
    bed.sign_in(&gone, vec![]).await;
    let _ = bed.revoke_grant(gone.id, &order(0)).await.unwrap();
    let before = bed.audit_count().await;
    let ordered = |target, proof| OrderedRevocation { target, order: by(proof, 1) };
    let token = || Target::Token(id("bearer"), grant_1.id);
    let jobs = [
        ordered(token(), Some(proof(&grant_1, "bearer"))),
        ordered(Target::Jti(jti(&grant_1, "j")), None),
        ordered(token(), None),
        ordered(Target::Grant(grant_2.id), Some(proof(&gone, "x"))),
        ordered(Target::Grant(grant_2.id), None),
        ordered(Target::Token(id("of-two"), grant_2.id), None),
        ordered(Target::Token(id("none"), grant_2.id), None),
        ordered(Target::Grant(grant_2.id), None),
        ordered(Target::Jti(jti(&grant_1, "j")), None),
        ordered(Target::Jti(jti(&grant_2, "dead")), None),
        ordered(Target::Token(id("late"), grant_3.id), Some(proof(&grant_1, "bearer"))),
    ];
    let answers = OrderedRevocation::write(&bed, &jobs).await.unwrap();
    let tail = bed.changes_from(Seq(1)).await.unwrap().changes;
    let (last, _) = tail.last().cloned().unwrap();
    let grant =
        Change::Grant { id: grant_2.id, until: grant_2.expires_at, revoked: GrantChange::Revoked };
    let expected = [
        Some((1, Some(Change::Token(TokenDigest::of("bearer"))))),
        Some((1, Some(Change::Jti { id: id("j"), until: Some(at(50)) }))),
        Some((0, None)),
        None,
        Some((1, Some(grant))),
        Some((0, None)),
        Some((0, None)),
        Some((0, None)),
        Some((0, None)),
        Some((0, None)),
        // Who orders it was there when all of them came.
        Some((1, Some(Change::Token(TokenDigest::of("late"))))),
    ];
    for ((answer, expected), n) in answers.into_iter().zip(expected).zip(0..) {
        let Some((count, change)) = expected else {
            assert!(matches!(answer, Err(StoreError::CallerGone)), "{n}");
            continue;
        };
        let Committed { value, mark, found } = answer.unwrap();
        assert_eq!(value.map_or(0, |revoked| revoked.count), count, "{n}");
        let told = mark.and_then(|mark| tail.iter().find(|(other, _)| *other == mark));
        assert_eq!(told.map(|(_, told)| told), change.as_ref(), "{n}");
        // What it found done may have been done by one before it.
        assert_eq!(found, change.is_none().then_some(last), "{n}");
    }
    assert_eq!(bed.audit_count().await, before + 4);
}

#[tokio::test]
async fn waiting_revocations_take_a_few_commits() {
    let (bed, first) = signed_in().await;
    let grants: Vec<_> = (0..60).map(|n| grant(100 + n, first.user)).collect();
    for grant in &grants {
        bed.sign_in(grant, vec![]).await;
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let watch = metrics::set_default_local_recorder(&recorder);
    let by_user = order(1);
    let all = join_all(grants.iter().map(|grant| bed.revoke_grant(grant.id, &by_user))).await;
    drop(watch);
    let marks: BTreeSet<_> = all.into_iter().map(|one| one.unwrap().mark.unwrap().seq).collect();
    assert_eq!(marks.len(), 60);
    assert_eq!(bed.all_changes().await.len(), 60);
    let (transactions, writes) = shared(&recorder, "revocation");
    assert!(writes == 60 && transactions <= 10, "{transactions}");
}

/// Swaps and revokes all of a list at once.
async fn swap_and_revoke(store: &SeaStore, jobs: &[OrderedSwap]) -> Vec<(bool, u32)> {
    let all = jobs.iter().map(async |OrderedSwap { swap, order }| {
        let grant = Uuid::parse_str(&swap.new.grant.to_string()).unwrap();
        let bearer = id(&format!("t{}", grant.as_u128()));
        let both = tokio::join!(
            store.swap_refresh(swap, order),
            store.revoke_token(&bearer, swap.new.grant, order)
        );
        let (swapped, revoked) = (both.0.unwrap().value, both.1.unwrap().value.unwrap());
        (matches!(swapped, Swapped::Done), revoked.count)
    });
    join_all(all).await
}

#[tokio::test]
async fn two_replicas_that_write_the_same_agree_on_each() {
    if Kind::of_this_run() == Kind::Sqlite {
        return;
    }
    let (bed, first) = signed_in().await;
    let other = SeaStore::open(&options(bed.database.url())).await.unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 100..140 {
        let (grant, old) = (grant(n, first.user), format!("old{n}"));
        let bearer = token(&format!("t{n}"), &grant, TokenKind::Operation);
        bed.sign_in(&grant, vec![token(&old, &grant, TokenKind::Refresh), bearer]).await;
        ours.push(swap(&grant, &old, &format!("ours{n}")));
        theirs.push(swap(&grant, &old, &format!("theirs{n}")));
    }
    // Locks that were taken in the order of arrival would cross.
    theirs.reverse();
    let (ours, mut theirs) =
        tokio::join!(swap_and_revoke(&bed, &ours), swap_and_revoke(&other, &theirs));
    theirs.reverse();
    for (n, (one, another)) in ours.into_iter().zip(theirs).enumerate() {
        assert!(one.0 != another.0, "{n}: one swap wins");
        assert_eq!(one.1 + another.1, 1, "{n}: revoked once");
    }
}
