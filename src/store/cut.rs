//! The cut: a user's generation rises, and with it ends every grant of an older one. None is given
//! twice, even where the database has lost the one before, in a failover or for a backup: each is
//! the database's time of day, or one more than the last where that is higher.

use std::cmp;
use std::collections::BTreeSet;

use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use super::convert::{read, token_kind_word};
use super::entity::{grant, token, user};
use super::pieces::{AT_ONCE, padded};
use super::purge::DAY;
use super::rows::read_token;
use super::write::Write;
use super::{SeaStore, clock, ending};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{Answer, Change, Committed, GrantChange, Order, PersonalTokens};
use crate::domain::token::{GrantId, TokenKind};

/// Fits grants that are good, as far as they go.
pub(super) fn live_grant(now: Timestamp) -> Condition {
    Condition::all().add(grant::Column::RevokedAt.is_null()).add(
        Condition::any()
            .add(grant::Column::ExpiresAt.is_null())
            .add(grant::Column::ExpiresAt.gt(now.micros())),
    )
}

/// Fits tokens that are good, as far as they go: one that was swapped has ended.
pub(super) fn live_token(now: Timestamp) -> Condition {
    Condition::all()
        .add(token::Column::RevokedAt.is_null())
        .add(token::Column::SwappedAt.is_null())
        .add(
            Condition::any()
                .add(token::Column::ExpiresAt.is_null())
                .add(token::Column::ExpiresAt.gt(now.micros())),
        )
}

/// Raises a user's generation and ends their grants. Those that are kept are stamped with the new
/// generation. Answers how many ended.
pub(super) async fn cut(
    write: &mut Write<'_>,
    user: &user::Model,
    personal: PersonalTokens,
) -> Answer<u64> {
    let at = write.at();
    let clock = clock::of(write).await?;
    let generation = cmp::max(user.generation + 1, clock.micros());
    // By the clock that is behind: where ours is ahead, what it takes for dead may live.
    let now = cmp::min(at, clock);
    user::Entity::update_many()
        .col_expr(user::Column::Generation, Expr::value(generation))
        .col_expr(user::Column::UpdatedAt, Expr::value(at.micros()))
        .filter(user::Column::Id.eq(user.id.as_str()))
        .exec(write.on())
        .await?;
    match personal {
        PersonalTokens::Keep => keep_personal_tokens(write, user, generation, now).await?,
        PersonalTokens::Revoke => {}
    }
    let ended = grant::Entity::update_many()
        .col_expr(grant::Column::RevokedAt, Expr::value(at.micros()))
        .filter(grant::Column::UserId.eq(user.id.as_str()))
        .filter(grant::Column::Generation.lt(generation))
        .filter(live_grant(now))
        .exec(write.on())
        .await?;
    write.change(Change::User(read("users.id", UserId::parse(&user.id))?));
    Ok(ended.rows_affected)
}

/// Raises the generation of all users. What each replica keeps is of before: it loads everything
/// anew. Answers how many users there are.
pub(super) async fn fence(store: &SeaStore, order: &Order) -> Answer<Committed<u64>> {
    let mut write = store.write(order).await?;
    store.engine.allow_long(write.on()).await?;
    let clock = clock::of(&write).await?.micros();
    let next = Expr::col(user::Column::Generation).add(1);
    let higher = Expr::case(next.clone().gt(clock), next).finally(clock);
    let raised = user::Entity::update_many()
        .col_expr(user::Column::Generation, higher.into())
        .col_expr(user::Column::UpdatedAt, Expr::value(write.at().micros()))
        .exec(write.on())
        .await?;
    write.change(Change::Unknown);
    write.done(raised.rows_affected).await
}

/// Gives the grants of live personal tokens the new generation, and ends what was made from them:
/// as many statements for one as for hundreds.
async fn keep_personal_tokens(
    write: &mut Write<'_>,
    user: &user::Model,
    generation: i64,
    now: Timestamp,
) -> Answer<()> {
    let kept = personal_grants(write, user, now).await?;
    end_made_from(write, user, &kept, now).await?;
    let ids: Vec<_> = kept.iter().map(GrantId::to_string).collect();
    for ids in ids.chunks(AT_ONCE) {
        grant::Entity::update_many()
            .col_expr(grant::Column::Generation, Expr::value(generation))
            .filter(grant::Column::Id.is_in(padded(ids.to_vec())))
            .exec(write.on())
            .await?;
    }
    for id in kept {
        write.change(Change::Grant { id, until: None, revoked: GrantChange::Restamped });
    }
    Ok(())
}

/// Finds the live grants of live personal tokens. One of an older generation is dead
/// already and must not come back.
async fn personal_grants(
    write: &Write<'_>,
    user: &user::Model,
    now: Timestamp,
) -> Answer<BTreeSet<GrantId>> {
    let grants: Vec<String> = token::Entity::find()
        .select_only()
        .column(token::Column::GrantId)
        .distinct()
        .inner_join(grant::Entity)
        .filter(token::Column::UserId.eq(user.id.as_str()))
        .filter(token::Column::Kind.eq(token_kind_word(TokenKind::Personal)))
        .filter(live_token(now))
        .filter(grant::Column::Generation.eq(user.generation))
        .filter(live_grant(now))
        .into_tuple()
        .all(write.on())
        .await?;
    grants.iter().map(|id| read("tokens.grant_id", GrantId::parse(id))).collect()
}

/// Ends what was made from personal tokens that are kept, and what may live by another's clock.
async fn end_made_from(
    write: &mut Write<'_>,
    user: &user::Model,
    kept: &BTreeSet<GrantId>,
    now: Timestamp,
) -> Answer<()> {
    let personal = token_kind_word(TokenKind::Personal);
    let roots = Query::select()
        .column(token::Column::GrantId)
        .from(token::Entity)
        .and_where(token::Column::UserId.eq(user.id.as_str()))
        .and_where(token::Column::Kind.eq(personal))
        .take();
    let rows = token::Entity::find()
        .filter(token::Column::UserId.eq(user.id.as_str()))
        .filter(token::Column::Kind.ne(personal))
        .filter(live_token(now.minus(DAY)))
        .filter(token::Column::GrantId.in_subquery(roots))
        .all(write.on())
        .await?;
    let made = rows.into_iter().map(read_token).collect::<Answer<Vec<_>>>()?;
    let made = made.into_iter().filter(|token| kept.contains(&token.grant)).collect();
    ending::end_tokens(write, made).await
}

/// Counts the live tokens with a row that fit, of live grants.
pub(super) async fn count_live_tokens(write: &Write<'_>, fits: Condition) -> Answer<u32> {
    use sea_orm::PaginatorTrait as _;
    let at = write.at();
    let count = token::Entity::find()
        .inner_join(grant::Entity)
        .filter(fits)
        .filter(live_token(at))
        .filter(live_grant(at))
        .count(write.on())
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}
