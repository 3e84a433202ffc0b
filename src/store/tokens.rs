//! Tokens: made, found, listed, noted as used.

use sea_orm::sea_query::{Expr, Func};
use sea_orm::{
    ColumnTrait as _, Condition, DbErr, EntityTrait as _, IntoActiveModel as _, Order as Sort,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::convert::{broken, is_orphan, micros, read, token_kind_word};
use super::cut::{count_live_tokens, live_grant, live_token};
use super::entity::{grant, token};
use super::retry::commit;
use super::rows::{grant_row, read_grant, read_token, token_row};
use super::write::Write;
use super::{SeaStore, revoke};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{
    Answer, Change, Committed, GrantChange, NewTokens, Order, StoreError, TokenQuery,
};
use crate::domain::token::{Grant, Token, TokenDigest, TokenId, TokenState};

/// Inserts tokens, and their grant where it is new.
pub(super) async fn insert_tokens(
    store: &SeaStore,
    new: &NewTokens,
    order: &Order,
) -> Answer<Committed<()>> {
    let NewTokens { grant, tokens, max_live } = new;
    let mut write = store.write(order).await?;
    insert(&write, grant.as_ref(), tokens).await.map_err(|error| {
        // The user or the grant was removed since the credential was read.
        if is_orphan(&error) { StoreError::CallerGone } else { error.into() }
    })?;
    if grant.is_none() {
        prolong(&mut write, tokens).await?;
    }
    if let (Some(most), Some(first)) = (max_live, tokens.first()) {
        evict(&mut write, first, *most, tokens).await?;
    }
    write.done(()).await
}

async fn insert(write: &Write<'_>, grant: Option<&Grant>, tokens: &[Token]) -> Result<(), DbErr> {
    if let Some(grant) = grant {
        let row = grant_row(grant).into_active_model();
        grant::Entity::insert(row).exec_without_returning(write.on()).await?;
    }
    if !tokens.is_empty() {
        let rows = tokens.iter().map(|token| token_row(token).into_active_model());
        token::Entity::insert_many(rows).exec_without_returning(write.on()).await?;
    }
    Ok(())
}

/// Lets a grant end no earlier than its tokens, for a revocation is kept only until its grant's
/// end.
async fn prolong(write: &mut Write<'_>, tokens: &[Token]) -> Answer<()> {
    let Some(first) = tokens.first() else { return Ok(()) };
    let endless = tokens.iter().any(|token| token.expires_at.is_none());
    let last = tokens.iter().filter_map(|token| token.expires_at).max();
    let end = if endless { None } else { last };
    // Looked at first, for most end late enough: all who mint from one grant share a lock on it,
    // and of two who would both change it then, the database breaks one off.
    let row = grant::Entity::find_by_id(first.grant.to_string()).one(write.on()).await?;
    let now = row.and_then(|grant| grant.expires_at);
    if now.is_none_or(|now| end.is_some_and(|end| now >= end.micros())) {
        return Ok(());
    }
    let prolonged = grant::Entity::update_many()
        .col_expr(grant::Column::ExpiresAt, Expr::value(micros(end)))
        .filter(grant::Column::Id.eq(first.grant.to_string()))
        .filter(grant::Column::ExpiresAt.is_not_null())
        .apply_if(end, |update, end| update.filter(grant::Column::ExpiresAt.lt(end.micros())))
        .exec(write.on())
        .await?;
    if prolonged.rows_affected > 0 {
        let revoked = GrantChange::Restamped;
        write.change(Change::Grant { id: first.grant, until: None, revoked });
    }
    Ok(())
}

/// Revokes those of a user's live tokens of one profile that are over the number, the unused for
/// longest first, and never a new one.
async fn evict(write: &mut Write<'_>, sample: &Token, most: u32, new: &[Token]) -> Answer<()> {
    let fits = Condition::all()
        .add(token::Column::UserId.eq(sample.user.to_string()))
        .add(token::Column::Profile.eq(sample.profile.as_str()))
        // Refresh tokens of the profile end with their grants.
        .add(token::Column::Kind.eq(token_kind_word(sample.kind)));
    let live = count_live_tokens(write, fits.clone()).await?;
    let over = live.saturating_sub(most);
    if over == 0 {
        return Ok(());
    }
    let last_use = Func::coalesce([
        token::Column::LastUsedAt.into_expr(),
        token::Column::CreatedAt.into_expr(),
    ]);
    let at = write.at();
    let rows = token::Entity::find()
        .inner_join(grant::Entity)
        .filter(fits)
        .filter(live_token(at))
        .filter(live_grant(at))
        .filter(token::Column::Id.is_not_in(new.iter().map(|token| token.id.to_string())))
        .order_by(last_use, Sort::Asc)
        .order_by_asc(token::Column::Id)
        .limit(u64::from(over))
        .all(write.on())
        .await?;
    for row in rows {
        revoke::end_token(write, &read_token(row)?).await?;
    }
    Ok(())
}

/// Finds a token by its id, with its grant.
pub(super) async fn find_token(store: &SeaStore, id: &TokenId) -> Answer<Option<(Token, Grant)>> {
    let found = token::Entity::find_by_id(id.to_string())
        .find_also_related(grant::Entity)
        .one(&store.readers)
        .await?;
    found.map(with_grant).transpose()
}

/// Reads a token with its grant.
pub(super) fn with_grant(row: (token::Model, Option<grant::Model>)) -> Answer<(Token, Grant)> {
    let (token, grant) = row;
    let grant = grant.ok_or_else(|| broken("tokens.grant_id"))?;
    Ok((read_token(token)?, read_grant(grant)?))
}

/// Lists tokens, newest first, each with its grant. Of a family of refresh tokens only the head is
/// listed.
pub(super) async fn list_tokens(
    store: &SeaStore,
    query: &TokenQuery,
) -> Answer<Vec<(Token, Grant)>> {
    let TokenQuery { user, profile, states, after, limit, now } = query;
    let rows = token::Entity::find()
        .find_also_related(grant::Entity)
        .filter(token::Column::UserId.eq(user.to_string()))
        .filter(token::Column::SwappedAt.is_null())
        .apply_if(profile.as_ref(), |select, profile| {
            select.filter(token::Column::Profile.eq(profile.as_str()))
        })
        .apply_if((!states.is_empty()).then_some(states), |select, states| {
            let any = states.iter().map(|state| in_state(*state, *now));
            select.filter(any.fold(Condition::any(), Condition::add))
        })
        .apply_if(after.as_ref(), |select, after| select.filter(older(after)))
        .order_by_desc(token::Column::CreatedAt)
        .order_by_desc(token::Column::Id)
        .limit(u64::from(*limit))
        .all(&store.readers)
        .await?;
    rows.into_iter().map(with_grant).collect()
}

fn older((time, id): &(Timestamp, TokenId)) -> Condition {
    let time = time.micros();
    let tied = Condition::all()
        .add(token::Column::CreatedAt.eq(time))
        .add(token::Column::Id.lt(id.to_string()));
    Condition::any().add(token::Column::CreatedAt.lt(time)).add(tied)
}

/// Fits tokens in a state: the twin of [`Token::state`].
fn in_state(state: TokenState, now: Timestamp) -> Condition {
    let revoked = Condition::any()
        .add(token::Column::RevokedAt.is_not_null())
        .add(grant::Column::RevokedAt.is_not_null());
    let expired = token::Column::ExpiresAt.lte(now.micros());
    match state {
        TokenState::Revoked => revoked,
        TokenState::Expired => Condition::all().add(revoked.not()).add(expired),
        TokenState::Active => Condition::all().add(revoked.not()).add(
            Condition::any()
                .add(token::Column::ExpiresAt.is_null())
                .add(token::Column::ExpiresAt.gt(now.micros())),
        ),
    }
}

/// Lists the digests of all opaque tokens of a user.
pub(super) async fn digests(write: &Write<'_>, user: UserId) -> Answer<Vec<TokenDigest>> {
    let digests: Vec<Vec<u8>> = token::Entity::find()
        .select_only()
        .column(token::Column::Digest)
        .filter(token::Column::UserId.eq(user.to_string()))
        .filter(token::Column::Digest.is_not_null())
        .into_tuple()
        .all(write.on())
        .await?;
    let parsed = digests.into_iter().map(|digest| read("tokens.digest", digest.try_into()));
    parsed.map(|digest| digest.map(TokenDigest::from_bytes)).collect()
}

/// Notes when tokens were last accepted.
pub(super) async fn touch_tokens(store: &SeaStore, uses: &[(TokenId, Timestamp)]) -> Answer<()> {
    if uses.is_empty() {
        return Ok(());
    }
    // In one order, so that no two replicas wait for each other.
    let mut uses: Vec<_> = uses.iter().collect();
    uses.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let transaction = store.begin().await?;
    for (id, at) in uses {
        let earlier = Condition::any()
            .add(token::Column::LastUsedAt.is_null())
            .add(token::Column::LastUsedAt.lt(at.micros()));
        token::Entity::update_many()
            .col_expr(token::Column::LastUsedAt, Expr::value(at.micros()))
            .filter(token::Column::Id.eq(id.to_string()))
            .filter(earlier)
            .exec(&transaction)
            .await?;
    }
    commit(transaction).await
}
