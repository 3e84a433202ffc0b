//! The bytes of requests that are held, for one connection, for one address and for the process.
//!
//! A call holds its metadata, its message, and what it costs to have it at all, until its answer is
//! made. Where a share is used up, the call of that share whose request has been arriving for
//! longest is given up: whoever sends slowly makes room for whoever doesn't. Where all have arrived,
//! the new one is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use metrics::Gauge;
use tokio_util::sync::CancellationToken;

use super::address::Network;
use super::connection::Connection;

/// What a call costs beside its bytes: its stream, its task, and the buffer it is decoded from.
const CALL_BYTES: usize = 8 * 1024;

/// What HTTP counts for a header beside its name and its value (RFC 9113, section 6.5.2).
const HEADER_BYTES: usize = 32;

/// One address has this part of the memory, and one connection this part.
const ADDRESS_PART: usize = 4;
const CONNECTION_PART: usize = 16;

/// Calls whose answers go on for as long as their clients want have this part of each share.
const STREAMS_PART: usize = 4;

/// Holds the bytes of requests. Clones share one account.
#[derive(Debug, Clone)]
pub struct RequestMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    ledger: Mutex<Ledger>,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Ledger {
    all: Share,
    addresses: HashMap<Network, Share>,
    /// By age.
    calls: BTreeMap<u64, Entry>,
    next: u64,
}

/// What is held of a share.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    held: usize,
    by_streams: usize,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    phase: Phase,
    connection: Arc<Connection>,
    given_up: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client has not sent all of it.
    Arriving,
    /// It is worked on.
    Working,
    /// It goes on for as long as the client wants.
    Streaming,
}

/// There is no room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// In what its connection may hold.
    #[error("the requests of this connection hold too much memory")]
    Connection,
    /// In what its address may hold.
    #[error("the requests of this address hold too much memory")]
    Address,
    /// In what all may hold.
    #[error("requests hold too much memory")]
    Process,
    /// It made room for others.
    #[error("the request was given up for others: it arrived too slowly")]
    GivenUp,
}

impl NoRoom {
    const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection_memory",
            Self::Address => "address_memory",
            Self::Process => "memory",
            Self::GivenUp => "given_up",
        }
    }

    /// Counts it.
    fn counted(self) -> Self {
        super::body::count_refused(self.name());
        self
    }
}

impl RequestMemory {
    /// Holds so many bytes for the process, a quarter of them for one address, a sixteenth for one
    /// connection.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let gauge = metrics::gauge!("tokend_request_bytes");
        super::body::show_refused();
        Self(Arc::new(Inner { most, ledger: Mutex::default(), gauge }))
    }

    /// How many bytes one connection may hold.
    #[must_use]
    pub fn of_connection(&self) -> usize {
        self.0.most / CONNECTION_PART
    }

    /// Holds a call with these headers, whose body is still to come.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn hold(
        &self,
        connection: &Arc<Connection>,
        headers: &HeaderMap,
    ) -> Result<Arc<Call>, NoRoom> {
        let bytes = CALL_BYTES.saturating_add(size(headers));
        let given_up = CancellationToken::new();
        let mut ledger = self.lock();
        ledger.make_room(self.0.most, connection, bytes).map_err(NoRoom::counted)?;
        let id = ledger.next;
        ledger.next = id.wrapping_add(1);
        ledger.change(connection, |share| share.held += bytes);
        let entry = Entry {
            bytes,
            phase: Phase::Arriving,
            connection: Arc::clone(connection),
            given_up: given_up.clone(),
        };
        ledger.calls.insert(id, entry);
        self.publish(&ledger);
        Ok(Arc::new(Call { memory: self.clone(), id, given_up }))
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        // Nothing panics with it, and a count that is off by some is no reason to stop.
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is read by eye")]
    fn publish(&self, ledger: &Ledger) {
        self.0.gauge.set(ledger.all.held as f64);
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.lock().all.held
    }
}

/// The size of headers as HTTP counts it.
fn size(headers: &HeaderMap) -> usize {
    let sizes = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    sizes.fold(0, |sum: usize, size| sum.saturating_add(size).saturating_add(HEADER_BYTES))
}

impl Ledger {
    /// Makes room for so many bytes in each share of a connection.
    fn make_room(
        &mut self,
        most: usize,
        connection: &Connection,
        bytes: usize,
    ) -> Result<(), NoRoom> {
        for (share, part) in [
            (NoRoom::Connection, CONNECTION_PART),
            (NoRoom::Address, ADDRESS_PART),
            (NoRoom::Process, 1),
        ] {
            if share == NoRoom::Address && connection.is_exempt {
                continue;
            }
            let most = most / part;
            if bytes > most {
                return Err(share);
            }
            while self.share(share, connection).held > most - bytes {
                self.give_up_oldest(share, connection).ok_or(share)?;
            }
        }
        Ok(())
    }

