//! The one place that decides "may this user get a token now" by password, for every RPC and every
//! dialect: rate, lockout, password, state, in this order, and one answer for all that fails.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use tokio::time::Instant;

use super::calls::{FinalNewline, Origin, PasswordCredential};
use super::core::{AddressRate, Core};
use super::error::{Error, Faults};
use super::hashing::Turn;
use super::identity::{Realm, User, UserId, UserState, Username};
use super::password::{self, Password};
use super::store::{Actor, Attempt, AttemptStart, Audit, LockoutPolicy, PasswordHash};

/// Where fields of a credential stand in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialPlace {
    /// In the body: its faults are named.
    Body,
    /// In the metadata: a fault is a credential that is not good.
    Metadata,
}

/// How a user is to prove themselves.
#[derive(Debug)]
pub(super) struct PasswordCheck {
    /// The realm, which was decided.
    pub(super) realm: Realm,
    pub(super) place: CredentialPlace,
    /// How a failure locks: as the profile says that is asked for, if one is.
    pub(super) lockout: LockoutPolicy,
}

/// How many networks have counters of their own: whoever has many addresses could take any memory.
const MOST_NETWORKS: usize = 100_000;

/// How many tries each client network has left.
pub(super) struct AddressLimit {
    limiter: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    hasher: RandomState,
}

impl AddressLimit {
    pub(super) fn new(rate: AddressRate) -> Self {
        let least = NonZeroU32::MIN;
        let per_minute = NonZeroU32::new(rate.per_minute).unwrap_or(least);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(least);
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        let limiter = DefaultKeyedRateLimiter::keyed(quota);
        Self { limiter, clock: DefaultClock::default(), hasher: RandomState::new() }
    }

    fn spend(&self, network: &str) -> Result<(), Error> {
        // A caller without an address is this process.
        if network.is_empty() {
            return Ok(());
        }
        self.limiter.check_key(&self.counter(network)).map_err(|until| Error::RateLimited {
            retry_after: until.wait_time_from(self.clock.now()),
        })
    }

    /// Names the counter of a network: its own, or while there are too many one that it shares.
    fn counter(&self, network: &str) -> String {
        if self.limiter.len() < MOST_NETWORKS {
            return network.to_owned();
        }
        format!("shared {:04x}", self.hasher.hash_one(network) & 0xffff)
    }

