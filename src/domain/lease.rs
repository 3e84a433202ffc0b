//! How long facts may be believed, and how long a revoker waits for that.

use std::time::Duration;

use super::clock::Instant;
use super::store::Terms;

/// How long a replica may answer from its facts without having asked the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// For ever: this process is the database's only one.
    Endless,
    /// This long.
    For(Duration),
}

/// What a replica does when its lease is over and the database does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseLoss {
    /// It answers that it can't decide.
    Refuse,
    /// It answers from its facts until they are this old, and says how old they are.
    ServeStale(Duration),
}

impl Lease {
    /// When a lease ends whose tail began its read then; `None`: never.
    #[must_use]
    pub fn end(self, began: Instant) -> Option<Instant> {
        match self {
            Self::Endless => None,
            Self::For(length) => Some(began.plus(length)),
        }
    }

    /// How long a revoker of this lease waits after its commit, until every lease that began
    /// before has surely run out: a quarter more than the longest, for clocks may be slewed.
    #[must_use]
    pub fn wait(self, terms: Terms) -> Duration {
        match self {
            Self::Endless => Duration::ZERO,
            Self::For(own) => {
                let longest = own.max(terms.longest_lease);
                longest + longest / 4 + Duration::from_millis(10)
            }
        }
    }

    /// What a replica of this lease announces before it takes the first.
    #[must_use]
    pub fn terms(self, loss: DatabaseLoss) -> Terms {
        let longest_lease = match self {
            Self::Endless => Duration::ZERO,
            Self::For(length) => length,
        };
        let serve_stale = match (self, loss) {
            // Whoever is alone hears of all that it commits.
            (Self::Endless, _) | (Self::For(_), DatabaseLoss::Refuse) => None,
            (Self::For(_), DatabaseLoss::ServeStale(bound)) => Some(bound),
        };
        Terms { longest_lease, serve_stale }
    }
}
