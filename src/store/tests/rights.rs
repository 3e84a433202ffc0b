//! The rows that a caller is judged by, while others hold them.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{Either, join_all, select};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use tokio::task::yield_now;

use super::*;

/// How many share a role.
const SHARING: usize = 12;

#[tokio::test]
async fn a_role_changes_though_others_share_it_without_a_pause() {
    if Kind::of_this_run() == Kind::Sqlite {
        return;
    }
    let bed = bed().await;
    let old = bed.put_role(&role(1, "busy", "a:*"), &order(0)).await.unwrap().value;
    let options = Options { writers: SHARING.try_into().unwrap(), ..options(bed.database.url()) };
    let others = SeaStore::open(&options).await.unwrap();
    let (hold, rest) = match Kind::of_this_run() {
        Kind::Postgres => ("SELECT id FROM roles FOR SHARE", "SELECT pg_sleep(0.05)"),
        Kind::Sqlite | Kind::Mariadb => {
            ("SELECT id FROM roles LOCK IN SHARE MODE", "SELECT SLEEP(0.05)")
        }
    };
    let (shared, others) = (&AtomicUsize::new(0), &others);
    let share = join_all((0..SHARING).map(|_| async move {
        loop {
            let transaction = others.writers.begin().await.unwrap();
            transaction.execute_unprepared(hold).await.unwrap();
            transaction.execute_unprepared(rest).await.unwrap();
            transaction.commit().await.unwrap();
            shared.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let change = async {
        while shared.load(Ordering::Relaxed) < SHARING {
            yield_now().await;
        }
        let before = shared.load(Ordering::Relaxed);
        let changed = bed.put_role(&role(2, "busy", "a:b"), &order(1)).await.unwrap().value;
        (changed, shared.load(Ordering::Relaxed) - before)
    };
    let (share, change) = (Box::pin(share), Box::pin(change));
    let Either::Right(((changed, passed_by), _)) = select(share, change).await else {
        panic!("they never cease");
    };
    assert_eq!(changed.id, old.id);
    // Those who had it when it was asked for, and those who were quicker to ask.
    assert!(passed_by <= 3 * SHARING, "{passed_by} passed by");
}
