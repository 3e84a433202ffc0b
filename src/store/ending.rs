//! The end of grants: of the ones that are named, and of those that die with them.
//!
//! What is kept of an end in `revocations` is for JWTs, which are checked without a row. It lasts
//! until the last JWT that may have been made from the grant has expired: an opaque token is told
//! dead by its own row, or by the absence of that.

use std::collections::BTreeMap;

use sea_orm::sea_query::{CaseStatement, Expr, Func};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _,
};

use super::changes::{GRANT, JTI};
use super::convert::{micros, time, token_kind_word};
use super::cut::live_token;
use super::entity::{grant, revocation, token};
use super::family;
use super::pieces::{AT_ONCE, insert_new, padded};
use super::purge::DAY;
use super::rows::read_grant;
use super::write::Write;
use crate::domain::clock::Timestamp;
use crate::domain::store::{Answer, Change, GrantChange};
use crate::domain::token::{Grant, GrantId, Token, TokenId, TokenKind};

/// What ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The grants.
    pub(super) grants: Vec<String>,
    /// Those of them that `revocations` tells of.
    pub(super) noted: Vec<String>,
    /// How many tokens with a row that were alive.
    pub(super) tokens: u32,
}

/// Ends grants that are locked, and those of all personal tokens below theirs. One that has ended
/// is left as it is, but what is below it ends: a version that knows no parents may have ended it.
pub(super) async fn end(write: &mut Write<'_>, roots: Vec<grant::Model>) -> Answer<Ended> {
    let mut contents = look_into(write, &roots).await?;
    let mut all = roots;
    let is_personal =
        |row: &grant::Model| contents.get(&row.id).is_some_and(|held| held.personal > 0);
    if all.iter().any(is_personal) {
        all = family::with_descendants(write, all).await?;
        let below: Vec<_> =
            all.iter().filter(|row| !contents.contains_key(&row.id)).cloned().collect();
        contents.extend(look_into(write, &below).await?);
    }
    let at = write.at();
    all.retain(|row| {
        // By the clock that is behind: by ours alone, what others accept could be left alive.
        let now = contents.get(&row.id).map(|held| held.clock().min(at));
        let over = now.zip(time(row.expires_at)).is_some_and(|(now, end)| end.plus(DAY) <= now);
        row.revoked_at.is_none() && !over
    });
    let ids: Vec<_> = all.iter().map(|row| row.id.clone()).collect();
    for ids in ids.chunks(AT_ONCE) {
        grant::Entity::update_many()
            .col_expr(grant::Column::RevokedAt, Expr::value(at.micros()))
            .filter(grant::Column::Id.is_in(padded(ids.to_vec())))
            .exec(write.on())
            .await?;
    }
    note_with(write, all, &contents).await
}

/// Notes the end of grants that nobody can make a token from any more.
pub(super) async fn note(write: &mut Write<'_>, ended: Vec<grant::Model>) -> Answer<()> {
    let contents = look_into(write, &ended).await?;
    note_with(write, ended, &contents).await?;
    Ok(())
}

/// Notes the end of grants.
async fn note_with(
    write: &mut Write<'_>,
    ended: Vec<grant::Model>,
    contents: &BTreeMap<String, Contents>,
) -> Answer<Ended> {
    let at = write.at();
    let grants = ended.iter().map(|row| row.id.clone()).collect();
    let mut rows = Vec::new();
    let mut alive = 0;
    for row in ended {
        let held = contents.get(&row.id);
        let grant = read_grant(row)?;
        if grant.expires_at.is_none_or(|end| end > at) {
            alive += held.map_or(0, |held| held.live);
        }
        let until = match last_jwt(&grant, held) {
            LastJwt::None => Some(at),
            LastJwt::Ends(until) => {
                let id = grant.id.to_string();
                let (kind, grant_id) = (GRANT.to_owned(), id.clone());
                rows.push(revocation::Model { kind, id, grant_id, until: micros(until) });
                until
            }
        };
        write.change(Change::Grant { id: grant.id, until, revoked: GrantChange::Revoked });
    }
    let noted = rows.iter().map(|row: &revocation::Model| row.id.clone()).collect();
    insert_revocations(write, rows).await?;
    Ok(Ended { grants, noted, tokens: u32::try_from(alive).unwrap_or(u32::MAX) })
}

/// Ends live tokens of grants that live on: JWTs by their `jti`.
pub(super) async fn end_tokens(write: &mut Write<'_>, tokens: Vec<Token>) -> Answer<()> {
    let ids: Vec<_> = tokens.iter().map(|token| token.id.to_string()).collect();
    for ids in ids.chunks(AT_ONCE) {
        token::Entity::update_many()
            .col_expr(token::Column::RevokedAt, Expr::value(write.at().micros()))
            .filter(token::Column::Id.is_in(padded(ids.to_vec())))
            .exec(write.on())
            .await?;
    }
    let mut rows = Vec::new();
    for Token { id, grant, digest, expires_at: until, .. } in tokens {
        match digest {
            Some(digest) => write.change(Change::Token(digest)),
            None => rows.push(ended_jti(write, id, grant, until)),
        }
    }
    insert_revocations(write, rows).await
}

