//! When tokens were last used: kept here, and written to the database in batches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::Timestamp;
use super::token::TokenId;

/// The most that is kept until the next batch. What comes beyond is not noted.
const MOST: usize = 100_000;

type Noted = HashMap<TokenId, Timestamp>;

#[derive(Debug, Default)]
struct Batches {
    pending: Noted,
    /// Of refresh tokens that a rotation put into use: noted without a bound of their own, for a
    /// successor that was seen in use must not pass for an unused one.
    refreshes: Noted,
    /// What was written by the last two batches, the last first. A refresh that had read the
    /// database before must still find it.
    written: [Noted; 2],
}

/// Uses that the database does not know yet.
#[derive(Debug, Default)]
pub struct Uses(Mutex<Batches>);

impl Uses {
    /// Notes a use.
    pub fn note(&self, id: &TokenId, now: Timestamp) {
        let mut batches = self.batches();
        if batches.pending.len() < MOST || batches.pending.contains_key(id) {
            raise(&mut batches.pending, id, now);
        }
    }

    /// Notes that a refresh token is in use: what it made was accepted.
    pub fn note_refresh(&self, id: &TokenId, now: Timestamp) {
        raise(&mut self.batches().refreshes, id, now);
    }

    /// Whether a use of this token was noted, and not written long ago.
    #[must_use]
    pub fn has(&self, id: &TokenId) -> bool {
        let batches = self.batches();
        let Batches { pending, refreshes, written: [last, before] } = &*batches;
        [pending, refreshes, last, before].iter().any(|noted| noted.contains_key(id))
    }

    /// Lists what is to be written.
    #[must_use]
    pub fn list(&self) -> Vec<(TokenId, Timestamp)> {
        let batches = self.batches();
        let all = batches.pending.iter().chain(&batches.refreshes);
        all.map(|(id, at)| (id.clone(), *at)).collect()
    }

    /// Lists the refresh tokens that are to be written: other replicas wait for these.
    #[must_use]
    pub fn list_refreshes(&self) -> Vec<(TokenId, Timestamp)> {
        self.batches().refreshes.iter().map(|(id, at)| (id.clone(), *at)).collect()
    }

    /// Takes what was written off the list, but for what was used again since.
    pub fn wrote(&self, written: Vec<(TokenId, Timestamp)>) {
        let mut batches = self.batches();
        for (id, at) in &written {
            let Batches { pending, refreshes, written: _ } = &mut *batches;
            for noted in [pending, refreshes] {
                if noted.get(id) == Some(at) {
                    noted.remove(id);
                }
            }
        }
        let [last, _] = std::mem::take(&mut batches.written);
        batches.written = [written.into_iter().collect(), last];
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(noted: &mut Noted, id: &TokenId, now: Timestamp) {
    match noted.get_mut(id) {
        Some(last) => *last = now.max(*last),
        None => drop(noted.insert(id.clone(), now)),
    }
}
