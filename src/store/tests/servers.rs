//! What holds on a server that many share: PostgreSQL and MariaDB.

use std::error::Error as _;
use std::future::pending;

use futures_util::future::{join_all, try_join_all};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use secrecy::ExposeSecret as _;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::store::OpenError;

/// A server is there, or these tests have nothing to show.
fn server() -> Option<Kind> {
    Some(Kind::of_this_run()).filter(|kind| *kind != Kind::Sqlite)
}

/// A store with one connection of each sort.
async fn narrow(url: &str) -> SeaStore {
    let options = Options { readers: 1, writers: 1, ..options(url) };
    SeaStore::open(&options).await.unwrap()
}

fn name(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

#[tokio::test]
async fn lets_many_start_at_once_on_an_empty_database() {
    let Some(kind) = server() else { return };
    let database = Database::empty(kind);
    let options = options(database.url());
    let stores = try_join_all((0..8).map(|_| SeaStore::open(&options))).await.unwrap();
    let heads = join_all(stores.iter().map(SeaStore::head)).await;
    let heads: BTreeSet<_> =
        heads.into_iter().map(|head| head.map(|mark| (mark.seq, mark.nonce)).unwrap()).collect();
    assert_eq!(heads.len(), 1, "there is one first change");
}

#[tokio::test]
async fn makes_one_admin_and_one_key_where_many_start_at_once() {
    let Some(_) = server() else { return };
    let bed = bed().await;
    let (role, audit) = (role(1, "admin", "*"), audit(0));
    let made = join_all((0..8_u128).map(|n| {
        let (bed, role, audit) = (&bed, &role, &audit);
        async move {
            let admin = new_user(10 + n, "admin");
            let made = bed.bootstrap(&admin, role, audit).await.unwrap().value;
            let id = KeyId::parse(&format!("key{n}")).unwrap();
            let first = KeyRow {
                id,
                purpose: KeyPurpose::Sign,
                profile: "operation".to_owned(),
                algorithm: "EdDSA".to_owned(),
                state: KeyState::Active,
                sealed: vec![1],
                created_at: at(0),
                retired_at: None,
            };
            let first = bed.insert_first_key(&first, audit).await.unwrap().value;
            (matches!(made, Bootstrapped::Done), matches!(first, KeyChange::Done))
        }
    }));
    let made = made.await;
    assert_eq!(made.iter().filter(|(admin, _)| *admin).count(), 1);
    assert_eq!(made.iter().filter(|(_, key)| *key).count(), 1);
}

/// All columns and indexes, by name.
async fn shape(store: &SeaStore) -> BTreeSet<String> {
    let ask = "SELECT CONCAT(table_name, '.', column_name, ' ', column_type) AS part \
               FROM information_schema.columns WHERE table_schema = DATABASE() UNION ALL \
               SELECT CONCAT(table_name, ' ', index_name, ' ', column_name) AS part \
               FROM information_schema.statistics WHERE table_schema = DATABASE()";
    let rows = store.writers.query_all_raw(Statement::from_string(DbBackend::MySql, ask)).await;
    rows.unwrap().iter().map(|row| row.try_get("", "part").unwrap()).collect()
}

#[tokio::test]
async fn finishes_the_tables_that_an_ended_start_left_half_made() {
    let Some(Kind::Mariadb) = server() else { return };
    let bed = bed().await;
    let whole = shape(&bed).await;
    bed.close().await;
    bed.database.run(
        "DROP TABLE meta; DROP TABLE audit_events; DROP INDEX tokens_revoked ON tokens; \
         ALTER TABLE attempts DROP COLUMN memory; DELETE FROM change_head; \
         DELETE FROM seaql_migrations",
    );
    let store = SeaStore::open(&options(bed.database.url())).await.unwrap();
    let again = Bed { store, ..bed };
    assert_eq!(shape(&again).await, whole);
    assert_eq!(again.head().await.unwrap().seq, Seq(1));
    let user = again.user(1, "alice").await;
    let _ = again.revoke_user(user, &order(1)).await.unwrap();
    assert_eq!(again.all_changes().await, [Change::User(user)]);
}

#[tokio::test]
async fn sets_each_connection_whatever_the_server_would_have() {
    let Some(Kind::Postgres) = server() else { return };
    let database = Database::empty(Kind::Postgres);
    let name = name(database.url());
    for (setting, value) in [
        ("synchronous_commit", "off"),
        ("default_transaction_isolation", "serializable"),
        ("idle_in_transaction_session_timeout", "0"),
    ] {
        database.run(&format!("ALTER DATABASE {name} SET {setting} = '{value}'"));
    }
    let store = narrow(database.url()).await;
    for connection in [&store.writers, &store.readers] {
        for (setting, value) in [
            ("synchronous_commit", "on"),
            ("transaction_isolation", "read committed"),
            ("idle_in_transaction_session_timeout", "5s"),
        ] {
            let ask = Statement::from_string(
                DbBackend::Postgres,
                format!("SELECT current_setting('{setting}') AS value"),
            );
            let row = connection.query_one_raw(ask).await.unwrap().unwrap();
            assert_eq!(row.try_get::<String>("", "value").unwrap(), value, "{setting}");
        }
    }
}

/// Lets a database say whether its server is a standby.
fn say_standby(database: &Database, standby: bool) {
    let name = name(database.url());
    database.run(&format!(
        "CREATE OR REPLACE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql \
         AS 'SELECT {standby}'; ALTER DATABASE {name} SET search_path = public, pg_catalog"
    ));
}

#[tokio::test]
async fn refuses_a_standby() {
    let Some(Kind::Postgres) = server() else { return };
    let database = Database::empty(Kind::Postgres);
    say_standby(&database, true);
    let refused = SeaStore::open(&options(database.url())).await.unwrap_err();
    assert!(matches!(refused, OpenError::Standby), "{refused}");
}

#[tokio::test]
async fn reads_nothing_from_a_server_that_became_a_standby() {
    let Some(Kind::Postgres) = server() else { return };
    let database = Database::empty(Kind::Postgres);
    say_standby(&database, false);
    let options =
        Options { connection_wait: Duration::from_millis(500), ..options(database.url()) };
    let store = SeaStore::open(&options).await.unwrap();
    store.changes_from(Seq(1)).await.unwrap();
    let _ = store.find_user(UserId(uuid(1))).await.unwrap();
    say_standby(&database, true);
    let refused = store.changes_from(Seq(1)).await.unwrap_err();
    assert!(refused.source().unwrap().to_string().contains("takes no writes"), "{refused:?}");
    // What is asked on its way back leads no connection to it any more.
    drop(store.find_user(UserId(uuid(1))).await);
    let refused = store.find_user(UserId(uuid(1))).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    say_standby(&database, false);
    store.changes_from(Seq(1)).await.unwrap();
    store.find_user(UserId(uuid(1))).await.unwrap();
}

#[tokio::test]
async fn checks_a_connection_again_that_is_older_than_another() {
    let Some(Kind::Postgres) = server() else { return };
    let database = Database::empty(Kind::Postgres);
    say_standby(&database, false);
    let wait = Duration::from_millis(500);
    let options = Options { readers: 1, connection_wait: wait, ..options(database.url()) };
    let store = SeaStore::open(&options).await.unwrap();
    // It stays fresh until the end.
    let _ = store.find_user(UserId(uuid(1))).await.unwrap();
    // This one could lead to a new primary.
    store.changes_from(Seq(1)).await.unwrap();
    say_standby(&database, true);
    let refused = store.find_user(UserId(uuid(1))).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn uses_no_connection_that_was_left_within_a_transaction() {
    let Some(kind) = server() else { return };
    let database = Database::empty(kind);
    let bed = Bed { store: narrow(database.url()).await, database };
    let user = bed.user(1, "alice").await;
    match kind {
        Kind::Sqlite => {}
        Kind::Postgres => {
            let mut one = bed.store.writers.get_postgres_connection_pool().acquire().await.unwrap();
            sqlx::raw_sql("BEGIN").execute(&mut *one).await.unwrap();
        }
        Kind::Mariadb => {
            let mut one = bed.store.writers.get_mysql_connection_pool().acquire().await.unwrap();
            sqlx::raw_sql("BEGIN").execute(&mut *one).await.unwrap();
        }
    }
    bed.replace_hash(user, &hash("old"), &hash("new")).await.unwrap();
    let other = narrow(bed.database.url()).await;
    let (_, found) = other.find_password(user).await.unwrap().unwrap();
    assert_eq!(found.unwrap().0.expose_secret(), "new", "it was committed");
}

#[tokio::test]
async fn goes_on_where_a_call_was_given_up_midway() {
    let Some(kind) = server() else { return };
    let database = Database::empty(kind);
    let bed = Bed { store: narrow(database.url()).await, database };
    let user = bed.user(1, "alice").await;
    for pool in [&bed.store.readers, &bed.store.writers] {
        let sleep = match kind {
            Kind::Postgres => Statement::from_string(DbBackend::Postgres, "SELECT pg_sleep(60)"),
            Kind::Sqlite | Kind::Mariadb => {
                Statement::from_string(DbBackend::MySql, "SELECT SLEEP(60)")
            }
        };
        timeout(Duration::from_millis(100), pool.query_one_raw(sleep)).await.unwrap_err();
    }
    let found = bed.find_user(user).await.unwrap().unwrap();
    assert_eq!(found.id, user);
    let _ = bed.revoke_user(user, &order(1)).await.unwrap();
}

/// A way to a server that can stall: what has gone through it so far then goes no further, without
/// a word. What connects later passes.
struct Proxy {
    url: String,
    stall: watch::Sender<()>,
}

impl Proxy {
    async fn to(url: &str) -> Self {
        let (front, rest) = url.split_once("127.0.0.1:").unwrap();
        let (port, name) = rest.split_once('/').unwrap();
        let server = format!("127.0.0.1:{port}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{front}{}/{name}", listener.local_addr().unwrap());
        let (stall, stalled) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut stalled) = (server.clone(), stalled.clone());
                stalled.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = stalled.changed() => pending().await,
                    }
                });
            }
        });
        Self { url, stall }
    }
}

