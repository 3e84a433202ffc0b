//! Revocation: of a token, a JWT, a grant, and all that a user has.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};

use super::changes::{GRANT, JTI};
use super::convert::{micros, read};
use super::cut::{count_live_tokens, cut};
use super::entity::{grant, revocation, token};
use super::group::Job;
use super::held::Wanted;
use super::pieces::padded;
use super::purge::DAY;
use super::rows::{read_grant, read_token};
use super::write::{End, Write};
use super::{SeaStore, clock, directory, ending, family};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{
    Answer, Change, Committed, JtiRevocation, Order, PersonalTokens, Revoked,
};
use crate::domain::token::{Grant, GrantId, Token, TokenId, TokenState};

/// What is to be revoked.
pub(super) enum Target {
    /// A token with a row.
    Token(TokenId),
    /// A JWT, with or without a row.
    Jti(JtiRevocation),
    /// A grant, and so all that was made from it.
    Grant(GrantId),
}

/// A revocation that someone has ordered.
pub(super) struct OrderedRevocation {
    /// Of what.
    pub(super) target: Target,
    /// Who ordered it.
    pub(super) order: Order,
}

/// One is done after the other; `change_head` is locked once, after the last.
#[async_trait]
impl Job for OrderedRevocation {
    type Store = SeaStore;
    type Value = Committed<Option<Revoked>>;
    const KIND: &'static str = "revocation";

    async fn write(store: &SeaStore, jobs: &[Self]) -> Answer<Vec<Answer<Self::Value>>> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let mut write = store.write_unasked(&first.order.audit).await?;
        let grants = find_grants(&write, jobs).await?;
        let held = wanted(jobs, &grants).hold(write.on(), LockType::Update).await?;
        let mut ended = Vec::with_capacity(jobs.len());
        for OrderedRevocation { target, order } in jobs {
            write.turn_to(order);
            let end = match (held.admits(order.proof.as_ref()), target) {
                (Err(refused), _) => End::Refused(refused),
                (Ok(()), Target::Token(id)) => match grants.get(id) {
                    Some(grant) => revoke_token(&mut write, id, *grant).await?,
                    None => End::Undone(None),
                },
                (Ok(()), Target::Jti(jti)) => revoke_jti(&mut write, jti).await?,
                (Ok(()), Target::Grant(id)) => revoke_grant(&mut write, *id).await?,
            };
            ended.push(write.end(end));
        }
        write.finish(ended).await
    }
}

/// Finds the grants of the tokens that are to be revoked. A token never changes its grant.
async fn find_grants(
    write: &Write<'_>,
    jobs: &[OrderedRevocation],
) -> Answer<BTreeMap<TokenId, GrantId>> {
    let ids: BTreeSet<_> = jobs.iter().filter_map(|job| job.target.token_with_row()).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids = ids.into_iter().map(TokenId::to_string).collect();
    let rows: Vec<(String, String)> = token::Entity::find()
        .select_only()
        .columns([token::Column::Id, token::Column::GrantId])
        .filter(token::Column::Id.is_in(padded(ids)))
        .into_tuple()
        .all(write.on())
        .await?;
    let parse = |(id, grant): (String, String)| {
        let id = read("tokens.id", TokenId::parse(&id))?;
        Ok((id, read("tokens.grant_id", GrantId::parse(&grant))?))
    };
    rows.into_iter().map(parse).collect()
}

fn wanted(jobs: &[OrderedRevocation], grants: &BTreeMap<TokenId, GrantId>) -> Wanted {
    let mut wanted = Wanted::default();
    for OrderedRevocation { target, order } in jobs {
        wanted.add_proof(order.proof.as_ref());
        match target {
            Target::Token(id) => {
                wanted.add_token(id);
                if let Some(grant) = grants.get(id) {
                    wanted.add_grant(*grant);
                }
            }
            Target::Jti(JtiRevocation { id, grant, until: _, most_per_grant: _ }) => {
                wanted.add_token(id);
                wanted.add_grant(*grant);
            }
            Target::Grant(id) => wanted.add_grant(*id),
        }
    }
    wanted
}

impl Target {
    fn token_with_row(&self) -> Option<&TokenId> {
        match self {
            Self::Token(id) => Some(id),
            Self::Jti(_) | Self::Grant(_) => None,
        }
    }
}

