//! Which personal token another one was made with.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::dialect::Dialect;

/// One column more in `tokens`, and what finds rows by it. The versions before know neither: what
/// they make has no parent.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        // On MariaDB an earlier start may have been ended between the two.
        if !manager.has_column("tokens", "parent_id").await? {
            let column = dialect.short_or_null("parent_id", 64);
            let table = Table::alter().table("tokens").add_column(column).take();
            manager.alter_table(table).await?;
        }
        if !manager.has_index("tokens", "tokens_parent").await? {
            let mut index = Index::create().name("tokens_parent").table("tokens").take();
            index.col("parent_id");
            // Few tokens have a parent. MariaDB has no such index.
            if manager.get_database_backend() != DbBackend::MySql {
                index.and_where(Expr::col("parent_id").is_not_null());
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
