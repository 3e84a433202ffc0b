//! Revocation: of a token, a JWT, a grant, and all that a user has.

use async_trait::async_trait;
use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};

use super::changes::JTI;
use super::convert::time;
use super::cut::{count_live_tokens, cut};
use super::entity::{revocation, token};
use super::group::Job;
use super::held::{Held, Wanted};
use super::purge::DAY;
use super::rows::read_token;
use super::write::{End, Write};
use super::{SeaStore, clock, directory, ending};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{Answer, Committed, JtiRevocation, Order, PersonalTokens, Revoked};
use crate::domain::token::{GrantId, Token, TokenId, TokenState};

/// What is to be revoked.
pub(super) enum Target {
    /// A token with a row, and its grant, which never changes.
    Token(TokenId, GrantId),
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
        let mut held = wanted(jobs).hold(write.on(), LockType::Update).await?;
        // Before any of them is done: they came at once.
        let admitted: Vec<_> =
            jobs.iter().map(|job| held.admits(job.order.proof.as_ref())).collect();
        let mut ended = Vec::with_capacity(jobs.len());
        for (OrderedRevocation { target, order }, admitted) in jobs.iter().zip(admitted) {
            write.turn_to(order);
            let end = match (admitted, target) {
                (Err(refused), _) => End::Refused(refused),
                (Ok(()), Target::Token(id, grant)) => {
                    revoke_token(&mut write, &mut held, id, *grant).await?
                }
                (Ok(()), Target::Jti(jti)) => revoke_jti(&mut write, &mut held, jti).await?,
                (Ok(()), Target::Grant(id)) => revoke_grant(&mut write, &mut held, *id).await?,
            };
            ended.push(write.end(end));
        }
        write.finish(ended).await
    }
}

fn wanted(jobs: &[OrderedRevocation]) -> Wanted {
    let mut wanted = Wanted::default();
    for OrderedRevocation { target, order } in jobs {
        wanted.add_proof(order.proof.as_ref());
        match target {
            Target::Token(id, grant) => {
                wanted.add_token(id);
                wanted.add_grant(*grant);
            }
            // Whoever makes a token of this grant waits, or has done so before.
            Target::Jti(jti) => wanted.add_jwt(&jti.id, jti.grant),
            Target::Grant(id) => wanted.add_grant(*id),
        }
    }
    wanted
}

/// Revokes a token with a row. `None`: there is no such token.
async fn revoke_token(
    write: &mut Write<'_>,
    held: &mut Held,
    id: &TokenId,
    grant: GrantId,
) -> Answer<End<Option<Revoked>>> {
    let Some(token) = find_token(held, id)? else { return Ok(End::Undone(None)) };
    let grant_end = grant_end(held, grant);
    let state = token.state(grant_end, write.at());
    if state == TokenState::Revoked || is_over(write, token.expires_at).await? {
        return Ok(End::Undone(Some(Revoked { token: Some(token), grant_end, count: 0 })));
    }
    ending::end_tokens(write, vec![token.clone()]).await?;
    held.note_token(id, write.at());
    let token = Some(Token { revoked_at: Some(write.at()), ..token });
    let count = u32::from(state == TokenState::Active);
    Ok(End::Done(Some(Revoked { token, grant_end, count })))
}

/// Whether what ends then is dead by every clock. By ours alone is not enough: where it is fast,
/// others would go on to accept what nobody has revoked.
async fn is_over(write: &Write<'_>, end: Option<Timestamp>) -> Answer<bool> {
    let Some(end) = end.map(|end| end.plus(DAY)) else { return Ok(false) };
    Ok(end <= write.at() && end <= clock::earlier(write).await?)
}

/// Revokes a JWT, with or without a row, by its `jti`. `None`: its grant has as many revoked ones
/// as it may.
async fn revoke_jti(
    write: &mut Write<'_>,
    held: &mut Held,
    jti: &JtiRevocation,
) -> Answer<End<Option<Revoked>>> {
    let JtiRevocation { id, grant, until, most_per_grant } = jti;
    let at = write.at();
    let token = find_token(held, id)?;
    let grant_end = grant_end(held, *grant);
    if held.refuses(id, *grant) || is_over(write, *until).await? {
        return Ok(End::Undone(Some(Revoked { token, grant_end, count: 0 })));
    }
    if count_jtis(write, *grant, at.minus(DAY)).await? >= u64::from(*most_per_grant) {
        return Ok(End::Undone(None));
    }
    match &token {
        Some(token) => ending::end_tokens(write, vec![token.clone()]).await?,
        None => ending::end_jti(write, id.clone(), *grant, *until).await?,
    }
    held.note_token(id, at);
    let token = token.map(|token| Token { revoked_at: Some(at), ..token });
    let count = u32::from(until.is_none_or(|end| end > at));
    Ok(End::Done(Some(Revoked { token, grant_end, count })))
}

fn find_token(held: &Held, id: &TokenId) -> Answer<Option<Token>> {
    held.find_token(id).cloned().map(read_token).transpose()
}

/// When a grant was revoked; `None`: it was not, or has no row.
fn grant_end(held: &Held, id: GrantId) -> Option<Timestamp> {
    time(held.find_grant(id)?.revoked_at)
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
async fn revoke_grant(
    write: &mut Write<'_>,
    held: &mut Held,
    id: GrantId,
) -> Answer<End<Option<Revoked>>> {
    let Some(row) = held.find_grant(id).cloned() else { return Ok(End::Undone(None)) };
    let ended = ending::end(write, vec![row]).await?;
    held.note_grants(&ended, write.at());
    let grant_end = grant_end(held, id);
    let revoked = Some(Revoked { token: None, grant_end, count: ended.tokens });
    Ok(if ended.grants.is_empty() { End::Undone(revoked) } else { End::Done(revoked) })
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
    write.done(Some(Revoked { token: None, grant_end: None, count })).await
}