    fn share(&self, share: NoRoom, connection: &Connection) -> Share {
        match share {
            NoRoom::Connection => connection.share(),
            NoRoom::Address => self.addresses.get(&connection.network).copied().unwrap_or_default(),
            NoRoom::Process | NoRoom::GivenUp => self.all,
        }
    }

    /// Gives up what has been arriving for longest in a share; `None`: all of it has arrived.
    fn give_up_oldest(&mut self, share: NoRoom, connection: &Connection) -> Option<()> {
        let is_of_share = |entry: &Entry| match share {
            NoRoom::Connection => std::ptr::eq(&raw const *entry.connection, connection),
            NoRoom::Address => entry.connection.network == connection.network,
            NoRoom::Process | NoRoom::GivenUp => true,
        };
        let (id, _) = self
            .calls
            .iter()
            .find(|(_, entry)| entry.phase == Phase::Arriving && is_of_share(entry))?;
        let id = *id;
        let entry = self.remove(id)?;
        entry.given_up.cancel();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.calls.remove(&id)?;
        self.change(&entry.connection, |share| {
            share.held = share.held.saturating_sub(entry.bytes);
            if entry.phase == Phase::Streaming {
                share.by_streams = share.by_streams.saturating_sub(entry.bytes);
            }
        });
        if entry.phase == Phase::Working {
            entry.connection.end_work();
        }
        Some(entry)
    }

    /// Changes all shares of a connection.
    fn change(&mut self, connection: &Connection, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        let mut own = connection.share();
        change(&mut own);
        connection.set_share(own);
        let address = self.addresses.entry(connection.network).or_default();
        change(address);
        if address.held == 0 {
            self.addresses.remove(&connection.network);
        }
    }
}

impl Connection {
    fn share(&self) -> Share {
        use std::sync::atomic::Ordering::Relaxed;
        Share { held: self.held.load(Relaxed), by_streams: self.held_by_streams.load(Relaxed) }
    }

    fn set_share(&self, share: Share) {
        use std::sync::atomic::Ordering::Relaxed;
        self.held.store(share.held, Relaxed);
        self.held_by_streams.store(share.by_streams, Relaxed);
    }
}

/// A call that is held. Dropped, it is not.
#[derive(Debug)]
pub struct Call {
    memory: RequestMemory,
    id: u64,
    given_up: CancellationToken,
}

impl Call {
    /// Holds so many bytes more.
    ///
    /// # Errors
    /// [`NoRoom`]. It may have been given up itself.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        let mut ledger = self.memory.lock();
        let entry = ledger.calls.get_mut(&self.id).ok_or(NoRoom::GivenUp.counted())?;
        // Not one that could be given up for itself.
        let phase = std::mem::replace(&mut entry.phase, Phase::Working);
        let connection = Arc::clone(&entry.connection);
        let room = ledger.make_room(self.memory.0.most, &connection, bytes);
        let entry = ledger.calls.get_mut(&self.id).ok_or(NoRoom::GivenUp)?;
        entry.phase = phase;
        room.map_err(NoRoom::counted)?;
        entry.bytes += bytes;
        ledger.change(&connection, |share| share.held += bytes);
        self.memory.publish(&ledger);
        Ok(())
    }

    /// All of it has arrived: from now on it is worked on, and not given up.
    pub fn arrived(&self) {
        let mut ledger = self.memory.lock();
        let Some(entry) = ledger.calls.get_mut(&self.id) else { return };
        if entry.phase == Phase::Arriving {
            entry.phase = Phase::Working;
            entry.connection.begin_work();
        }
    }

    /// It goes on for as long as the client wants, and holds so many bytes more meanwhile.
    ///
    /// # Errors
    /// [`NoRoom`] where too many are.
    pub fn stream(&self, bytes: usize) -> Result<(), NoRoom> {
        self.grow(bytes)?;
        let mut ledger = self.memory.lock();
        let entry = ledger.calls.get_mut(&self.id).ok_or(NoRoom::GivenUp.counted())?;
        let (bytes, connection) = (entry.bytes, Arc::clone(&entry.connection));
        let was = std::mem::replace(&mut entry.phase, Phase::Streaming);
        ledger.change(&connection, |share| share.by_streams += bytes);
        if was == Phase::Working {
            connection.end_work();
        }
        let shares = [
            (NoRoom::Connection, CONNECTION_PART),
            (NoRoom::Address, ADDRESS_PART),
            (NoRoom::Process, 1),
        ];
        for (share, part) in shares {
            let most = self.memory.0.most / part / STREAMS_PART;
            let is_bound = share != NoRoom::Address || !connection.is_exempt;
            if is_bound && ledger.share(share, &connection).by_streams > most {
                return Err(share.counted());
            }
        }
        Ok(())
    }

    /// Whether it was given up for others.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Is cancelled when it is given up for others.
    pub(super) const fn given_up(&self) -> &CancellationToken {
        &self.given_up
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut ledger = self.memory.lock();
        drop(ledger.remove(self.id));
        self.memory.publish(&ledger);
    }
}

#[cfg(test)]
mod tests;
