//! Facts of one sort: as many as fit in so many bytes.

use std::hash::Hash;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction};
use quick_cache::{DefaultHashBuilder, OptionsBuilder};

use super::weigh::{Bytes, Weigh};

/// Facts of one sort. What comes in drops what was not asked for lately; what is larger than a
/// part of the shelf is not kept at all.
#[derive(Debug)]
pub(in crate::domain) struct Shelf<K, V>(Cache<K, V, Bytes>);

impl<K: Hash + Eq + Clone, V: Clone + Weigh> Shelf<K, V> {
    /// Makes one of so many bytes. Its parts, each with a lock of its own, have room for 32 entries
    /// of `usual` bytes at least.
    pub(in crate::domain) fn new(bytes: usize, usual: usize) -> Self {
        let entries = bytes / usual.max(1);
        let weight = u64::try_from(bytes).unwrap_or(u64::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(weight)
            // Half for what was asked for again, and half to wait in for that: so that what is in
            // use today gets in where all is full of what was in use yesterday. Names of what was
            // dropped would do that too, but each takes a slot that nobody counts.
            .hot_allocation(0.5)
            .ghost_allocation(0.0)
            .build();
        Self(match options {
            Ok(options) => Cache::with_options(
                options,
                Bytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            // It misses nothing that is not given here.
            Err(_) => Cache::with_weighter(entries, weight, Bytes),
        })
    }

    /// Answers a copy of what is kept under a key. It allocates nothing that the copy does not.
    pub(in crate::domain) fn get(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    /// Keeps it, if it fits.
    pub(in crate::domain) fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    pub(super) fn remove(&self, key: &K) {
        self.0.remove(key);
    }

    /// Changes what is kept under a key; where nothing is, nothing is done.
    pub(super) fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        // What it answers where nothing is kept is a place that is given back here.
        drop(self.0.entry(key, Some(Duration::ZERO), |_, value| {
            change(value);
            EntryAction::Retain(())
        }));
    }

    /// How many there are.
    pub(in crate::domain) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes they take.
    pub(in crate::domain) fn bytes(&self) -> usize {
        usize::try_from(self.0.weight()).unwrap_or(usize::MAX)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.0.iter()
    }

    /// The bytes of the slots, as the cache counts them.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.0.memory_used().entries
    }
}
