//! Turns: how many sign-ins are counted and hashed at once, and who is next.
//!
//! A turn comes before anything is written. So a storm waits here, in memory and by network, and not
//! for the database, whose writers others need as well: each sign-in writes twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time;

use super::lanes::Lanes;
use super::{PoolSize, RETRY_AFTER};
use crate::domain::error::Error;

/// Who may sign in now.
#[derive(Debug)]
pub(super) struct Turns {
    size: PoolSize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Lanes<Ticket>,
    // How many turns are taken.
    taken: usize,
    tickets: u64,
}

#[derive(Debug)]
struct Ticket {
    number: u64,
    call: oneshot::Sender<()>,
}

/// A turn, or a place in the queue for one. Dropped, it is given back.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    network: String,
    number: u64,
}

impl Turn {
    pub(super) fn network(&self) -> &str {
        &self.network
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.give_back(&self.network, self.number);
    }
}

impl Turns {
    pub(super) fn new(size: PoolSize) -> Self {
        Self { size, state: Mutex::default() }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Error::Busy`]: at once where there is no place for this network, or where its turn does
    /// not come in time.
    pub(super) async fn enter(self: &Arc<Self>, network: &str) -> Result<Turn, Error> {
        let (turn, called) = self.queue(network)?;
        match time::timeout(self.size.wait, called).await {
            Ok(Ok(())) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// Takes a place, and answers what tells that its turn has come.
    fn queue(self: &Arc<Self>, network: &str) -> Result<(Turn, oneshot::Receiver<()>), Error> {
        let mut state = self.state();
        // Who has a turn and no thread waits as well.
        let threads = self.size.threads.max(1);
        let all = state.lanes.waiting() + state.taken.saturating_sub(threads);
        let own =
            state.lanes.waiting_of(network) + state.lanes.running(network).saturating_sub(threads);
        // Never the whole queue, though nobody else is there: a newcomer finds a place.
        let share = if all > own { self.size.queue / 4 } else { self.size.queue / 2 };
        if all >= self.size.queue || own >= share.max(1) {
            return Err(busy());
        }
        let (call, called) = oneshot::channel();
        state.tickets += 1;
        let number = state.tickets;
        state.lanes.push(network, Ticket { number, call });
        self.call_next(&mut state);
        drop(state);
        let turn = Turn { turns: Arc::clone(self), network: network.to_owned(), number };
        Ok((turn, called))
    }

    fn call_next(&self, state: &mut State) {
        let most = self.size.turns.max(self.size.threads).max(1);
        while state.taken < most {
            let Some((_, ticket)) = state.lanes.take((most / 2).max(1)) else { return };
            state.taken += 1;
            // Who has left in this moment gives it back.
            ticket.call.send(()).ok();
        }
    }

    fn give_back(&self, network: &str, number: u64) {
        let mut state = self.state();
        if !state.lanes.remove(network, |ticket| ticket.number == number) {
            state.taken -= 1;
            state.lanes.done(network);
            self.call_next(&mut state);
        }
    }

    /// How many wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.state().lanes.waiting()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> Error {
    Error::Busy { retry_after: RETRY_AFTER }
}

impl PoolSize {
    /// How long who finds a place waits for a turn at most.
    pub const WAIT: Duration = Duration::from_secs(10);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 5;

    fn turns(queue: usize) -> Arc<Turns> {
        let wait = Duration::from_mins(1);
        Arc::new(Turns::new(PoolSize { threads: 1, turns: MOST, queue, wait }))
    }

    /// Takes places until there is none for this network.
    fn fill(turns: &Arc<Turns>, network: &str) -> Vec<(Turn, oneshot::Receiver<()>)> {
        std::iter::from_fn(|| turns.queue(network).ok()).collect()
    }

    #[test]
    fn leaves_half_of_the_queue_to_others_though_nobody_else_is_there() {
        let turns = turns(1000);
        let crowd = fill(&turns, "a");
        assert_eq!(crowd.len(), 500 + 1, "half of the queue, and the thread");
        let newcomers: Vec<_> =
            (0..8).map(|number| turns.queue(&format!("b{number}")).unwrap()).collect();
        assert_eq!(newcomers.len(), 8);
    }

    #[test]
    fn gives_one_network_a_quarter_while_others_wait() {
        let turns = turns(1000);
        let crowd = fill(&turns, "a");
        let second = fill(&turns, "b");
        assert_eq!((crowd.len(), second.len()), (501, 250));
    }

    #[test]
    fn turns_everybody_away_where_the_queue_is_full() {
        let turns = turns(8);
        let all: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| fill(&turns, name)).into();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 8 + 1);
        assert!(matches!(turns.queue("f"), Err(Error::Busy { .. })));
    }

    #[tokio::test]
    async fn calls_a_newcomer_before_the_crowd() {
        let turns = turns(1000);
        let mut crowd = fill(&turns, "a");
        let (_newcomer, called) = turns.queue("b").unwrap();
        let served = crowd.iter_mut().filter_map(|(_, called)| called.try_recv().ok()).count();
        assert_eq!(served, MOST);
        // One of those that have a turn ends.
        drop(crowd.remove(0));
        called.await.unwrap();
    }

    #[tokio::test]
    async fn gives_the_place_of_who_left_to_others() {
        let turns = turns(1000);
        for (turn, _called) in fill(&turns, "a") {
            drop(turn);
        }
        {
            let state = turns.state();
            assert_eq!((state.taken, state.lanes.waiting(), state.lanes.running("a")), (0, 0, 0));
        }
        turns.enter("a").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn says_that_it_is_busy_where_a_turn_does_not_come_in_time() {
        let turns = turns(1000);
        let crowd = fill(&turns, "a");
        assert!(matches!(turns.enter("b").await, Err(Error::Busy { .. })));
        assert_eq!(turns.waiting(), crowd.len() - MOST, "its place is free again");
    }
}
