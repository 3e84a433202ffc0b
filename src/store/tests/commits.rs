//! Transactions that fail midway: what was acknowledged before and after them holds.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::*;

/// The pages that each write finds: none, up to more than one takes.
const ROOM: std::ops::Range<i64> = 0..4;

/// Tokens of a size of which a few fill a page, where that is to be; servers take no name so long.
const WORDS: usize = 700;

/// What a round was told of its tokens.
#[derive(Default)]
struct Told {
    made: Vec<TokenId>,
    revoked: Vec<TokenId>,
    failures: usize,
}

async fn pages(bed: &Bed) -> i64 {
    let ask = Statement::from_string(DbBackend::Sqlite, "PRAGMA page_count");
    let row = bed.writers.query_one_raw(ask).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// Lets the file grow by so many pages, as far as the writer's connection goes; `None`: as far as it
/// may.
async fn find_room(bed: &Bed, room: Option<i64>) {
    if bed.database.kind() != Kind::Sqlite {
        return;
    }
    let most = match room {
        Some(room) => pages(bed).await + room,
        None => i64::from(i32::MAX),
    };
    bed.writers.execute_unprepared(&format!("PRAGMA max_page_count = {most}")).await.unwrap();
}

fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

/// Makes tokens, refreshes, and revokes every other one, whatever fails. Each write finds so much
/// room; `None`: enough.
async fn mixed_load(bed: &Bed, grant: &Grant, name: &str, told: &mut Told, room: Option<i64>) {
    for n in 0..8 {
        find_room(bed, room).await;
        let made = id(&format!("{name}-{n}"));
        let kind = if n % 3 == 0 { TokenKind::Refresh } else { TokenKind::Operation };
        let words = "w".repeat(if room.is_some() { WORDS } else { 0 });
        let token = Token { display_name: words, ..token(&made.to_string(), grant, kind) };
        match bed.insert_tokens(&tokens(None, vec![token.clone()]), &order(0)).await {
            Ok(_) => told.made.push(made.clone()),
            Err(_) => told.failures += 1,
        }
        find_room(bed, room).await;
        if kind == TokenKind::Refresh {
            let next = Token { id: id(&format!("{name}-{n}-next")), ..token };
            let next = Token { digest: Some(TokenDigest::of(&next.id.to_string())), ..next };
            let swap = Swap {
                old: made.clone(),
                new: next.clone(),
                salt: [1; 16],
                derivation_key: KeyId::parse("key").unwrap(),
                at: at(1),
            };
            match bed.swap_refresh(&swap, &order(1)).await {
                Ok(Committed { value: Swapped::Done, .. }) => told.made.push(next.id),
                Ok(_) => {}
                Err(_) => told.failures += 1,
            }
        } else if n % 2 == 0 {
            match bed.revoke_token(&made, &order(1)).await {
                Ok(Committed { value: Some(_), .. }) => told.revoked.push(made),
                Ok(_) => {}
                Err(_) => told.failures += 1,
            }
        }
    }
}

/// Holds a store to what was told.
async fn assert_holds(store: &SeaStore, told: &Told) {
    for made in &told.made {
        let found = store.find_owned(TokenName::Id(made)).await.unwrap();
        assert!(found.is_some(), "{made} was acknowledged");
    }
    for revoked in &told.revoked {
        let Owned { token, .. } = store.find_owned(TokenName::Id(revoked)).await.unwrap().unwrap();
        assert!(token.revoked_at.is_some(), "the end of {revoked} was acknowledged");
    }
}

#[tokio::test]
async fn keeps_what_it_acknowledges_after_writes_that_found_no_room() {
    let bed = bed_on(Kind::Sqlite).await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("first", &grant, TokenKind::Operation)]).await;
    let mut told = Told::default();
    for round in ROOM.chain(ROOM) {
        let name = format!("{}-{round}", told.made.len());
        mixed_load(&bed, &grant, &format!("full-{name}"), &mut told, Some(round)).await;
        mixed_load(&bed, &grant, &format!("free-{name}"), &mut told, None).await;
        // By connections of its own: what is committed, and not what one connection takes for it.
        let other = SeaStore::open(&options(bed.database.url())).await.unwrap();
        assert_holds(&other, &told).await;
        other.close().await;
    }
    assert!(told.failures > 8, "{} writes failed", told.failures);
    assert!(told.made.iter().any(|made| made.to_string().starts_with("full")), "some had room");
    assert_holds(&bed, &told).await;
    bed.store.close().await;
    let again = SeaStore::open(&options(bed.database.url())).await.unwrap();
    assert_holds(&again, &told).await;
}

