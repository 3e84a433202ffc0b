//! The table `attempts`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub bucket: String,
    pub failures: i64,
    pub last_failure_at: i64,
    pub locked_until: Option<i64>,
    /// How many of the failures are forgotten by all policies that counted any.
    pub forgiven: i64,
    /// The longest that one of these policies remembers, in microseconds.
    pub memory: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
