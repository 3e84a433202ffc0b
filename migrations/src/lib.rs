//! The tables of tokend, version by version. Forward only; a file is never renamed, for its name
//! is what a database remembers of it.

use sea_orm_migration::prelude::*;

mod dialect;
mod m20261122_000001_first;
mod m20261122_000002_lockout;
mod m20261129_000003_parents;
mod m20261129_000004_live_tokens;

/// The version of the tables that this program makes: how many migrations there are.
pub const VERSION: u32 = 4;

/// Brings the tables up to date. Takes no lock: run it in a transaction that has one.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_first::Migration),
            Box::new(m20261122_000002_lockout::Migration),
            Box::new(m20261129_000003_parents::Migration),
            Box::new(m20261129_000004_live_tokens::Migration),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_its_migrations() {
        assert_eq!(Migrator::migrations().len(), usize::try_from(VERSION).unwrap());
    }
}
