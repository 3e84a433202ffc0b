//! Tokens and their grants, made.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, Func, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, Order as Sort, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::convert::{micros, token_kind_word};
use super::cut::{count_live_tokens, live_grant, live_token};
use super::entity::{grant, token, user};
use super::group::Job;
use super::held::{Held, Wanted};
use super::pieces::{AT_ONCE, padded};
use super::rows::{grant_row, token_row};
use super::tokens::with_grant;
use super::write::{End, Write};
use super::{SeaStore, ending, family, pieces};
use crate::domain::clock::Timestamp;
use crate::domain::store::{Answer, Change, Committed, GrantChange, NewTokens, Order, StoreError};
use crate::domain::token::{GrantId, Token, TokenId, TokenKind};

/// New tokens that someone has ordered, and their grant where it is new.
pub(super) struct Creation {
    /// What is made.
    pub(super) new: NewTokens,
    /// Who ordered it.
    pub(super) order: Order,
}

/// All rows of one sort go in by one statement. A token is judged by the user and the grant that it
/// is of, too: either may have been removed since the credential was read.
#[async_trait]
impl Job for Creation {
    type Store = SeaStore;
    type Value = Committed<()>;
    const KIND: &'static str = "creation";

    async fn write(store: &SeaStore, jobs: &[Self]) -> Answer<Vec<Answer<Committed<()>>>> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let mut write = store.write_unasked(&first.order.audit).await?;
        let mut wanted = Wanted::default();
        for job in jobs {
            job.want(&mut wanted);
        }
        let held = wanted.hold(write.on(), LockType::Share).await?;
        let fit: Vec<_> = jobs.iter().map(|job| job.fits(&held)).collect();
        let made = jobs.iter().zip(&fit).filter_map(|(job, fits)| fits.is_ok().then_some(job));
        let made: Vec<&Self> = made.collect();
        let grants = made.iter().filter_map(|job| job.new.grant.as_ref());
        let grants: Vec<_> = grants.map(grant_row).collect();
        pieces::insert::<grant::ActiveModel>(write.on(), grants).await?;
        let tokens = made.iter().flat_map(|job| &job.new.tokens);
        let tokens: Vec<_> = tokens.map(token_row).collect();
        pieces::insert::<token::ActiveModel>(write.on(), tokens).await?;
        let prolonged = made.iter().filter_map(|job| job.prolonged(&held)).collect();
        prolong(&write, prolonged).await?;
        let crowded = crowded(&write, &made).await?;
        let mut round = Round { held: &held, made: &made, later: &made, crowded: &crowded };
        let mut ended = Vec::with_capacity(jobs.len());
        for (job, fits) in jobs.iter().zip(fit) {
            write.turn_to(&job.order);
            let end = match fits {
                Ok(()) => {
                    round.later = round.later.get(1..).unwrap_or_default();
                    job.end(&mut write, &round).await?
                }
                Err(refused) => End::Refused(refused),
            };
            ended.push(write.end(end));
        }
        write.finish(ended).await
    }
}

/// What those see who share a transaction.
struct Round<'a> {
    held: &'a Held,
    /// All who make something.
    made: &'a [&'a Creation],
    /// Those of them whose turn comes later.
    later: &'a [&'a Creation],
    /// The users who may have more live tokens than a limit.
    crowded: &'a BTreeSet<String>,
}

impl Creation {
    fn want(&self, wanted: &mut Wanted) {
        let Self { new: NewTokens { grant, tokens, max_live: _ }, order } = self;
        wanted.add_proof(order.proof.as_ref());
        if let Some(grant) = grant {
            wanted.add_user(grant.user);
        }
        for token in tokens {
            wanted.add_user(token.user);
            if grant.is_none() {
                wanted.add_grant(token.grant);
            }
        }
    }

    fn fits(&self, held: &Held) -> Answer<()> {
        let Self { new: NewTokens { grant, tokens, max_live: _ }, order } = self;
        held.admits(order.proof.as_ref())?;
        let is_whole = grant.iter().all(|grant| held.has_user(grant.user))
            && tokens.iter().all(|token| {
                held.has_user(token.user)
                    && (grant.is_some() || held.find_grant(token.grant).is_some())
            });
        if is_whole { Ok(()) } else { Err(StoreError::CallerGone) }
    }

    /// The grant that must end later for these tokens, and when (`None`: never): a revocation is
    /// kept only until its grant's end.
    fn prolonged(&self, held: &Held) -> Option<(GrantId, Option<Timestamp>)> {
        let NewTokens { grant, tokens, max_live: _ } = &self.new;
        let id = tokens.first().filter(|_| grant.is_none())?.grant;
        let now = held.find_grant(id)?.expires_at?;
        let ends = tokens.iter().map(|token| token.expires_at);
        let end = ends.reduce(later)?;
        end.is_none_or(|end| end.micros() > now).then_some((id, end))
    }