#[tokio::test]
async fn uses_no_connection_again_whose_transaction_was_taken_back_under_it() {
    let bed = bed_on(Kind::Sqlite).await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("first", &grant, TokenKind::Operation)]).await;
    let mut told = Told::default();
    for (n, end) in ["commit", "roll back", "drop"].into_iter().enumerate() {
        let transaction = bed.begin().await.unwrap();
        // As SQLite does by itself where a disk is full.
        transaction.execute_unprepared("ROLLBACK").await.unwrap();
        match end {
            "commit" => assert!(bed.commit(transaction).await.is_err()),
            "roll back" => assert!(bed.roll_back(transaction).await.is_err()),
            _ => drop(transaction),
        }
        mixed_load(&bed, &grant, &format!("after-{n}"), &mut told, None).await;
    }
    assert_eq!(told.failures, 0);
    let other = SeaStore::open(&options(bed.database.url())).await.unwrap();
    assert_holds(&other, &told).await;
    other.close().await;
}

#[tokio::test]
async fn keeps_what_it_acknowledges_after_writes_that_were_given_up() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("first", &grant, TokenKind::Operation)]).await;
    let mut told = Told::default();
    for polls in 1..40 {
        let name = format!("given-up-{polls}");
        let new = tokens(None, vec![token(&name, &grant, TokenKind::Operation)]);
        let order = order(0);
        give_up_after(polls, bed.insert_tokens(&new, &order)).await;
        mixed_load(&bed, &grant, &format!("after-{polls}"), &mut told, None).await;
    }
    assert_eq!(told.failures, 0);
    let other = SeaStore::open(&options(bed.database.url())).await.unwrap();
    assert_holds(&other, &told).await;
    other.close().await;
}

/// Polls a future so many times, and drops it.
async fn give_up_after<F: Future>(polls: usize, future: F) {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
            std::task::Poll::Pending | std::task::Poll::Ready(_) => std::task::Poll::Ready(()),
        }
    })
    .await;
}

#[tokio::test]
async fn finds_work_done_only_where_that_is_as_durable_as_doing_it() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("opaque", &grant, TokenKind::Operation)]).await;
    let first = bed.revoke_token(&id("opaque"), &order(1)).await.unwrap();
    let own = bed.revoke_token(&id("opaque"), &order(2)).await.unwrap();
    assert_eq!(own.found, first.mark, "it was acknowledged to this very process");
    bed.close().await;
    // Another process, which was not told what became of it.
    let other = SeaStore::open(&options(bed.database.url())).await.unwrap();
    let found = other.revoke_token(&id("opaque"), grant.id, &order(3)).await.unwrap();
    assert_eq!((found.mark, found.value.unwrap().count), (None, 0));
    let barrier = found.found.unwrap();
    let tail = other.changes_from(barrier.seq).await.unwrap().changes;
    assert_eq!(tail, [(barrier, Change::Barrier)]);
    assert!(barrier.seq > first.mark.unwrap().seq);
    assert_eq!(other.durable_head(at(3)).await.unwrap(), barrier, "once is enough");
    let third = SeaStore::open(&options(bed.database.url())).await.unwrap();
    assert_ne!(third.durable_head(at(3)).await.unwrap(), barrier, "for each process");
    for store in [other, third] {
        store.close().await;
    }
}

#[tokio::test]
async fn says_whether_it_can_write() {
    let bed = bed_on(Kind::Sqlite).await;
    let folder = bed.database.folder().unwrap();
    bed.check_writable().await.unwrap();
    bed.writers.execute_unprepared("PRAGMA query_only = ON").await.unwrap();
    bed.commits.begun();
    assert!(matches!(bed.check_writable().await, Err(StoreError::Unavailable(_))), "{folder:?}");
    bed.writers.execute_unprepared("PRAGMA query_only = OFF").await.unwrap();
    bed.check_writable().await.unwrap();
}