/// Revokes a token with a row. `None`: there is no such token.
async fn revoke_token(
    write: &mut Write<'_>,
    id: &TokenId,
    grant: GrantId,
) -> Answer<End<Option<Revoked>>> {
    let grant_end = lock_grant(write, grant).await?.and_then(|grant| grant.revoked_at);
    let Some(token) = lock_token(write, id).await? else { return Ok(End::Undone(None)) };
    let state = token.state(grant_end, write.at());
    if state == TokenState::Revoked || is_over(write, token.expires_at).await? {
        return Ok(End::Undone(Some(Revoked { token: Some(token), count: 0 })));
    }
    end_token(write, &token).await?;
    let token = Some(Token { revoked_at: Some(write.at()), ..token });
    Ok(End::Done(Some(Revoked { token, count: u32::from(state == TokenState::Active) })))
}

/// Whether what ends then is dead by every clock. By ours alone is not enough: where it is fast,
/// others would go on to accept what nobody has revoked.
async fn is_over(write: &Write<'_>, end: Option<Timestamp>) -> Answer<bool> {
    let Some(end) = end.map(|end| end.plus(DAY)) else { return Ok(false) };
    Ok(end <= write.at() && end <= clock::earlier(write).await?)
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
async fn revoke_jti(write: &mut Write<'_>, jti: &JtiRevocation) -> Answer<End<Option<Revoked>>> {
    let JtiRevocation { id, grant, until, most_per_grant } = jti;
    let at = write.at();
    // Whoever makes a token of this grant waits, or has done so before.
    let _locked = lock_grant(write, *grant).await?;
    let token = lock_token(write, id).await?;
    if is_refused(write, id, *grant).await? || is_over(write, *until).await? {
        return Ok(End::Undone(Some(Revoked { token, count: 0 })));
    }
    if count_jtis(write, *grant, at.minus(DAY)).await? >= u64::from(*most_per_grant) {
        return Ok(End::Undone(None));
    }
    match &token {
        Some(token) => end_token(write, token).await?,
        None => note_jti(write, id, *grant, *until).await?,
    }
    let token = token.map(|token| Token { revoked_at: Some(at), ..token });
    let count = u32::from(until.is_none_or(|end| end > at));
    Ok(End::Done(Some(Revoked { token, count })))
}

/// Whether a check refuses a JWT: it asks for nothing but these rows. That the token or the grant
/// has a row of its own which says so, or has none, is nothing to go by.
async fn is_refused(write: &Write<'_>, id: &TokenId, grant: GrantId) -> Answer<bool> {
    let either = [(JTI.to_owned(), id.to_string()), (GRANT.to_owned(), grant.to_string())];
    for noted in either {
        if revocation::Entity::find_by_id(noted).one(write.on()).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn count_jtis(write: &Write<'_>, grant: GrantId, after: Timestamp) -> Answer<u64> {
    let matters = Condition::any()
        .add(revocation::Column::Until.is_null())
        .add(revocation::Column::Until.gt(after.micros()));
    let count = revocation::Entity::find()
        .filter(revocation::Column::GrantId.eq(grant.to_string()))
        .filter(revocation::Column::Kind.eq(JTI))
        .filter(matters)
        .count(write.on())
        .await?;
    Ok(count)
}

/// Revokes a grant and so all that was made from it, and what was made with its personal token.
/// `None`: there is no such grant.
async fn revoke_grant(write: &mut Write<'_>, id: GrantId) -> Answer<End<Option<Revoked>>> {
    let found = family::lock(write, [id.to_string()].into()).await?;
    if found.is_empty() {
        return Ok(End::Undone(None));
    }
    let ended = ending::end(write, found).await?;
    let revoked = Some(Revoked { token: None, count: ended.tokens });
    Ok(if ended.grants > 0 { End::Done(revoked) } else { End::Undone(revoked) })
}

/// Revokes all grants of a user: a cut. `None`: there is no such user.
pub(super) async fn revoke_user(
    store: &SeaStore,
    id: UserId,
    order: &Order,
) -> Answer<Committed<Option<Revoked>>> {
    let (mut write, row) = directory::write_to(store, id, order).await?;
    let Some(row) = row else { return write.undone(None).await };
    let fits = Condition::all().add(token::Column::UserId.eq(row.id.as_str()));
    let count = count_live_tokens(&write, fits).await?;
    cut(&mut write, &row, PersonalTokens::Revoke).await?;
    write.done(Some(Revoked { token: None, count })).await
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
