//! What this process has cost, which tells more on a busy machine than what time it took.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time that this process has taken, with a database in a file.
pub(super) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
