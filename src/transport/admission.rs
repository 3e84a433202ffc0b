//! Which connections a listener keeps: so many of one client, so many in all.
//!
//! Where there is no place for a new one, the one that has waited for its client for longest makes
//! place: a client that keeps connections and uses none stands in nobody's way. Where all are being
//! worked for, the new one is closed at once. None waits in the kernel's queue, where others would
//! have to wait behind it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use metrics::Gauge;

use super::address::is_exempt;
use super::connection::Connection;
use super::memory::RequestMemory;
use super::open::Open;

/// How many connections a listener keeps.
#[derive(Debug, Clone, Default)]
pub struct AdmissionLimits {
    /// In all.
    pub connections: usize,
    /// Of one address, or of one /64 of IPv6.
    pub per_address: usize,
    /// Proxies, whose connections are those of many: the limit by address leaves them alone, and
    /// so it does `127.0.0.1` and `::1`.
    pub trusted: Vec<IpNet>,
}

/// Lets connections in. Clones share one count.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    listener: &'static str,
    limits: AdmissionLimits,
    memory: RequestMemory,
    open: Mutex<Open>,
    gauge: Gauge,
}

const CLOSED: &str = "tokend_connections_closed_total";
const REFUSED: &str = "tokend_connections_refused_total";

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Its address has as many as it may.
    Address,
    /// The listener has.
    Listener,
}

impl Full {
    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Listener => "listener",
        }
    }
}

/// A connection's place. Dropped, it is another's.
#[derive(Debug)]
pub struct Permit {
    admission: Admission,
    id: u64,
    connection: Arc<Connection>,
}

impl Admission {
    /// For the listener of this name. What its requests hold is held in `memory`.
    #[must_use]
    pub fn new(listener: &'static str, limits: AdmissionLimits, memory: RequestMemory) -> Self {
        let gauge = metrics::gauge!("tokend_connections", "listener" => listener);
        // So that they are there to be watched before anything was closed.
        for full in [Full::Address, Full::Listener] {
            for metric in [CLOSED, REFUSED] {
                count(metric, listener, full, 0);
            }
        }
        Self(Arc::new(Inner { listener, limits, memory, open: Mutex::default(), gauge }))
    }

    /// What holds the requests of its connections.
    #[must_use]
    pub fn memory(&self) -> &RequestMemory {
        &self.0.memory
    }