/// Ends a JWT that has no row.
pub(super) async fn end_jti(
    write: &mut Write<'_>,
    id: TokenId,
    grant: GrantId,
    until: Option<Timestamp>,
) -> Answer<()> {
    let row = ended_jti(write, id, grant, until);
    insert_revocations(write, vec![row]).await
}

/// Notes that a JWT has ended, and answers what is kept of that.
fn ended_jti(
    write: &mut Write<'_>,
    id: TokenId,
    grant: GrantId,
    until: Option<Timestamp>,
) -> revocation::Model {
    let (kind, grant_id) = (JTI.to_owned(), grant.to_string());
    let row = revocation::Model { kind, id: id.to_string(), grant_id, until: micros(until) };
    write.change(Change::Jti { id, until });
    row
}

/// Keeps what was revoked, but for what is kept already.
async fn insert_revocations(write: &Write<'_>, rows: Vec<revocation::Model>) -> Answer<()> {
    let key = [revocation::Column::Kind, revocation::Column::Id];
    Ok(insert_new::<revocation::ActiveModel>(write.on(), rows, &key).await?)
}

/// What the rows of a grant's tokens say.
#[derive(Debug, FromQueryResult)]
struct Contents {
    grant_id: String,
    /// How many tokens are alive, by our clock.
    live: i64,
    personal: i64,
    refresh: i64,
    /// How many JWTs never end.
    endless_jwts: i64,
    /// When the last JWT ends that does.
    last_jwt: Option<i64>,
    /// The database's time.
    clock: i64,
}

impl Contents {
    fn clock(&self) -> Timestamp {
        Timestamp::from_micros(self.clock)
    }
}

/// When the last JWT ends that may have been made from a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastJwt {
    /// None that could still be shown was ever made.
    None,
    /// Then; `None`: never.
    Ends(Option<Timestamp>),
}

/// Judges by its rows which JWTs a grant may have, once no more can be made.
///
/// `CreateToken` leaves a row of each, which stays until a day after its end, or after its own
/// revocation, which is kept on its own. Those that a refresh made have no row, and end with the
/// grant at the latest. They are where a refresh token is, or was: its row stays for a day at
/// least. None is in the grant of a personal token, nor in one without an end, for the settings
/// give refresh tokens to what ends alone.
fn last_jwt(grant: &Grant, held: Option<&Contents>) -> LastJwt {
    let had_refresh = match held {
        Some(held) if held.refresh > 0 => true,
        Some(held) if held.personal > 0 => false,
        Some(held) => grant.expires_at.is_some() && grant.created_at.plus(DAY) <= held.clock(),
        None => grant.expires_at.is_some(),
    };
    match held {
        _ if had_refresh => LastJwt::Ends(grant.expires_at),
        None => LastJwt::None,
        Some(held) if held.endless_jwts > 0 => LastJwt::Ends(None),
        Some(held) => time(held.last_jwt).map_or(LastJwt::None, |end| LastJwt::Ends(Some(end))),
    }
}

/// Reads what grants hold, in one statement for many.
async fn look_into(
    write: &Write<'_>,
    grants: &[grant::Model],
) -> Answer<BTreeMap<String, Contents>> {
    let ids: Vec<_> = grants.iter().map(|row| row.id.clone()).collect();
    let count = |fits: Condition| Func::count(CaseStatement::new().case(fits, Expr::cust("1")));
    let kind = |kind| Condition::all().add(token::Column::Kind.eq(token_kind_word(kind)));
    let jwt = || Condition::all().add(token::Column::Digest.is_null());
    let mut contents = BTreeMap::new();
    for ids in ids.chunks(AT_ONCE) {
        let rows: Vec<Contents> = token::Entity::find()
            .select_only()
            .column(token::Column::GrantId)
            .expr_as(count(live_token(write.at())), "live")
            .expr_as(count(kind(TokenKind::Personal)), "personal")
            .expr_as(count(kind(TokenKind::Refresh)), "refresh")
            .expr_as(count(jwt().add(token::Column::ExpiresAt.is_null())), "endless_jwts")
            .expr_as(
                Func::max(CaseStatement::new().case(jwt(), token::Column::ExpiresAt.into_expr())),
                "last_jwt",
            )
            .expr_as(Expr::cust(write.store().engine.clock()), "clock")
            .filter(token::Column::GrantId.is_in(padded(ids.to_vec())))
            .group_by(token::Column::GrantId)
            .into_model()
            .all(write.on())
            .await?;
        contents.extend(rows.into_iter().map(|held| (held.grant_id.clone(), held)));
    }
    Ok(contents)
}
