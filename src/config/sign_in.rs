//! The settings of sign-ins: how passwords are hashed, and how attempts are held back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::Faults;
use super::text;
use crate::domain::hashing::PoolSize;
use crate::domain::store::LockoutPolicy;

/// How passwords are hashed (Argon2id).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Passwords {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of one hash.
    pub parallelism: u32,
    /// Threads that hash; 0: one for each core.
    pub threads: usize,
    /// How many sign-ins may wait for a thread; more are turned away at once. One network has half
    /// of the places at most, and a quarter while others wait.
    pub queue: usize,
    /// How long one waits for its turn at most; then it is turned away as well.
    #[serde(with = "text::duration")]
    pub queue_wait: Duration,
    /// The dearest hash that is imported or tried, in times of what ours costs: memory times passes.
    /// Ours counts as no less than the default.
    pub max_import_cost: u32,
    /// Failed sign-ins are answered at multiples of this, so that their time tells nothing.
    #[serde(with = "text::duration")]
    pub failure_grid: Duration,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            threads: 0,
            queue: 1024,
            queue_wait: PoolSize::WAIT,
            max_import_cost: 4,
            failure_grid: Duration::from_millis(250),
        }
    }
}

/// How sign-ins are held back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct SignIn {
    /// Attempts in a minute from one address.
    pub rate_per_minute: u32,
    /// How many of them may come at once.
    pub burst: u32,
    /// What failures do to a name.
    pub lockout: Lockout,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { rate_per_minute: 60, burst: 30, lockout: Lockout::default() }
    }
}

/// What failed sign-ins do to a name. It stops proof by password only.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Lockout {
    /// Failures before the first lock.
    pub failures: u32,
    /// How long the first lock holds; each failure after it doubles the time.
    #[serde(with = "text::duration")]
    pub first_lock: Duration,
    /// The longest that a lock holds.
    #[serde(with = "text::duration")]
    pub longest_lock: Duration,
    /// When failures are forgotten, counted from the last one.
    #[serde(with = "text::duration")]
    pub forget_after: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            failures: 10,
            first_lock: Duration::from_secs(1),
            longest_lock: Duration::from_mins(15),
            forget_after: Duration::from_hours(24),
        }
    }
}

impl Lockout {
    /// The same in the words of the rules.
    #[must_use]
    pub const fn policy(&self) -> LockoutPolicy {
        let Self { failures, first_lock, longest_lock, forget_after } = *self;
        LockoutPolicy { failures, first_lock, longest_lock, forget_after }
    }

    /// Names the faults of the table that stands at `path`.
    pub(super) fn check(&self, faults: &mut Faults, path: &str) {
        if self.failures == 0 {
            faults.add(&format!("{path}.failures"), "must be at least 1");
        }
        if self.first_lock > self.longest_lock {
            faults.add(&format!("{path}.first_lock"), "must not be longer than longest_lock");
        }
        if self.forget_after.is_zero() {
            faults.add(&format!("{path}.forget_after"), "must be longer than nothing");
        }
    }
}

/// What failed sign-ins by one profile do to a name. What is unset is as `sign_in.lockout` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct ProfileLockout {
    /// Failures before the first lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// How long the first lock holds; each failure after it doubles the time.
    #[serde(with = "text::optional_duration", skip_serializing_if = "Option::is_none")]
    pub first_lock: Option<Duration>,
    /// The longest that a lock holds.
    #[serde(with = "text::optional_duration", skip_serializing_if = "Option::is_none")]
    pub longest_lock: Option<Duration>,
    /// When failures are forgotten, counted from the last one.
    #[serde(with = "text::optional_duration", skip_serializing_if = "Option::is_none")]
    pub forget_after: Option<Duration>,
}

impl ProfileLockout {
    pub(super) fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    /// Fills what is unset from `base`.
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            failures: self.failures.or(base.failures),
            first_lock: self.first_lock.or(base.first_lock),
            longest_lock: self.longest_lock.or(base.longest_lock),
            forget_after: self.forget_after.or(base.forget_after),
        }
    }

    /// Fills what is unset from the one for all.
    pub(super) fn over_all(self, all: &Lockout) -> Lockout {
        Lockout {
            failures: self.failures.unwrap_or(all.failures),
            first_lock: self.first_lock.unwrap_or(all.first_lock),
            longest_lock: self.longest_lock.unwrap_or(all.longest_lock),
            forget_after: self.forget_after.unwrap_or(all.forget_after),
        }
    }
}
