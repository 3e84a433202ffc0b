//! Tokens: found, listed, noted as used.

use std::collections::BTreeMap;

use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::SeaStore;
use super::convert::{broken, read, role_id, token_kind_word};
use super::entity::{grant, token, user, user_role};
use super::pieces::pieces;
use super::rows::{read_grant, read_token, read_user};
use super::write::Write;
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{Answer, Owned, TokenName, TokenQuery};
use crate::domain::token::{Grant, GrantId, Token, TokenDigest, TokenId, TokenKind, TokenState};

/// How many tokens one statement notes a use of. It looks at as many cases for each.
const TOUCHED_AT_ONCE: usize = 64;

/// Finds a token with its grant and whose it is, in one statement: so all of it is of one moment.
pub(super) async fn find_owned(store: &SeaStore, name: TokenName<'_>) -> Answer<Option<Owned>> {
    let is_named = match name {
        TokenName::Id(id) => token::Column::Id.eq(id.to_string()),
        TokenName::Digest(digest) => token::Column::Digest.eq(digest.as_bytes().to_vec()),
    };
    let rows = token::Entity::find()
        .find_also_related(grant::Entity)
        .find_also(token::Entity, user::Entity)
        .find_also(user::Entity, user_role::Entity)
        .filter(is_named)
        .all(&store.readers)
        .await?;
    let roles = rows.iter().filter_map(|(_, _, _, assigned)| assigned.as_ref());
    let roles = roles.map(|assigned| role_id(&assigned.role_id)).collect::<Answer<_>>()?;
    let Some((token, grant, Some(owner), _)) = rows.into_iter().next() else { return Ok(None) };
    let (token, grant) = with_grant((token, grant))?;
    Ok(Some(Owned { token, grant, owner: read_user(owner, roles)? }))
}

/// Finds the personal token that a grant was made for.
pub(super) async fn find_root(store: &SeaStore, id: GrantId) -> Answer<Option<TokenId>> {
    let found: Option<String> = token::Entity::find()
        .select_only()
        .column(token::Column::Id)
        .filter(token::Column::GrantId.eq(id.to_string()))
        .filter(token::Column::Kind.eq(token_kind_word(TokenKind::Personal)))
        .limit(1)
        .into_tuple()
        .one(&store.readers)
        .await?;
    found.map(|id| read("tokens.id", TokenId::parse(&id))).transpose()
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
    let mut latest = BTreeMap::new();
    for (id, at) in uses {
        let latest = latest.entry(id.to_string()).or_insert(*at);
        *latest = (*latest).max(*at);
    }
    let uses: Vec<_> = latest.into_iter().collect();
    let transaction = store.begin().await?;
    for piece in pieces(&uses, TOUCHED_AT_ONCE) {
        touch_piece(&transaction, piece).await?;
    }
    store.commit(transaction).await
}

/// Notes when these were last accepted, in one statement.
async fn touch_piece(
    transaction: &DatabaseTransaction,
    uses: &[(String, Timestamp)],
) -> Answer<()> {
    let ids = || uses.iter().map(|(id, _)| id.as_str());
    // In one order, so that no two replicas wait for each other.
    let _: Vec<String> = token::Entity::find()
        .select_only()
        .column(token::Column::Id)
        .filter(token::Column::Id.is_in(ids()))
        .order_by_asc(token::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(transaction)
        .await?;
    let later = uses.iter().fold(CaseStatement::new(), |cases, (id, at)| {
        let earlier = Condition::any()
            .add(token::Column::LastUsedAt.is_null())
            .add(token::Column::LastUsedAt.lt(at.micros()));
        let this = Condition::all().add(token::Column::Id.eq(id.as_str())).add(earlier);
        cases.case(this, Expr::value(at.micros()))
    });
    token::Entity::update_many()
        .col_expr(
            token::Column::LastUsedAt,
            later.finally(Expr::col(token::Column::LastUsedAt)).into(),
        )
        .filter(token::Column::Id.is_in(ids()))
        .exec(transaction)
        .await?;
    Ok(())
}
