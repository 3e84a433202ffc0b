//! Which facts a change has made untrue, and since when.

use std::collections::HashMap;

use super::FactKey;
use crate::domain::store::Seq;

/// How many marks are remembered before the older ones become the floor.
pub(super) const MOST_MARKS: usize = 100_000;

/// The newest change of each key. A fact that was read before it is no fact any more.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    pub(super) by_key: HashMap<FactKey, Seq>,
    // The newest of the marks that were forgotten: it stands for all of them.
    pub(super) floor: Option<Seq>,
    // How many are remembered.
    pub(super) most: usize,
    /// How often the lease was ended.
    pub(super) suspensions: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { by_key: HashMap::new(), floor: None, most: MOST_MARKS, suspensions: 0 }
    }
}

impl Marks {
    /// Notes that a change was about a key.
    pub(super) fn raise(&mut self, key: FactKey, seq: Seq) {
        if self.by_key.len() >= self.most {
            self.floor = self.by_key.values().copied().max().max(self.floor);
            self.by_key.clear();
        }
        self.by_key.insert(key, seq);
    }

    /// Whether what was read after `as_of` was known may be believed.
    pub(super) fn admits(&self, key: &FactKey, as_of: Seq) -> bool {
        self.floor.is_none_or(|floor| as_of >= floor)
            && self.by_key.get(key).is_none_or(|mark| as_of >= *mark)
    }
}
