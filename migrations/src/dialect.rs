//! How tables are made alike on each database: text is compared exactly, byte by byte, whatever
//! the database's own collation is.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

/// How one database makes tables.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    /// Compares bytes by itself.
    Sqlite,
    /// Is told so for each column.
    Postgres,
    /// Is told so for each table, by a collation of its own that does not ignore spaces at the end.
    MySql(&'static str),
}

impl Dialect {
    /// Finds the dialect of the database that is migrated.
    pub(crate) async fn of(manager: &SchemaManager<'_>) -> Result<Self, DbErr> {
        let backend = manager.get_database_backend();
        if backend == DbBackend::Postgres {
            return Ok(Self::Postgres);
        }
        if backend != DbBackend::MySql {
            return Ok(Self::Sqlite);
        }
        let ask = Statement::from_string(backend, "SELECT VERSION() AS version");
        let row = manager.get_connection().query_one_raw(ask).await?;
        let version: Option<String> = row.map(|row| row.try_get("", "version")).transpose()?;
        let is_mariadb = version.is_some_and(|version| version.contains("MariaDB"));
        Ok(Self::MySql(if is_mariadb { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }))
    }

    /// Whether each statement commits by itself, so that a start which is ended midway leaves half
    /// of a migration.
    pub(crate) fn may_be_half_done(self) -> bool {
        matches!(self, Self::MySql(_))
    }

    /// Finishes a table.
    pub(crate) fn table(self, mut table: TableCreateStatement) -> TableCreateStatement {
        if let Self::MySql(collation) = self {
            table
                .if_not_exists()
                .engine("InnoDB")
                .character_set("utf8mb4")
                .collate(collation)
                // The longest index is longer than the older formats allow.
                .extra("ROW_FORMAT=DYNAMIC");
        }
        table
    }

    /// A column of text of at most so many characters.
    pub(crate) fn short(self, name: &'static str, most: u32) -> ColumnDef {
        self.exact(ColumnDef::new(name).string_len(most)).not_null().take()
    }

    /// The same, or null.
    pub(crate) fn short_or_null(self, name: &'static str, most: u32) -> ColumnDef {
        self.exact(ColumnDef::new(name).string_len(most)).null().take()
    }

    /// A column of text of any length.
    pub(crate) fn long(self, name: &'static str) -> ColumnDef {
        self.exact(&mut self.any_length(name)).not_null().take()
    }

    /// The same, or null.
    pub(crate) fn long_or_null(self, name: &'static str) -> ColumnDef {
        self.exact(&mut self.any_length(name)).null().take()
    }

    fn any_length(self, name: &'static str) -> ColumnDef {
        match self {
            Self::Sqlite | Self::Postgres => ColumnDef::new(name).text().take(),
            // Its `text` ends at 64 KiB.
            Self::MySql(_) => ColumnDef::new(name).custom("mediumtext").take(),
        }
    }

    fn exact(self, column: &mut ColumnDef) -> &mut ColumnDef {
        match self {
            Self::Sqlite | Self::MySql(_) => column,
            Self::Postgres => column.extra("COLLATE \"C\""),
        }
    }
}
