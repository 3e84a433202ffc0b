//! Who is next: a lane for each client network, and the lanes take turns.

use std::collections::{HashMap, VecDeque};

/// What waits, by network, and how much of each network's is under way.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    queues: VecDeque<(String, VecDeque<T>)>,
    running: HashMap<String, usize>,
    waiting: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { queues: VecDeque::new(), running: HashMap::new(), waiting: 0 }
    }
}

impl<T> Lanes<T> {
    pub(super) fn push(&mut self, network: &str, item: T) {
        match self.queues.iter_mut().find(|(lane, _)| lane == network) {
            Some((_, items)) => items.push_back(item),
            None => self.queues.push_back((network.to_owned(), [item].into())),
        }
        self.waiting += 1;
    }

    /// Takes the next one, lane by lane, and counts it as under way. A network that has its share
    /// under way already comes last.
    pub(super) fn take(&mut self, share: usize) -> Option<(String, T)> {
        let at = self.queues.iter().position(|(lane, _)| self.running(lane) < share).unwrap_or(0);
        let (network, mut items) = self.queues.remove(at)?;
        let item = items.pop_front()?;
        if !items.is_empty() {
            self.queues.push_back((network.clone(), items));
        }
        self.waiting -= 1;
        *self.running.entry(network.clone()).or_default() += 1;
        Some((network, item))
    }

    /// Takes one out of its lane before its turn. Answers whether it was there.
    pub(super) fn remove(&mut self, network: &str, is_it: impl Fn(&T) -> bool) -> bool {
        let Some(at) = self.queues.iter().position(|(lane, _)| lane == network) else {
            return false;
        };
        let Some((_, items)) = self.queues.get_mut(at) else { return false };
        let before = items.len();
        items.retain(|item| !is_it(item));
        let removed = before - items.len();
        if items.is_empty() {
            self.queues.remove(at);
        }
        self.waiting -= removed;
        removed > 0
    }

    /// One of the network's that was under way has ended.
    pub(super) fn done(&mut self, network: &str) {
        if let Some(count) = self.running.get_mut(network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.running.remove(network);
            }
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many of a network's wait.
    pub(super) fn waiting_of(&self, network: &str) -> usize {
        let lane = self.queues.iter().find(|(lane, _)| lane == network);
        lane.map_or(0, |(_, items)| items.len())
    }

    /// How many of a network's are under way.
    pub(super) fn running(&self, network: &str) -> usize {
        self.running.get(network).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_networks_take_turns() {
        let mut lanes = Lanes::default();
        for number in 0..3 {
            lanes.push("a", number);
        }
        lanes.push("b", 10);
        let mut order = Vec::new();
        while let Some((network, number)) = lanes.take(1) {
            lanes.done(&network);
            order.push(number);
        }
        assert_eq!(order, [0, 10, 1, 2]);
    }

    #[test]
    fn puts_a_network_last_that_has_its_share_under_way() {
        let mut lanes = Lanes::default();
        for number in 0..3 {
            lanes.push("a", number);
        }
        assert_eq!(lanes.take(2).unwrap().1, 0);
        assert_eq!(lanes.take(2).unwrap().1, 1);
        lanes.push("b", 10);
        assert_eq!(lanes.take(2).unwrap().1, 10);
        assert_eq!(lanes.take(2).unwrap().1, 2, "alone it may have more");
        assert!(lanes.take(2).is_none());
    }

    #[test]
    fn gives_up_a_place_before_its_turn() {
        let mut lanes = Lanes::default();
        lanes.push("a", 1);
        lanes.push("a", 2);
        assert!(lanes.remove("a", |number| *number == 1));
        assert!(!lanes.remove("a", |number| *number == 1));
        assert_eq!((lanes.waiting(), lanes.waiting_of("a")), (1, 1));
        assert!(lanes.remove("a", |number| *number == 2));
        assert!(lanes.take(1).is_none());
    }
}
