//! Revocation: of a token, a JWT, a grant, and all that a user has.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};

use super::changes::{GRANT, JTI};
use super::convert::micros;
use super::cut::{count_live_tokens, cut};
use super::entity::{grant, revocation, token};
use super::rows::{read_grant, read_token};
use super::write::Write;
use super::{SeaStore, directory};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{
    Answer, Change, Committed, GrantChange, JtiRevocation, Order, PersonalTokens, Revoked,
};
use crate::domain::token::{Grant, GrantId, Token, TokenId, TokenState};

/// Revokes a token with a row. `None`: there is no such token.
pub(super) async fn revoke_token(
    store: &SeaStore,
    id: &TokenId,
    order: &Order,
) -> Answer<Committed<Option<Revoked>>> {
    let mut write = store.write(order).await?;
    let found = token::Entity::find_by_id(id.to_string()).one(write.on()).await?;
    let Some(found) = found.map(read_token).transpose()? else { return write.undone(None).await };
    // A grant is locked before its tokens, here as everywhere.
    let grant = lock_grant(&write, found.grant).await?;
    let grant_end = grant.and_then(|grant| grant.revoked_at);
    let Some(token) = lock_token(&write, id).await? else { return write.undone(None).await };
    match token.state(grant_end, write.at()) {
        TokenState::Active => {
            end_token(&mut write, &token).await?;
            let token = Some(Token { revoked_at: Some(write.at()), ..token });
            write.done(Some(Revoked { token, count: 1 })).await
        }
        TokenState::Expired | TokenState::Revoked => {
            write.undone(Some(Revoked { token: Some(token), count: 0 })).await
        }
    }
}

/// Ends a live token: a JWT by its `jti`.
pub(super) async fn end_token(write: &mut Write<'_>, token: &Token) -> Answer<()> {
    token::Entity::update_many()
        .col_expr(token::Column::RevokedAt, Expr::value(write.at().micros()))
        .filter(token::Column::Id.eq(token.id.to_string()))
        .exec(write.on())
        .await?;
    match token.digest {
        Some(digest) => write.change(Change::Token(digest)),
        None => note_jti(write, &token.id, token.grant, token.expires_at).await?,
    }
    Ok(())
}

/// Revokes a JWT, with or without a row, by its `jti`. `None`: its grant has as many revoked ones
/// as it may.
pub(super) async fn revoke_jti(
    store: &SeaStore,
    jti: &JtiRevocation,
    order: &Order,
) -> Answer<Committed<Option<Revoked>>> {
    let JtiRevocation { id, grant, until, most_per_grant } = jti;
    let mut write = store.write(order).await?;
    let at = write.at();
    let grant_row = lock_grant(&write, *grant).await?;
    let token = lock_token(&write, id).await?;
    let noted = revocation::Entity::find_by_id((JTI.to_owned(), id.to_string()));
    let noted = noted.one(write.on()).await?;
    let dead = grant_row.is_none_or(|grant| grant.revoked_at.is_some())
        || token.as_ref().is_some_and(|token| token.revoked_at.is_some())
        || noted.is_some()
        || until.is_some_and(|end| end <= at);
    if dead {
        return write.undone(Some(Revoked { token, count: 0 })).await;
    }
    if count_jtis(&write, *grant, at).await? >= u64::from(*most_per_grant) {
        return write.undone(None).await;
    }
    match &token {
        Some(token) => end_token(&mut write, token).await?,
        None => note_jti(&mut write, id, *grant, *until).await?,
    }
    let token = token.map(|token| Token { revoked_at: Some(at), ..token });
    write.done(Some(Revoked { token, count: 1 })).await
}

async fn count_jtis(write: &Write<'_>, grant: GrantId, now: Timestamp) -> Answer<u64> {
    let matters = Condition::any()
        .add(revocation::Column::Until.is_null())
        .add(revocation::Column::Until.gt(now.micros()));
    let count = revocation::Entity::find()
        .filter(revocation::Column::GrantId.eq(grant.to_string()))
        .filter(revocation::Column::Kind.eq(JTI))
        .filter(matters)
        .count(write.on())
        .await?;
    Ok(count)
}

/// Revokes a grant and so all that was made from it. `None`: there is no such grant.
pub(super) async fn revoke_grant(
    store: &SeaStore,
    id: GrantId,
    order: &Order,
) -> Answer<Committed<Option<Revoked>>> {
    let mut write = store.write(order).await?;
    let at = write.at();
    let Some(grant) = lock_grant(&write, id).await? else { return write.undone(None).await };
    if grant.revoked_at.is_some() || grant.expires_at.is_some_and(|end| end <= at) {
        return write.undone(Some(Revoked { token: None, count: 0 })).await;
    }
    let fits = Condition::all().add(token::Column::GrantId.eq(id.to_string()));
    let count = count_live_tokens(&write, fits).await?;
    grant::Entity::update_many()
        .col_expr(grant::Column::RevokedAt, Expr::value(at.micros()))
        .filter(grant::Column::Id.eq(id.to_string()))
        .exec(write.on())
        .await?;
    note_grant(&mut write, &grant).await?;
    write.done(Some(Revoked { token: None, count })).await
}

/// Revokes all grants of a user: a cut. `None`: there is no such user.
pub(super) async fn revoke_user(
    store: &SeaStore,
    id: UserId,
    order: &Order,
) -> Answer<Committed<Option<Revoked>>> {
    let mut write = store.write(order).await?;
    let Some(row) = directory::lock(&write, id).await? else { return write.undone(None).await };
    let fits = Condition::all().add(token::Column::UserId.eq(row.id.as_str()));
    let count = count_live_tokens(&write, fits).await?;
    cut(&mut write, &row, PersonalTokens::Revoke).await?;
    write.done(Some(Revoked { token: None, count })).await
}

/// Notes that the JWTs of a grant are to be refused from now on.
pub(super) async fn note_grant(write: &mut Write<'_>, grant: &Grant) -> Answer<()> {
    let until = grant.expires_at;
    insert_revocation(write, GRANT, &grant.id.to_string(), grant.id, until).await?;
    write.change(Change::Grant { id: grant.id, until, revoked: GrantChange::Revoked });
    Ok(())
}

async fn note_jti(
    write: &mut Write<'_>,
    id: &TokenId,
    grant: GrantId,
    until: Option<Timestamp>,
) -> Answer<()> {
    insert_revocation(write, JTI, &id.to_string(), grant, until).await?;
    write.change(Change::Jti { id: id.clone(), until });
    Ok(())
}

async fn insert_revocation(
    write: &Write<'_>,
    kind: &str,
    id: &str,
    grant: GrantId,
    until: Option<Timestamp>,
) -> Answer<()> {
    let row = revocation::Model {
        kind: kind.to_owned(),
        id: id.to_owned(),
        grant_id: grant.to_string(),
        until: micros(until),
    };
    revocation::Entity::insert(row.into_active_model())
        .on_conflict_do_nothing_on([revocation::Column::Kind, revocation::Column::Id])
        .exec_without_returning(write.on())
        .await?;
    Ok(())
}

async fn lock_token(write: &Write<'_>, id: &TokenId) -> Answer<Option<Token>> {
    let row = token::Entity::find_by_id(id.to_string()).lock_exclusive().one(write.on()).await?;
    row.map(read_token).transpose()
}

async fn lock_grant(write: &Write<'_>, id: GrantId) -> Answer<Option<Grant>> {
    let row = grant::Entity::find_by_id(id.to_string()).lock_exclusive().one(write.on()).await?;
    row.map(read_grant).transpose()
}
