//! Calls that miss the same fact share one read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::facts::FactKey;

type Locks = Arc<Mutex<HashMap<FactKey, Arc<tokio::sync::Mutex<()>>>>>;

/// One read at a time for each fact.
#[derive(Debug, Default)]
pub(super) struct Loads(Locks);

impl Loads {
    /// Waits until nobody else reads this fact. The turn ends when it is dropped.
    pub(super) async fn turn(&self, key: FactKey) -> Turn {
        let lock = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key.clone()).or_default())
        };
        // Before the wait, so that a caller who gives up leaves nothing behind.
        let mut turn = Turn { all: Arc::clone(&self.0), key, guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }
}

/// A turn at reading one fact.
pub(super) struct Turn {
    all: Locks,
    key: FactKey,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // The map's own is the last one left: nobody waits.
        if all.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            all.remove(&self.key);
        }
    }
}
