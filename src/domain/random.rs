//! Randomness, as an argument: the only place that draws it.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::clock::Timestamp;
use super::error::Error;

/// Where randomness comes from.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// Fills the buffer with bytes that nobody can guess.
    ///
    /// # Errors
    /// [`Error::Internal`] where the machine has none to give.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error>;
}

impl dyn Random {
    /// Draws `N` bytes.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Draws a UUID of version 7: later ones sort after earlier ones, to the millisecond.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn uuid(&self, now: Timestamp) -> Result<Uuid, Error> {
        let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
    }
}

/// The machine's generator.
#[derive(Debug, Default)]
pub struct MachineRandom(SystemRandom);

impl Random for MachineRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Error> {
        self.0.fill(buffer).map_err(|_| Error::internal("the machine gave no randomness"))
    }
}
