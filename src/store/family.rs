//! Families of personal tokens: one that was made with another dies with it. `tokens.parent_id`
//! names the one above. Each personal token has a grant of its own, so what ends are grants.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{
    CommonTableExpression, Expr, ExprTrait as _, IntoIden as _, JoinType, Query, SelectStatement,
    UnionType, WithClause,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::convert::token_kind_word;
use super::entity::{grant, token};
use super::pieces::{AT_ONCE, padded};
use super::write::Write;
use crate::domain::store::Answer;
use crate::domain::token::{TokenId, TokenKind};

/// What the tokens of a family are called in the one statement that finds them all.
const FAMILY: &str = "family";

/// Adds to grants that are locked those of all personal tokens below theirs, and locks them.
///
/// Whoever makes a token with another one shares that one's grant: nobody below a grant that is
/// locked is new. So it is looked again after each lock, until nobody is found who is not locked.
pub(super) async fn with_descendants(
    write: &Write<'_>,
    roots: Vec<grant::Model>,
) -> Answer<Vec<grant::Model>> {
    let mut family: BTreeMap<_, _> = roots.into_iter().map(|row| (row.id.clone(), row)).collect();
    loop {
        let known: Vec<_> = family.keys().cloned().collect();
        let mut found = BTreeSet::new();
        for ids in known.chunks(AT_ONCE) {
            found.extend(descendants(write, ids).await?);
        }
        found.retain(|id| !family.contains_key(id));
        if found.is_empty() {
            return Ok(family.into_values().collect());
        }
        for row in lock(write, found).await? {
            family.insert(row.id.clone(), row);
        }
    }
}

/// Locks grants, in the order of their ids. Those that are gone are left out.
pub(super) async fn lock(write: &Write<'_>, ids: BTreeSet<String>) -> Answer<Vec<grant::Model>> {
    let ids: Vec<_> = ids.into_iter().collect();
    let mut rows = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let found = grant::Entity::find()
            .filter(grant::Column::Id.is_in(padded(ids.to_vec())))
            .order_by_asc(grant::Column::Id)
            .lock_exclusive()
            .all(write.on())
            .await?;
        rows.extend(found);
    }
    Ok(rows)
}

/// Finds the grants of these grants' personal tokens and of all below them.
async fn descendants(write: &Write<'_>, grants: &[String]) -> Answer<Vec<String>> {
    let start = Query::select()
        .column((token::Entity, token::Column::Id))
        .from(token::Entity)
        .and_where(token::Column::GrantId.is_in(padded(grants.to_vec())))
        .and_where(token::Column::Kind.eq(token_kind_word(TokenKind::Personal)))
        .take();
    let below = Expr::col((token::Entity, token::Column::ParentId)).equals((FAMILY, "id"));
    let step = Query::select()
        .column((token::Entity, token::Column::Id))
        .from(token::Entity)
        .join(JoinType::InnerJoin, FAMILY, below)
        .take();
    let member = Expr::col((token::Entity, token::Column::Id)).equals((FAMILY, "id"));
    let all = Query::select()
        .distinct()
        .column((token::Entity, token::Column::GrantId))
        .from(token::Entity)
        .join(JoinType::InnerJoin, FAMILY, member)
        .take();
    texts(write, steps(start, step), &["id"], all).await
}

/// Finds the tokens that these were made with, and all above them.
pub(super) async fn ancestors(
    write: &Write<'_>,
    parents: impl IntoIterator<Item = &TokenId>,
) -> Answer<BTreeSet<String>> {
    let parents: BTreeSet<_> = parents.into_iter().map(TokenId::to_string).collect();
    if parents.is_empty() {
        return Ok(parents);
    }
    let columns = [(token::Entity, token::Column::Id), (token::Entity, token::Column::ParentId)];
    let start = Query::select()
        .columns(columns)
        .from(token::Entity)
        .and_where(token::Column::Id.is_in(padded(parents.into_iter().collect())))
        .take();
    let above = Expr::col((token::Entity, token::Column::Id)).equals((FAMILY, "parent_id"));
    let step = Query::select()
        .columns(columns)
        .from(token::Entity)
        .join(JoinType::InnerJoin, FAMILY, above)
        .take();
    let all = Query::select().column("id").from(FAMILY).take();
    let found = texts(write, steps(start, step), &["id", "parent_id"], all).await?;
    Ok(found.into_iter().collect())
}

/// Where a family begins, and how it goes on. What was found before is not found again, so that a
/// circle would end, too.
fn steps(mut start: SelectStatement, step: SelectStatement) -> SelectStatement {
    start.union(UnionType::Distinct, step).take()
}

/// Follows a family to its end, and answers the one column of text that is asked of it.
async fn texts(
    write: &Write<'_>,
    family: SelectStatement,
    columns: &[&'static str],
    asked: SelectStatement,
) -> Answer<Vec<String>> {
    let mut named = CommonTableExpression::new();
    named.table_name(FAMILY).columns(columns.iter().map(|name| name.into_iden())).query(family);
    let query = asked.with(WithClause::new().recursive(true).cte(named).to_owned());
    let rows = write.on().query_all(&query).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}
