//! What finds the live tokens of a user by one profile without a look at the dead ones.

use sea_orm_migration::prelude::*;

/// An index more on `tokens`.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const NAME: &str = "tokens_live";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // On MariaDB an earlier start may have been ended behind it.
        if manager.has_index("tokens", NAME).await? {
            return Ok(());
        }
        let columns = ["user_id", "profile", "kind", "revoked_at", "expires_at"];
        let mut index = Index::create().name(NAME).table("tokens").take();
        for column in columns {
            index.col(column);
        }
        manager.create_index(index).await
    }
}