#[tokio::test]
async fn finds_its_way_past_connections_that_stall() {
    let Some(kind) = server() else { return };
    let database = Database::empty(kind);
    let proxy = Proxy::to(database.url()).await;
    let bed = Bed { store: narrow(&proxy.url).await, database };
    let user = bed.user(1, "alice").await;
    bed.changes_from(Seq(1)).await.unwrap();
    bed.find_user(user).await.unwrap();
    // Given back: else the next call would make a connection, which the proxy lets through.
    while bed.connections().iter().any(|pool| pool.sort != "tail" && pool.busy > 0) {
        yield_now().await;
    }

    proxy.stall.send(()).unwrap();

    let short = Duration::from_millis(200);
    // A sync has a deadline, and the next begins soon after it.
    timeout(short, bed.changes_from(Seq(1))).await.unwrap_err();
    timeout(Duration::from_secs(1), bed.changes_from(Seq(1))).await.unwrap().unwrap();
    // A call whose connection stalls is given up; the next ones get another.
    drop(timeout(short, bed.find_user(user)).await);
    drop(timeout(short, bed.revoke_user(user, &order(1))).await);
    assert!(bed.find_user(user).await.unwrap().is_some());
    let _ = bed.revoke_user(user, &order(2)).await.unwrap();
}