    /// Takes a place for a connection.
    ///
    /// # Errors
    /// [`Full`] where there is none, and no connection that could make place.
    pub(super) fn admit(&self, peer: SocketAddr) -> Result<Permit, Full> {
        let Inner { listener, limits, memory: _, open: _, gauge } = &*self.0;
        let connection = Arc::new(Connection::new(peer, is_exempt(peer.ip(), &limits.trusted)));
        let mut open = self.lock();
        let outcome = open.make_place(&connection, limits, |reason| {
            count(CLOSED, listener, reason, 1);
        });
        if let Err(full) = outcome {
            count(REFUSED, listener, full, 1);
            return Err(full);
        }
        let id = open.insert(Arc::clone(&connection));
        set(gauge, open.len());
        Ok(Permit { admission: self.clone(), id, connection })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing panics with it, and a count that is off by one is no reason to stop.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes what has waited for its client for longest, where there is no place: of the same
    /// address where that has too many, else of an address that has many of those that wait.
    fn make_place(
        &mut self,
        new: &Connection,
        limits: &AdmissionLimits,
        closed: impl Fn(Full),
    ) -> Result<(), Full> {
        if !new.is_exempt && self.of(new.network) >= limits.per_address {
            self.close_one(new.network).ok_or(Full::Address)?;
            closed(Full::Address);
        }
        if self.len() >= limits.connections {
            let network = self.most_waiting().ok_or(Full::Listener)?;
            self.close_one(network).ok_or(Full::Listener)?;
            closed(Full::Listener);
        }
        Ok(())
    }
}

impl Permit {
    /// The connection that has the place.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// What holds its requests.
    #[must_use]
    pub fn memory(&self) -> &RequestMemory {
        self.admission.memory()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        // It may have made place for another.
        open.remove(self.connection.network, self.id);
        set(&self.admission.0.gauge, open.len());
    }
}

fn count(metric: &'static str, listener: &'static str, full: Full, by: u64) {
    metrics::counter!(metric, "listener" => listener, "reason" => full.name()).increment(by);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is read by eye")]
fn set(gauge: &Gauge, count: usize) {
    gauge.set(count as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, per_address: usize) -> Admission {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let limits = AdmissionLimits { connections, per_address, trusted };
        Admission::new("test", limits, RequestMemory::new(1 << 20))
    }

    fn admit(admission: &Admission, peer: &str) -> Result<Permit, Full> {
        admission.admit(format!("{peer}:1").parse().unwrap())
    }

    fn is_cut(permit: &Permit) -> bool {
        permit.connection().cut.is_cancelled()
    }

    /// Has a connection worked for.
    fn busy(admission: &Admission, peer: &str) -> Permit {
        let permit = admit(admission, peer).unwrap();
        permit.connection().begin_work();
        permit
    }

    #[tokio::test(start_paused = true)]
    async fn closes_what_waited_longest_for_a_new_connection_of_the_same_address() {
        let admission = admission(10, 2);
        let first = admit(&admission, "192.0.2.1").unwrap();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let second = admit(&admission, "192.0.2.1").unwrap();
        drop(second.connection().open_call(tokio::time::Instant::now()));
        let other = admit(&admission, "192.0.2.2").unwrap();
        let third = admit(&admission, "192.0.2.1").unwrap();
        assert!(is_cut(&first) && ![&second, &other, &third].into_iter().any(is_cut));
    }

    #[tokio::test]
    async fn refuses_where_all_are_worked_for() {
        let admission = admission(3, 2);
        let open = [busy(&admission, "192.0.2.1"), busy(&admission, "192.0.2.1")];
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::Address);
        let other = busy(&admission, "192.0.2.2");
        assert_eq!(admit(&admission, "192.0.2.3").unwrap_err(), Full::Listener);
        drop(other);
        let _third = admit(&admission, "192.0.2.3").unwrap();
        assert!(!open.iter().any(is_cut));
    }

    #[tokio::test]
    async fn takes_the_place_of_whoever_has_most_connections_that_wait() {
        let admission = admission(4, 3);
        let many: Vec<_> = (0..3).map(|_| admit(&admission, "192.0.2.1").unwrap()).collect();
        let one = admit(&admission, "192.0.2.2").unwrap();
        let new = admit(&admission, "192.0.2.3").unwrap();
        assert!(is_cut(&many[0]) && !is_cut(&one) && !is_cut(&new));
    }

    #[tokio::test]
    async fn bounds_a_network_of_ipv6_as_one_address_and_a_proxy_not_at_all() {
        let admission = admission(100, 2);
        let strangers: Vec<_> =
            (0..9).map(|n| admit(&admission, &format!("[2001:db8::{n}]")).unwrap()).collect();
        assert_eq!(strangers.iter().filter(|permit| !is_cut(permit)).count(), 2);
        for proxy in ["10.1.1.1", "127.0.0.1", "[::1]"] {
            let many: Vec<_> = (0..9).map(|_| admit(&admission, proxy).unwrap()).collect();
            assert!(!many.iter().any(is_cut), "{proxy}");
        }
    }

    #[test]
    fn counts_what_it_refuses_and_what_it_closes() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let admission = admission(2, 1);
                let _first = admit(&admission, "192.0.2.1").unwrap();
                let _second = busy(&admission, "192.0.2.1");
                assert!(admit(&admission, "192.0.2.1").is_err());
                let _third = busy(&admission, "192.0.2.2");
                assert!(admit(&admission, "192.0.2.3").is_err());
            });
        });
        let page = recorder.handle().render();
        for line in [
            r#"tokend_connections_closed_total{listener="test",reason="address"} 1"#,
            r#"tokend_connections_refused_total{listener="test",reason="address"} 1"#,
            r#"tokend_connections_refused_total{listener="test",reason="listener"} 1"#,
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