    pub(super) fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// The network that an address stands for: itself, or the /64 of an IPv6 one, which is what one
/// customer has.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => String::new(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// A name and password that were read, with the realm that was decided.
struct Claim {
    realm: Realm,
    username: Username,
    password: Password,
    final_newline: FinalNewline,
    lockout: LockoutPolicy,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Core {
    /// Proves a user by password.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] for unknown, wrong, disabled and locked alike;
    /// [`Error::RateLimited`], [`Error::Busy`]; [`Error::Invalid`] for a body credential that
    /// cannot be one.
    pub(super) async fn prove_password(
        &self,
        origin: &Origin,
        credential: &PasswordCredential,
        check: PasswordCheck,
    ) -> Result<User, Error> {
        let PasswordCheck { realm, place, lockout } = check;
        let network = network(origin.address);
        let began = Instant::now();
        let outcome = match self.addresses.spend(&network) {
            Err(limited) => Err(limited),
            Ok(()) => match read(credential, (realm, lockout)) {
                Ok(claim) => self.judge(origin, &claim, network).await,
                Err(faults) if place == CredentialPlace::Body => Err(faults),
                Err(_) => Err(Error::BadCredentials),
            },
        };
        metrics::counter!("tokend_signins_total", "outcome" => outcome_name(&outcome)).increment(1);
        if matches!(outcome, Err(Error::BadCredentials)) {
            self.wait_for_grid(began).await;
        }
        outcome
    }

    async fn judge(&self, origin: &Origin, claim: &Claim, network: String) -> Result<User, Error> {
        // Before a place is taken that it could not use.
        self.knowledge.reach().await?;
        // A turn before anything is written: a storm is turned away for nothing, and who waits does
        // not wait for the database.
        let turn = Arc::new(self.hashes.enter(&network).await?);
        let attempt = Attempt {
            realm: claim.realm.clone(),
            username: claim.username.clone(),
            network,
            policy: claim.lockout,
            longest_memory: self.settings.longest_memory(),
            at: self.now(),
            lock_audit: Audit {
                outcome: "locked",
                realm: Some(claim.realm.clone()),
                target: claim.username.key().to_owned(),
                ..self.audit("sign_in", Actor::Nobody, origin.address)
            },
        };
        // The failure is counted before the hash, so that parallel guesses do not beat the lock.
        let start = self.store.begin_attempt(&attempt).await?;
        let unjudged = match start {
            AttemptStart::Locked => None,
            AttemptStart::Unknown | AttemptStart::Known { .. } => Some(Unjudged {
                core: self.clone(),
                counted: Some((attempt.clone(), Arc::clone(&turn))),
            }),
        };
        let (user, hash) = match start {
            AttemptStart::Locked | AttemptStart::Unknown => (None, None),
            AttemptStart::Known { user, password_hash, counter } => {
                (Some((user, counter)), password_hash)
            }
        };
        let (proven, untried) = self.verify(claim, hash.clone(), &turn).await?;
        if let (Some(fault), Some((user, _))) = (untried, &user) {
            self.untried.tell(user.id, fault);
        }
        if let Some(unjudged) = unjudged {
            unjudged.judged();
        }
        match (user, hash, proven) {
            (Some((user, counter)), Some(hash), Some(password))
                if user.state == UserState::Active =>
            {
                self.store.succeed_attempt(&attempt, user.id, &counter).await?;
                self.improve_hash(&user, &hash, password, &turn).await?;
                Ok(user)
            }
            _ => Err(Error::BadCredentials),
        }
    }

    /// Tries the password, and once more without its final line end where that is asked for.
    /// Answers the one that was right, and why the hash was not tried, if it was not. Without a
    /// hash to try the same work is done for nothing, so that an unknown name costs what a known
    /// one does.
    async fn verify(
        &self,
        claim: &Claim,
        hash: Option<PasswordHash>,
        turn: &Turn,
    ) -> Result<(Option<Password>, Option<&'static str>), Error> {
        let retry = match claim.final_newline {
            FinalNewline::Keep => None,
            FinalNewline::Accept => claim.password.without_final_newline(),
        };
        let tries = [Some(claim.password.clone()), retry];
        let (cost, salt) = (self.settings.hash_cost, self.random.bytes::<16>()?);
        let dearest = self.settings.dearest_hash;
        let in_vain = move |password: &Password| password::hash(password, &salt, cost).is_err();
        let work = move || {
            let mut refused = None;
            let right = tries.into_iter().flatten().find(|password| match &hash {
                Some(hash) => password::verify(password, hash, dearest).unwrap_or_else(|fault| {
                    refused = Some(fault);
                    in_vain(password)
                }),
                None => in_vain(password),
            });
            (right, refused)
        };
        let (right, refused) = self.hashes.run_in(turn, work).await?;
        Ok((right, refused))
    }

    /// Replaces a hash of another cost, now that the password is known. It revokes nothing.
    async fn improve_hash(
        &self,
        user: &User,
        old: &PasswordHash,
        password: Password,
        turn: &Turn,
    ) -> Result<(), Error> {
        let cost = self.settings.hash_cost;
        if !password::is_outdated(old, cost) {
            return Ok(());
        }
        let salt = self.random.bytes::<16>()?;
        let work = move || password::hash(&password, &salt, cost);
        let new = self.hashes.run_in(turn, work).await??;
        Ok(self.store.replace_hash(user.id, old, &new).await?)
    }

    /// Hashes a new password.
    pub(super) async fn hash_password(
        &self,
        origin: &Origin,
        password: Password,
    ) -> Result<PasswordHash, Error> {
        let (cost, salt) = (self.settings.hash_cost, self.random.bytes::<16>()?);
        let work = move || password::hash(&password, &salt, cost);
        self.hashes.run(&network(origin.address), work).await?
    }

    /// Answers failures on a time grid, so that what they cost cannot be told apart.
    async fn wait_for_grid(&self, began: Instant) {
        let grid = self.settings.failure_grid;
        if grid.is_zero() {
            return;
        }
        let cells = began.elapsed().as_nanos() / grid.as_nanos() + 1;
        let cells = u32::try_from(cells).unwrap_or(u32::MAX);
        tokio::time::sleep_until(began + grid.saturating_mul(cells).min(Duration::from_mins(1)))
            .await;
    }
}

/// The users whose stored hashes can't be tried. The log tells of each once, for strangers can have
/// them tried as often as they like.
#[derive(Debug, Default)]
pub(super) struct Untried(Mutex<BTreeSet<UserId>>);

impl Untried {
    /// The most that are remembered, and told of.
    const MOST: usize = 1000;

