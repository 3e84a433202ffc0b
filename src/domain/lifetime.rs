//! How long a token is to live: what was chosen, the profile's bounds, and the grant's end.

use std::time::Duration;

use super::calls::Lifetime;
use super::clock::Timestamp;
use super::error::{Error, Faults};
use super::profile::{Life, Profile};
use super::token::Grant;

/// Names the fault of a lifetime: nothing is clamped.
pub(super) fn check(faults: &mut Faults, longest: Life, lifetime: Lifetime, now: Timestamp) {
    const TOO_LONG: &str = "is longer than the profile allows";
    let exceeds = |length: Duration| match longest {
        Life::Endless => false,
        Life::For(most) => length > most,
    };
    match lifetime {
        Lifetime::For(micros) => match u64::try_from(micros).map(Duration::from_micros) {
            Ok(length) if length < Duration::from_secs(1) => {
                faults.add("ttl", "must be at least a second");
            }
            Ok(length) if exceeds(length) => faults.add("ttl", TOO_LONG),
            Ok(length) if now.plus(length) == Timestamp::MAX => faults.add("ttl", TOO_LONG),
            Ok(_) => {}
            Err(_) => faults.add("ttl", "must not be negative"),
        },
        Lifetime::Until(end) if end > Timestamp::MAX => faults.add("expire_time", TOO_LONG),
        Lifetime::Until(end) if end.since(now) < Duration::from_secs(1) => {
            faults.add("expire_time", "must be at least a second from now");
        }
        Lifetime::Until(end) if exceeds(end.since(now)) => faults.add("expire_time", TOO_LONG),
        Lifetime::Never if longest != Life::Endless => {
            faults.add("never_expires", "is not allowed by the profile");
        }
        Lifetime::Default | Lifetime::Until(_) | Lifetime::Never => {}
    }
}

/// When a new token ends. A token does not outlive the grant that it is made from.
///
/// # Errors
/// [`Error::Invalid`] where it was asked to.
pub(super) fn expiry(
    profile: &Profile,
    chosen: Lifetime,
    grant: Option<&Grant>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let asked = match chosen {
        Lifetime::Default => match profile.default_life {
            Life::Endless => None,
            Life::For(length) => Some(now.plus(length)),
        },
        Lifetime::For(micros) => {
            Some(now.plus(Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
        }
        Lifetime::Until(end) => Some(end),
        Lifetime::Never => None,
    };
    let Some(end) = grant.and_then(|grant| grant.expires_at) else { return Ok(asked) };
    match (asked, chosen) {
        (Some(asked), _) if asked <= end => Ok(Some(asked)),
        // Nobody chose: as long as the grant allows.
        (_, Lifetime::Default) => Ok(Some(end)),
        (_, Lifetime::For(_)) => Err(Error::field("ttl", "outlives the grant it is made from")),
        (_, Lifetime::Until(_)) => {
            Err(Error::field("expire_time", "outlives the grant it is made from"))
        }
        (_, Lifetime::Never) => {
            Err(Error::field("never_expires", "outlives the grant it is made from"))
        }
    }
}