    /// Does what is left once all rows are there.
    async fn end(&self, write: &mut Write<'_>, round: &Round<'_>) -> Answer<End<()>> {
        if let Some((id, _)) = self.prolonged(round.held) {
            write.change(Change::Grant { id, until: None, revoked: GrantChange::Restamped });
        }
        if let (Some(most), Some(first)) = (self.new.max_live, self.new.tokens.first())
            && round.crowded.contains(&first.user.to_string())
        {
            let shares = |other: &&Self| {
                let first_of_it = other.new.max_live.and(other.new.tokens.first());
                first_of_it.is_some_and(|other| is_counted_with(first, other))
            };
            // The last one of those who share a limit looks after it for all.
            if !round.later.iter().any(shares) {
                let new = round.made.iter().flat_map(|made| &made.new.tokens);
                let parents = new.filter_map(|token| token.parent.as_ref()).collect();
                let kept = Spared { new: &self.new.tokens, parents };
                evict(write, first, most, kept).await?;
            }
        }
        Ok(End::Done(()))
    }
}

fn is_counted_with(token: &Token, other: &Token) -> bool {
    (token.user, &token.profile, token.kind) == (other.user, &other.profile, other.kind)
}

/// The later of two ends; `None` never comes.
fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// Lets grants end later.
async fn prolong(write: &Write<'_>, grants: Vec<(GrantId, Option<Timestamp>)>) -> Answer<()> {
    let mut ends = BTreeMap::new();
    for (id, end) in grants {
        let known = ends.entry(id.to_string()).or_insert(end);
        *known = later(*known, end);
    }
    for (id, end) in ends {
        grant::Entity::update_many()
            .col_expr(grant::Column::ExpiresAt, Expr::value(micros(end)))
            .filter(grant::Column::Id.eq(id))
            .exec(write.on())
            .await?;
    }
    Ok(())
}

/// Finds the users of bounded tokens who have more rows than the lowest of their limits, dead ones
/// among them: few do, and for the others nothing has to be counted. It looks at an index alone, in
/// one statement for many.
async fn crowded(write: &Write<'_>, made: &[&Creation]) -> Answer<BTreeSet<String>> {
    let bounded = made.iter().filter_map(|job| job.new.max_live.zip(job.new.tokens.first()));
    let (limits, users): (Vec<_>, BTreeSet<_>) =
        bounded.map(|(most, token)| (most, token.user.to_string())).unzip();
    let Some(most) = limits.into_iter().min() else { return Ok(BTreeSet::new()) };
    let beyond = token::Entity::find()
        .select_only()
        .column(token::Column::Id)
        .filter(token::Column::UserId.into_expr().equals((user::Entity, user::Column::Id)))
        .offset(u64::from(most))
        .limit(1)
        .into_query();
    let has_more = ExprTrait::is_not_null(Expr::SubQuery(None, Box::new(beyond.into())));
    let mut crowded = BTreeSet::new();
    for ids in users.into_iter().collect::<Vec<_>>().chunks(AT_ONCE) {
        let found: Vec<String> = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .filter(user::Column::Id.is_in(padded(ids.to_vec())))
            .filter(has_more.clone())
            .into_tuple()
            .all(write.on())
            .await?;
        crowded.extend(found);
    }
    Ok(crowded)
}

/// What may not be revoked to make room.
struct Spared<'a> {
    /// The tokens that room is made for.
    new: &'a [Token],
    /// What new tokens were made with: they would end with these, and with all above these.
    parents: Vec<&'a TokenId>,
}

/// Revokes those of a user's live tokens of one profile that are over the number, the unused for
/// longest first. What was made from a personal token, or with it, ends with it.
async fn evict(write: &mut Write<'_>, sample: &Token, most: u32, spared: Spared<'_>) -> Answer<()> {
    let kind = token_kind_word(sample.kind);
    let fits = Condition::all()
        .add(token::Column::UserId.eq(sample.user.to_string()))
        .add(token::Column::Profile.eq(sample.profile.as_str()))
        // Refresh tokens of the profile end with their grants. A part of the statement, and no value
        // beside it, for the index on live tokens is of some.
        .add(ExprTrait::eq(token::Column::Kind.into_expr(), Expr::cust(format!("'{kind}'"))));
    // Those without an end, and those whose end is to come: each is a range of an index, and what
    // has expired is in neither.
    let endless = fits.clone().add(token::Column::ExpiresAt.is_null());
    let ending = fits.clone().add(token::Column::ExpiresAt.gt(write.at().micros()));
    let live = count_live_tokens(write, endless).await?;
    let live = live.saturating_add(count_live_tokens(write, ending).await?);
    let over = live.saturating_sub(most);
    if over == 0 {
        return Ok(());
    }
    let last_use = Func::coalesce([
        token::Column::LastUsedAt.into_expr(),
        token::Column::CreatedAt.into_expr(),
    ]);
    let at = write.at();
    let mut kept = family::ancestors(write, spared.parents).await?;
    kept.extend(spared.new.iter().map(|token| token.id.to_string()));
    let rows = token::Entity::find()
        .find_also_related(grant::Entity)
        .filter(fits)
        .filter(live_token(at))
        .filter(live_grant(at))
        .filter(token::Column::Id.is_not_in(kept))
        .order_by(last_use, Sort::Asc)
        .order_by_asc(token::Column::Id)
        .limit(u64::from(over))
        .all(write.on())
        .await?;
    let (mut grants, mut tokens) = (BTreeSet::new(), Vec::new());
    for row in rows {
        let (token, grant) = with_grant(row)?;
        match token.kind {
            TokenKind::Personal => drop(grants.insert(grant.id.to_string())),
            TokenKind::Operation | TokenKind::Refresh => tokens.push(token),
        }
    }
    ending::end_tokens(write, tokens).await?;
    let grants = family::lock(write, grants).await?;
    ending::end(write, grants).await?;
    Ok(())
}
