//! All tables of the first version. Ids are text, times are microseconds since the epoch, enums
//! are words, digests and salts are bytes: the same on every database.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, binary_len_null, blob, integer};

use crate::dialect::Dialect;

const UUID: u32 = 36;
const WORD: u32 = 32;
const NAME: u32 = 64;
const TEXT: u32 = 255;
// Folding a name can lengthen it; MariaDB indexes no more than this beside a realm.
const FOLDED_NAME: u32 = 640;

/// The first version of the tables.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        for table in tables(&dialect) {
            manager.create_table(dialect.table(table)).await?;
        }
        for (table, name, index) in indexes() {
            if !dialect.may_be_half_done() || !manager.has_index(table, name).await? {
                manager.create_index(index).await?;
            }
        }
        for row in rows()? {
            manager.execute(row).await?;
        }
        Ok(())
    }
}

fn tables(text: &Dialect) -> [TableCreateStatement; 13] {
    [
        users(text),
        roles(text),
        user_roles(text),
        grants(text),
        tokens(text),
        revocations(text),
        keys(text),
        changes(text),
        change_head(),
        attempts(text),
        sign_in_networks(text),
        audit_events(text),
        meta(text),
    ]
}

fn users(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("users")
        .col(text.short("id", UUID).primary_key())
        .col(text.short("realm", NAME))
        .col(text.short("username", TEXT))
        .col(text.short("username_key", FOLDED_NAME))
        .col(text.short("display_name", TEXT))
        .col(text.long_or_null("password_hash"))
        .col(text.short("state", WORD))
        .col(big_integer("generation"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .take()
}

fn roles(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("roles")
        .col(text.short("id", UUID).primary_key())
        .col(text.short("realm", NAME))
        .col(text.short("name", NAME))
        .col(text.short("description", TEXT))
        // A JSON array of text.
        .col(text.long("permissions"))
        .take()
}

fn user_roles(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("user_roles")
        .col(text.short("user_id", UUID))
        .col(text.short("role_id", UUID))
        .primary_key(Index::create().col("user_id").col("role_id"))
        .foreign_key(ForeignKey::create().from("user_roles", "user_id").to("users", "id"))
        .foreign_key(ForeignKey::create().from("user_roles", "role_id").to("roles", "id"))
        .take()
}

fn grants(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("grants")
        .col(text.short("id", UUID).primary_key())
        .col(text.short("user_id", UUID))
        .col(big_integer("generation"))
        .col(big_integer("created_at"))
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("revoked_at"))
        .foreign_key(ForeignKey::create().from("grants", "user_id").to("users", "id"))
        .take()
}

fn tokens(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("tokens")
        .col(text.short("id", NAME).primary_key())
        .col(text.short("user_id", UUID))
        .col(text.short("grant_id", UUID))
        .col(text.short("display_name", TEXT))
        .col(text.short("profile", NAME))
        .col(text.short("kind", WORD))
        // A JSON array of role ids; null where none was chosen.
        .col(text.long_or_null("roles"))
        // Null for a JWT.
        .col(binary_len_null("digest", 32))
        .col(text.short("key_id", NAME))
        .col(big_integer("created_at"))
        .col(big_integer_null("expires_at"))
        .col(big_integer_null("revoked_at"))
        .col(big_integer_null("last_used_at"))
        // The rest is there for a refresh token that was swapped for its successor.
        .col(big_integer_null("swapped_at"))
        .col(binary_len_null("successor_salt", 16))
        .col(text.short_or_null("successor_key_id", NAME))
        .col(text.short_or_null("successor_id", NAME))
        .foreign_key(ForeignKey::create().from("tokens", "grant_id").to("grants", "id"))
        .foreign_key(ForeignKey::create().from("tokens", "user_id").to("users", "id"))
        .take()
}

/// What JWTs are refused by. Outlives the rows that it tells of, so no foreign key.
fn revocations(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("revocations")
        .col(text.short("kind", WORD))
        .col(text.short("id", NAME))
        .col(text.short("grant_id", UUID))
        .col(big_integer_null("until"))
        .primary_key(Index::create().col("kind").col("id"))
        .take()
}

fn keys(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("keys")
        .col(text.short("id", NAME).primary_key())
        .col(text.short("purpose", WORD))
        .col(text.short("profile", NAME))
        .col(text.short("algorithm", WORD))
        .col(text.short("state", WORD))
        // Purpose and profile where the key is active, else null: so there is one active at most.
        .col(text.short_or_null("active_for", 2 * NAME).unique_key())
        .col(blob("sealed"))
        .col(big_integer("created_at"))
        .col(big_integer_null("retired_at"))
        .take()
}

fn changes(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("changes")
        .col(big_integer("seq").primary_key())
        .col(big_integer("nonce"))
        .col(text.short("kind", WORD))
        .col(text.short("key", NAME))
        .col(big_integer_null("until"))
        .col(big_integer("committed_at"))
        .take()
}

/// One row, whose lock orders the commits.
fn change_head() -> TableCreateStatement {
    Table::create()
        .table("change_head")
        .col(integer("id").primary_key())
        .col(big_integer("seq"))
        .col(big_integer("max_lease_ms"))
        .col(big_integer_null("serve_stale_ms"))
        .take()
}

fn attempts(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("attempts")
        .col(text.short("bucket", TEXT).primary_key())
        .col(big_integer("failures"))
        .col(big_integer("last_failure_at"))
        .col(big_integer_null("locked_until"))
        .take()
}

fn sign_in_networks(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("sign_in_networks")
        .col(text.short("user_id", UUID))
        .col(text.short("network", NAME))
        // Since when it has been known without a gap.
        .col(big_integer("since"))
        .col(big_integer("last_at"))
        .primary_key(Index::create().col("user_id").col("network"))
        .foreign_key(ForeignKey::create().from("sign_in_networks", "user_id").to("users", "id"))
        .take()
}

fn audit_events(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("audit_events")
        .col(big_integer("id").primary_key().auto_increment())
        .col(big_integer("at"))
        .col(text.short("action", NAME))
        .col(text.short("outcome", NAME))
        .col(text.short("realm", NAME))
        .col(text.short("actor", NAME))
        .col(text.short("target", TEXT))
        .col(text.short("client_address", NAME))
        .take()
}

fn meta(text: &Dialect) -> TableCreateStatement {
    Table::create()
        .table("meta")
        .col(text.short("name", NAME).primary_key())
        .col(text.long("value"))
        .take()
}

fn indexes() -> Vec<(&'static str, &'static str, IndexCreateStatement)> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(table).take();
        for column in columns {
            index.col(*column);
        }
        (table, name, index)
    };
    let unique = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let (table, name, mut index) = index(name, table, columns);
        (table, name, index.unique().take())
    };
    vec![
        unique("users_name", "users", &["realm", "username_key"]),
        unique("roles_name", "roles", &["realm", "name"]),
        index("user_roles_role", "user_roles", &["role_id"]),
        index("grants_user", "grants", &["user_id", "revoked_at"]),
        index("grants_expires", "grants", &["expires_at"]),
        index("grants_revoked", "grants", &["revoked_at"]),
        unique("tokens_digest", "tokens", &["digest"]),
        // Read backwards: newest first.
        index("tokens_user", "tokens", &["user_id", "created_at", "id"]),
        index("tokens_grant", "tokens", &["grant_id"]),
        index("tokens_expires", "tokens", &["expires_at"]),
        index("tokens_revoked", "tokens", &["revoked_at"]),
        index("revocations_grant", "revocations", &["grant_id"]),
        index("revocations_until", "revocations", &["until"]),
        index("attempts_last", "attempts", &["last_failure_at"]),
        index("sign_in_networks_last", "sign_in_networks", &["last_at"]),
        index("audit_events_realm", "audit_events", &["realm", "id"]),
        index("audit_events_actor", "audit_events", &["actor", "id"]),
        index("audit_events_target", "audit_events", &["target", "id"]),
    ]
}

