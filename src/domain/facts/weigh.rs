//! What a kept entry costs in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use quick_cache::Weighter;

use crate::domain::identity::{Role, User};
use crate::domain::permission::{Permission, PermissionSet};

/// What an entry costs beside its slot, as measured on a million: five bytes for each place of the
/// cache's table, of which seven in eight are taken at most and half as many just after it grew,
/// and what both leave behind in the allocator when they grow.
const BUCKET: usize = 16;

/// Knows what it keeps beside itself.
pub(in crate::domain) trait Weigh {
    /// Bytes that the allocator gave for what it owns.
    fn heap(&self) -> usize;
}

impl<V: Weigh> Weigh for Option<V> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, V::heap)
    }
}

impl<V: Weigh> Weigh for Arc<V> {
    fn heap(&self) -> usize {
        block(2 * size_of::<usize>() + size_of::<V>()) + V::heap(self)
    }
}

impl<T> Weigh for BTreeSet<T> {
    fn heap(&self) -> usize {
        // Nodes of eleven places, of which five are taken at least.
        let node = block(11 * size_of::<T>() + 2 * size_of::<usize>());
        self.len().div_ceil(5) * node
    }
}

impl Weigh for User {
    fn heap(&self) -> usize {
        let Self {
            id: _,
            realm,
            username,
            display_name,
            state: _,
            generation: _,
            roles,
            created_at: _,
            updated_at: _,
        } = self;
        shared_text(realm.as_str())
            + shared_text(username)
            + shared_text(display_name)
            + roles.heap()
    }
}

impl Weigh for PermissionSet {
    fn heap(&self) -> usize {
        let each = |held: &Permission| {
            // A wide one is kept in a list of its own, too.
            let copies = if held.is_wide() { 2 } else { 1 };
            copies * (size_of::<Permission>() + block(held.as_str().len())) + PermissionSet::PRINT
        };
        self.iter().map(each).sum()
    }
}

impl Weigh for Role {
    fn heap(&self) -> usize {
        let Self { id: _, realm, name, description, permissions } = self;
        shared_text(realm.as_str())
            + shared_text(name.as_str())
            + shared_text(description)
            + permissions.heap()
    }
}

/// Weighs entries in bytes: the slot, its share of the table, and what the value keeps elsewhere.
#[derive(Debug, Clone, Copy)]
pub(in crate::domain) struct Bytes;

impl<K, V: Weigh> Weighter<K, V> for Bytes {
    fn weight(&self, _: &K, value: &V) -> u64 {
        as_weight(slot::<K, V>() + value.heap())
    }
}

/// What an entry costs that keeps nothing elsewhere.
pub(in crate::domain) const fn slot<K, V>() -> usize {
    // As the cache has it: the entry with its place and its uses, and two links.
    size_of::<(Option<(K, V, bool, u16)>, [u32; 2])>() + BUCKET
}

/// What the allocator takes for so many bytes: a word of its own, in steps of sixteen.
const fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        more => (more + 8).next_multiple_of(16),
    }
}

/// What a text costs that may be shared, and is counted as if it were not.
pub(in crate::domain) fn shared_text(text: &str) -> usize {
    block(2 * size_of::<usize>() + text.len())
}

fn as_weight(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
