//! Brings the tables up to date at the start.

use std::collections::BTreeSet;

use migrations::{Migrator, VERSION};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait as _,
    TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;

use super::entity::meta;
use super::{OpenError, sqlite};

/// Applies the migrations that are missing, in one transaction that keeps out whoever else starts.
///
/// A database that a later version has changed is left alone, and used where it admits ours: the
/// migrator itself would refuse it, so that no way back were left.
pub(super) async fn bring_up_to_date(writer: &DatabaseConnection) -> Result<(), OpenError> {
    let transaction = writer.begin_with_options(sqlite::write_options()).await?;
    let applied: BTreeSet<String> = Migrator::get_migration_models(&transaction)
        .await?
        .into_iter()
        .map(|migration| migration.version)
        .collect();
    let known: BTreeSet<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    if applied.is_subset(&known) {
        if applied != known {
            migrate(&transaction).await?;
        }
    } else {
        admit(&transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn migrate(transaction: &DatabaseTransaction) -> Result<(), OpenError> {
    Ok(Migrator::up(transaction, None).await?)
}

async fn admit(connection: &impl ConnectionTrait) -> Result<(), OpenError> {
    let row = meta::Entity::find_by_id("min_version").one(connection).await?;
    let asked: u32 = row.and_then(|row| row.value.parse().ok()).ok_or(OpenError::NoVersion)?;
    if asked > VERSION {
        return Err(OpenError::TooNew { asked, known: VERSION });
    }
    Ok(())
}