/// The rows that are always there: the head of the changes, a first change with a nonce of its
/// own, and the oldest version that may use these tables.
fn rows() -> Result<[InsertStatement; 3], DbErr> {
    let mut nonce = [0; 8];
    aws_lc_rs::rand::fill(&mut nonce)
        .map_err(|_| DbErr::Custom("the machine gave no randomness".to_owned()))?;
    let nonce = i64::from_ne_bytes(nonce);
    // On MariaDB an earlier start may have been ended between two of them.
    let once = |key: &'static str| OnConflict::column(key).do_nothing_on([key]).to_owned();
    Ok([
        Query::insert()
            .into_table("changes")
            .columns(["seq", "nonce", "kind", "key", "committed_at"])
            .values_panic([1.into(), nonce.into(), "keys".into(), "".into(), 0.into()])
            .on_conflict(once("seq"))
            .take(),
        Query::insert()
            .into_table("change_head")
            .columns(["id", "seq", "max_lease_ms"])
            .values_panic([1.into(), 1.into(), 0.into()])
            .on_conflict(once("id"))
            .take(),
        Query::insert()
            .into_table("meta")
            .columns(["name", "value"])
            .values_panic(["min_version".into(), "1".into()])
            .on_conflict(once("name"))
            .take(),
    ])
}
