//! Brings the tables up to date at the start.

use std::collections::BTreeSet;
use std::time::Duration;

use migrations::{Migrator, VERSION};
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait as _};
use sea_orm_migration::{MigratorTrait as _, SchemaManager, seaql_migrations};

use super::OpenError;
use super::engine::Engine;
use super::entity::meta;
use super::retry::is_passing;

/// How often a change of the tables is tried that waited too long for those who use them.
const TRIES: u32 = 10;

/// How long those who wait behind such a change have then.
const PAUSE: Duration = Duration::from_secs(1);

/// Brings the tables up to date.
pub(super) async fn migrate(engine: &dyn Engine) -> Result<(), OpenError> {
    for _ in 1..TRIES {
        match engine.migrate().await {
            Err(OpenError::Refused(error)) if is_passing(&error) => {
                tracing::warn!(%error, "the tables are in use; their change is tried again");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
    engine.migrate().await
}

/// Applies the migrations that are missing, in a transaction that keeps out whoever else starts.
///
/// A database that a later version has changed is left alone, and used where it admits ours: the
/// migrator itself would refuse it, so that no way back were left.
pub(super) async fn bring_up_to_date(transaction: &DatabaseTransaction) -> Result<(), OpenError> {
    let applied = applied(transaction).await?;
    let known: BTreeSet<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    if applied.is_subset(&known) {
        if applied != known {
            Migrator::up(transaction, None).await?;
        }
        return Ok(());
    }
    admit(transaction).await
}

/// Lists what was applied. It changes nothing, so that who serves need not own the tables.
async fn applied(transaction: &DatabaseTransaction) -> Result<BTreeSet<String>, OpenError> {
    if !SchemaManager::new(transaction).has_table("seaql_migrations").await? {
        return Ok(BTreeSet::new());
    }
    let rows = seaql_migrations::Entity::find().all(transaction).await?;
    Ok(rows.into_iter().map(|migration| migration.version).collect())
}

async fn admit(connection: &impl ConnectionTrait) -> Result<(), OpenError> {
    let row = meta::Entity::find_by_id("min_version").one(connection).await?;
    let asked: u32 = row.and_then(|row| row.value.parse().ok()).ok_or(OpenError::NoVersion)?;
    if asked > VERSION {
        return Err(OpenError::TooNew { asked, known: VERSION });
    }
    Ok(())
}
