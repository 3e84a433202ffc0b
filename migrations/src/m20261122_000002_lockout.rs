//! What counters of failed sign-ins need where policies remember failures for different times.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

/// Two columns more in `attempts`.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // How many of the failures those policies have forgotten that counted them, and the
        // longest memory among these, in microseconds. The version before reads neither.
        for column in ["forgiven", "memory"] {
            // On MariaDB an earlier start may have been ended between the two.
            if manager.has_column("attempts", column).await? {
                continue;
            }
            let column = big_integer(column).default(0).take();
            let table = Table::alter().table("attempts").add_column(column).take();
            manager.alter_table(table).await?;
        }
        Ok(())
    }
}
