//! Opening.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use sea_orm_migration::seaql_migrations;

use super::*;
use crate::store::OpenError;
use crate::store::entity::meta;

#[tokio::test]
async fn keeps_everything_over_a_restart() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let head = bed.head().await.unwrap();
    bed.close().await;

    let again = SeaStore::open(&options(bed.database.url())).await.unwrap();

    assert_eq!(again.head().await.unwrap(), head);
    assert_eq!(again.find_user(user).await.unwrap().unwrap().username, "alice");
}

#[tokio::test]
async fn begins_each_database_with_a_change_of_its_own() {
    let (one, other) = (bed().await, bed().await);
    let (one, other) = (one.head().await.unwrap(), other.head().await.unwrap());
    assert_eq!((one.seq, other.seq), (Seq(1), Seq(1)));
    assert_ne!(one.nonce, other.nonce);
}

#[tokio::test]
async fn lets_only_its_owner_read_the_files() {
    let bed = bed_on(Kind::Sqlite).await;
    bed.user(1, "alice").await;
    for file in fs::read_dir(bed.database.folder().unwrap()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    let bed = bed_on(Kind::Sqlite).await;
    let deleted = meta::Entity::delete_many().exec(&bed.store.readers).await;
    assert!(deleted.unwrap_err().to_string().contains("readonly"));
}

async fn refusal(url: &str) -> OpenError {
    SeaStore::open(&options(url)).await.unwrap_err()
}

#[tokio::test]
async fn says_what_is_wrong_with_a_url() {
    let refused = refusal("oracle://user:word@host/tokend").await.to_string();
    assert_eq!(
        refused,
        "the database URL must begin with sqlite://, postgres://, mariadb:// or mysql://"
    );
    assert!(matches!(refusal("tokend.db").await, OpenError::UnknownScheme));
    for url in ["sqlite://", "sqlite://:memory:", "sqlite://a.db?mode=ro"] {
        assert!(matches!(refusal(url).await, OpenError::NoFile), "{url}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    assert!(matches!(refusal(&url("none/tokend.db")).await, OpenError::NoFolder(_)));
    assert!(matches!(refusal(&url("")).await, OpenError::NoFile));
    fs::write(folder.path().join("text.db"), "not a database".repeat(1000)).unwrap();
    assert!(matches!(refusal(&url("text.db")).await, OpenError::NotADatabase(_)));
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    assert!(matches!(refusal(&url("folder.db")).await, OpenError::Unreadable { .. }));
}

/// Makes a database look as a later version leaves it.
async fn later_version(bed: &Bed, min_version: &str) {
    let later = seaql_migrations::ActiveModel {
        version: ActiveValue::Set("m20990101_000001_later".to_owned()),
        applied_at: ActiveValue::Set(0),
    };
    let writer = &bed.store.writers;
    seaql_migrations::Entity::insert(later).exec_without_returning(writer).await.unwrap();
    meta::Entity::update_many()
        .col_expr(meta::Column::Value, Expr::value(min_version))
        .filter(meta::Column::Name.eq("min_version"))
        .exec(writer)
        .await
        .unwrap();
    bed.close().await;
}

#[tokio::test]
async fn uses_the_tables_of_a_later_version_that_admits_it() {
    let bed = bed().await;
    later_version(&bed, "1").await;
    SeaStore::open(&options(bed.database.url())).await.unwrap();
}

#[tokio::test]
async fn refuses_the_tables_of_a_later_version_that_does_not() {
    let bed = bed().await;
    later_version(&bed, "7").await;
    let refused = SeaStore::open(&options(bed.database.url())).await.unwrap_err();
    let too_new = matches!(refused, OpenError::TooNew { asked: 7, known: migrations::VERSION });
    assert!(too_new, "{refused}");
}