    fn tell(&self, user: UserId, fault: &'static str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < Self::MOST && told.insert(user) {
            tracing::warn!(
                user.id = %user,
                fault,
                "the user's password hash is not tried, so they can't sign in: set a new password"
            );
        }
    }
}

/// An attempt that was counted and not judged yet. Dropped so, because its caller hung up or the
/// hash broke off, the count is taken back: nothing was learnt by it. Its turn ends after that, so
/// that those who hang up crowd nobody out of the database.
struct Unjudged {
    core: Core,
    counted: Option<(Attempt, Arc<Turn>)>,
}

impl Unjudged {
    fn judged(mut self) {
        self.counted = None;
    }
}

impl Drop for Unjudged {
    fn drop(&mut self) {
        let Some((attempt, turn)) = self.counted.take() else { return };
        let core = self.core.clone();
        // Without a runtime the process is ending, and the count stays.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = core.store.cancel_attempt(&attempt).await {
                    tracing::warn!(%error, "the count of an attempt was not taken back");
                }
                drop(turn);
            });
        }
    }
}

fn read(
    credential: &PasswordCredential,
    (realm, lockout): (Realm, LockoutPolicy),
) -> Result<Claim, Error> {
    let PasswordCredential { realm: _, username, password, final_newline, profile: _ } = credential;
    let mut faults = Faults::default();
    let username = faults.take("password.username", Username::parse(username));
    let password = faults.take("password.password", Password::parse(password));
    faults.finish()?;
    let (Some(username), Some(password)) = (username, password) else {
        return Err(Error::BadCredentials);
    };
    Ok(Claim { realm, username, password, final_newline: *final_newline, lockout })
}

fn outcome_name(outcome: &Result<User, Error>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(Error::BadCredentials) => "bad_credentials",
        Err(Error::RateLimited { .. }) => "rate_limited",
        Err(Error::Busy { .. }) => "busy",
        Err(Error::Invalid(_)) => "invalid",
        Err(_) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_customers_ipv6_addresses_as_one() {
        let network = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn limits_each_network_by_itself() {
        let limit = AddressLimit::new(AddressRate { per_minute: 1, burst: 2 });
        assert!(limit.spend("a").is_ok());
        assert!(limit.spend("a").is_ok());
        match limit.spend("a") {
            Err(Error::RateLimited { retry_after }) => assert!(!retry_after.is_zero()),
            other => panic!("{other:?}"),
        }
        assert!(limit.spend("b").is_ok());
        assert!(limit.spend("").is_ok());
    }

    #[test]
    fn remembers_no_more_networks_than_memory_is_given_to() {
        let limit = AddressLimit::new(AddressRate { per_minute: 1, burst: 1 });
        let mut refused = 0;
        for n in 0..3 * MOST_NETWORKS {
            refused += usize::from(limit.spend(&n.to_string()).is_err());
        }
        assert!(limit.limiter.len() <= MOST_NETWORKS + 0x10000, "{}", limit.limiter.len());
        assert!(refused >= 2 * MOST_NETWORKS - 0x10000, "those who share have the tries of one");
    }
}