#[tokio::test]
async fn purges_by_one_at_a_time() {
    let Some(_) = server() else { return };
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, (0..5).map(|n| jwt(&format!("t{n}"), &grant)).collect()).await;
    let purge = purge_until(at(200), 100);
    let write = bed.store.begin().await.unwrap();
    let backend = match Kind::of_this_run() {
        Kind::Postgres => DbBackend::Postgres,
        Kind::Sqlite | Kind::Mariadb => DbBackend::MySql,
    };
    let hold = Statement::from_string(backend, "SELECT name FROM meta FOR UPDATE");
    write.query_all_raw(hold).await.unwrap();
    assert_eq!(bed.purge(purge).await.unwrap(), None);
    write.rollback().await.unwrap();
    assert_eq!(bed.purge(purge).await.unwrap().unwrap().tokens, 5);
}

#[tokio::test]
async fn refuses_a_url_that_would_undo_what_is_set_and_never_says_its_password() {
    for url in [
        "postgres://user:secret@host/tokend?options=-csynchronous_commit%3Doff",
        "postgres://user:secret@host/tokend?application_name=x",
        "postgres://user:secret@host",
        "postgres://user:sec#ret@host/tokend",
        "postgres://user:secret@host:port/tokend",
        "postgres://user:secret@host/tokend?sslmode=secret",
        "mariadb://user:secret@host/tokend?collation=utf8mb4_general_ci",
        "mysql://user:secret@host/tokend?sslmode=secret",
    ] {
        let refused = SeaStore::open(&options(url)).await.unwrap_err();
        let bad = matches!(refused, OpenError::BadUrl(_) | OpenError::UnknownUrlOption(_));
        assert!(bad, "{url}: {refused}");
        for text in [refused.to_string(), format!("{refused:?}"), format!("{:?}", options(url))] {
            assert!(!text.contains("sec") && !text.contains("ret@"), "{text}");
        }
    }
}
