//! What finds the live tokens of a user by one profile without a look at the dead ones.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

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
        // What is counted is what has no end, and personal tokens: most others are made by the
        // thousand and end soon. MariaDB has no such index.
        if manager.get_database_backend() != DbBackend::MySql {
            let is_counted = Expr::col("expires_at").is_null().or(Expr::col("kind").eq("personal"));
            index.and_where(is_counted);
        }
        manager.create_index(index).await
    }
}
