//! The contract's messages in the domain's words, and back. What is wrong with a value is for the
//! core to say; refused here is only what the domain has no word for.

use crate::domain::calls::Wait;
use crate::domain::clock::Timestamp;
use crate::domain::error::Field;
use crate::domain::identity::RoleName;

mod audit;
mod directory;
mod keys;
mod tokens;

#[cfg(test)]
mod tests;

const NANOS: i32 = 999_999_999;

/// Says `skip_wait` in the domain's words.
pub(super) const fn wait(skip_wait: bool) -> Wait {
    if skip_wait { Wait::Skip } else { Wait::ForAll }
}

/// Says a count in the contract's words, at most as much as they hold.
pub(super) fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn large_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn names(roles: Vec<RoleName>) -> Vec<String> {
    roles.into_iter().map(|role| role.as_str().to_owned()).collect()
}

fn time(at: Timestamp) -> prost_types::Timestamp {
    let micros = i32::try_from(at.micros().rem_euclid(1_000_000)).unwrap_or_default();
    prost_types::Timestamp { seconds: at.seconds(), nanos: micros * 1000 }
}

fn read_time(path: &str, time: prost_types::Timestamp) -> Result<Timestamp, Field> {
    let prost_types::Timestamp { seconds, nanos } = time;
    if !(0..=NANOS).contains(&nanos) {
        return Err(Field::new(path, "must have nanos from 0 to 999999999"));
    }
    Ok(Timestamp::from_micros(micros(seconds, nanos)))
}

/// Answers microseconds, which may be fewer than none.
fn read_duration(path: &str, duration: prost_types::Duration) -> Result<i64, Field> {
    let prost_types::Duration { seconds, nanos } = duration;
    let same_sign = i64::from(nanos).signum() * seconds.signum() >= 0;
    if !(-NANOS..=NANOS).contains(&nanos) || !same_sign {
        return Err(Field::new(
            path,
            "must have nanos from -999999999 to 999999999, of the same sign as its seconds",
        ));
    }
    Ok(micros(seconds, nanos))
}

fn micros(seconds: i64, nanos: i32) -> i64 {
    seconds.saturating_mul(1_000_000).saturating_add(i64::from(nanos / 1000))
}
