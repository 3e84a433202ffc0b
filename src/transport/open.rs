//! The connections of a listener that are open, by the address that they come from. What it takes to
//! let one in does not grow with how many there are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::address::Network;
use super::connection::Connection;

/// Among how many addresses the one is looked for that has most connections that wait.
const COMPARED: usize = 16;

/// Connections that are open.
#[derive(Debug, Default)]
pub(super) struct Open {
    next: u64,
    count: usize,
    networks: HashMap<Network, OfNetwork>,
    /// The same networks, those with most connections first, and alike ones in no order that a
    /// stranger could choose.
    by_size: BTreeSet<(Reverse<usize>, u64, Network)>,
    chance: RandomState,
}

#[derive(Debug, Default)]
struct OfNetwork {
    place: u64,
    connections: BTreeMap<u64, Arc<Connection>>,
}

impl Open {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// How many there are of a network.
    pub(super) fn of(&self, network: Network) -> usize {
        self.networks.get(&network).map_or(0, |found| found.connections.len())
    }

    /// Adds one, and answers what it is removed by.
    pub(super) fn insert(&mut self, connection: Arc<Connection>) -> u64 {
        let (id, network) = (self.next, connection.network);
        self.next = id.wrapping_add(1);
        self.resize(network, |of_network| of_network.insert(id, connection));
        id
    }

    /// Removes one, unless it was removed before.
    pub(super) fn remove(&mut self, network: Network, id: u64) -> Option<Arc<Connection>> {
        self.resize(network, |of_network| of_network.remove(&id))
    }

    fn resize<T>(
        &mut self,
        network: Network,
        change: impl FnOnce(&mut BTreeMap<u64, Arc<Connection>>) -> T,
    ) -> T {
        let OfNetwork { place, connections } = self.networks.entry(network).or_default();
        let before = connections.len();
        let changed = change(connections);
        let now = connections.len();
        self.count = self.count - before + now;
        self.by_size.remove(&(Reverse(before), *place, network));
        if now == 0 {
            self.networks.remove(&network);
        } else {
            *place = self.chance.hash_one((self.next, network, now));
            self.by_size.insert((Reverse(now), *place, network));
        }
        changed
    }

    /// Finds the network that has most connections that wait for their clients, among the largest
    /// that have any; of alike ones, that of the one that has waited for longest. `None`: all
    /// connections are being worked for.
    pub(super) fn most_waiting(&self) -> Option<Network> {
        let waiting = |network: Network| {
            let longest = self.waiting(network).map(|(_, open)| open.last()).min()?;
            Some((self.waiting(network).count(), Reverse(longest), network))
        };
        let largest = self.by_size.iter().filter_map(|(_, _, network)| waiting(*network));
        largest.take(COMPARED).max().map(|(_, _, network)| network)
    }

    /// Closes the one of a network that has waited for its client for longest.
    pub(super) fn close_one(&mut self, network: Network) -> Option<()> {
        let (id, _) = self.waiting(network).min_by_key(|(id, open)| (open.last(), *id))?;
        self.remove(network, id)?.cut.cancel();
        Some(())
    }

    fn waiting(&self, network: Network) -> impl Iterator<Item = (u64, &Connection)> {
        let found = self.networks.get(&network).into_iter();
        let connections = found.flat_map(|found| &found.connections);
        connections.filter(|(_, open)| open.is_waiting()).map(|(id, open)| (*id, &**open))
    }
}
