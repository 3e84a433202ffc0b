//! Open files: how many the process may have, and how they are shared out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// The fewest connections that a listener has, whatever the machine gives.
const FEWEST: usize = 8;

/// Raises the number of files that this process may have open to what the system allows it, and
/// answers it.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!(%error, "the limit for open files could not be raised");
            limit.current
        }
    };
    // `None` is no limit.
    current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Shares files out between two listeners that would each have so many connections, where `files`
/// are for both: what one does not want is the other's, and beyond that each has half.
#[must_use]
pub fn share(files: usize, wanted: [usize; 2]) -> [usize; 2] {
    let [one, other] = wanted;
    let of = |mine: usize, others: usize| {
        mine.min((files / 2).max(files.saturating_sub(others))).max(FEWEST)
    };
    [of(one, other), of(other, one)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_out_what_there_is() {
        for (files, wanted, shared) in [
            (usize::MAX, [2048, 1024], [2048, 1024]),
            (4000, [2048, 1024], [2048, 1024]),
            (3000, [2048, 1024], [1976, 1024]),
            (880, [2048, 1024], [440, 440]),
            (880, [2048, 0], [880, 8]),
            (880, [100, 1024], [100, 780]),
            (0, [2048, 1024], [8, 8]),
        ] {
            assert_eq!(share(files, wanted), shared, "{files} {wanted:?}");
        }
    }

    #[test]
    fn raises_the_limit_to_what_the_system_allows() {
        let raised = raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(limit.current.map(usize::try_from), Some(Ok(raised)));
    }
}
