//! Passwords: what one may be, and how it is hashed and proven.

use std::fmt;

use argon2::password_hash;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::Error;
use super::store::PasswordHash;

mod memory;

#[cfg(test)]
pub use memory::kept as kept_memory;
pub use memory::release as release_memory;

/// The most bytes of a password.
pub const MAX_BYTES: usize = 1024;

/// The most memory of a hash that is made or taken, in KiB: more would let a stored hash stop the
/// service.
pub const MOST_MEMORY_KIB: u32 = 256 * 1024;
/// The most passes over it.
pub const MOST_ITERATIONS: u32 = 16;
/// The most lanes.
pub const MOST_LANES: u32 = 16;
const FAULT: &str = "must be a PHC string of argon2id, argon2i or argon2d";
const TOO_COSTLY: &str = "costs too much: at most 256 MiB, 16 iterations and 16 lanes";

/// A password as it was typed. Nothing is trimmed.
#[derive(Clone)]
pub struct Password(SecretString);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Reads a password: 1 to 1024 bytes, without NUL.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &SecretString) -> Result<Self, &'static str> {
        let bytes = text.expose_secret().as_bytes();
        if bytes.is_empty() {
            Err("must not be empty")
        } else if bytes.len() > MAX_BYTES {
            Err("must be at most 1024 bytes")
        } else if bytes.contains(&0) {
            Err("must not hold NUL")
        } else {
            Ok(Self(text.clone()))
        }
    }

    /// The same without one final line end, if it has one and is more than that.
    #[must_use]
    pub fn without_final_newline(&self) -> Option<Self> {
        let text = self.0.expose_secret();
        let rest = text.strip_suffix('\n')?;
        let rest = rest.strip_suffix('\r').unwrap_or(rest);
        (!rest.is_empty()).then(|| Self(rest.into()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// How costly a hash is: Argon2id, version 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl HashCost {
    /// Takes a cost.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checked(self) -> Result<Self, String> {
        if self.memory_kib > MOST_MEMORY_KIB
            || self.iterations > MOST_ITERATIONS
            || self.parallelism > MOST_LANES
        {
            return Err(TOO_COSTLY.to_owned());
        }
        self.params().map(|_| self).map_err(|error| error.to_string())
    }

    /// What costs so many times as much. Of less than the usual cost, so many times the usual.
    #[must_use]
    pub fn times(self, factor: u32) -> Dearest {
        let own = work(self.memory_kib, self.iterations).max(USUAL_WORK);
        Dearest(own.saturating_mul(u64::from(factor)))
    }

    fn params(self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, None)
    }
}

/// The most work that a hash may be, in KiB that are written: its memory times its passes. Lanes
/// divide that memory, and add nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dearest(u64);

/// The work of Argon2id as OWASP advises it: 19 MiB, two passes.
const USUAL_WORK: u64 = work(19_456, 2);

const fn work(memory_kib: u32, iterations: u32) -> u64 {
    memory_kib as u64 * iterations as u64
}

/// Hashes a password. Takes tens of milliseconds: for the hash threads only. The thread keeps the
/// memory for its next hash, with what this one leaves in it, until [`release_memory`].
///
/// # Errors
/// [`Error::Internal`] where the cost is absurd.
pub fn hash(password: &Password, salt: &[u8; 16], cost: HashCost) -> Result<PasswordHash, Error> {
    let hash = phc(password, salt, cost).map_err(|error| Error::internal(error.to_string()))?;
    Ok(PasswordHash(hash.to_string().into()))
}

fn phc(password: &Password, salt: &[u8], cost: HashCost) -> Result<Phc, password_hash::Error> {
    let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
    let argon = Argon2::new(algorithm, version, cost.params()?);
    Ok(Phc {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(argon.params())?,
        salt: Some(Salt::new(salt)?),
        hash: Some(output(&argon, password, salt)?),
    })
}

/// Whether the password is the one that was hashed. As costly as the hash, and its memory is kept
/// likewise.
///
/// # Errors
/// What is wrong with a hash that proves nothing: it can't be read, or is dearer than this. Nothing
/// was spent on it then.
pub fn verify(
    password: &Password,
    hash: &PasswordHash,
    dearest: Dearest,
) -> Result<bool, &'static str> {
    let hash = read(hash.0.expose_secret(), dearest)?;
    let (Ok(argon), Some(salt), Some(wanted)) = (argon(&hash), &hash.salt, &hash.hash) else {
        return Err(FAULT);
    };
    // Outputs are compared in constant time.
    Ok(output(&argon, password, salt).is_ok_and(|found| found == *wanted))
}

/// What made a hash: its own variant, version and cost.
fn argon(hash: &Phc) -> Result<Argon2<'static>, password_hash::Error> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    Ok(Argon2::new(algorithm, version, Params::try_from(hash)?))
}

fn output(
    argon: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
) -> Result<Output, password_hash::Error> {
    let params = argon.params();
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
    memory::with_blocks(params.block_count(), |blocks| {
        argon.hash_password_into_with_memory(password.bytes(), salt, out, blocks)
    })?;
    Ok(Output::new(out)?)
}

/// Whether the hash is of another cost than this one, so that it is to be replaced.
#[must_use]
pub fn is_outdated(hash: &PasswordHash, cost: HashCost) -> bool {
    let Ok(hash) = phc_of(hash.0.expose_secret()) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return true };
    let variant = hash.algorithm.as_str() == Algorithm::Argon2id.as_str();
    let now = (params.m_cost(), params.t_cost(), params.p_cost());
    !variant || now != (cost.memory_kib, cost.iterations, cost.parallelism)
}

/// Takes a hash that was made elsewhere.
///
/// # Errors
/// What is wrong with it, to follow a field's name.
pub fn import(hash: &SecretString, dearest: Dearest) -> Result<PasswordHash, &'static str> {
    read(hash.expose_secret(), dearest)?;
    Ok(PasswordHash(hash.clone()))
}

fn read(text: &str, dearest: Dearest) -> Result<Phc, &'static str> {
    let hash = phc_of(text)?;
    let params = Params::try_from(&hash).map_err(|_| FAULT)?;
    if work(params.m_cost(), params.t_cost()) > dearest.0 {
        return Err("costs more than `passwords.max_import_cost` allows: memory times passes");
    }
    Ok(hash)
}

/// Reads a hash within the bounds of any.
fn phc_of(text: &str) -> Result<Phc, &'static str> {
    let hash = Phc::new(text).map_err(|_| FAULT)?;
    if Algorithm::try_from(hash.algorithm.as_str()).is_err() || hash.hash.is_none() {
        return Err(FAULT);
    }
    let params = Params::try_from(&hash).map_err(|_| FAULT)?;
    let costly = params.m_cost() > MOST_MEMORY_KIB
        || params.t_cost() > MOST_ITERATIONS
        || params.p_cost() > MOST_LANES;
    if costly {
        return Err(TOO_COSTLY);
    }
    if hash.salt.is_none() { Err(FAULT) } else { Ok(hash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: HashCost = HashCost { memory_kib: 8, iterations: 1, parallelism: 1 };

    fn verify(password: &Password, hash: &PasswordHash) -> bool {
        super::verify(password, hash, COST.times(4)).unwrap_or(false)
    }

    fn import(text: &str) -> Result<PasswordHash, &'static str> {
        super::import(&text.into(), COST.times(4))
    }

    fn password(text: &str) -> Password {
        Password::parse(&text.into()).unwrap()
    }

    #[test]
    fn proves_the_password_that_was_hashed_and_no_other() {
        let hash = hash(&password("right"), &[1; 16], COST).unwrap();
        assert!(verify(&password("right"), &hash));
        assert!(!verify(&password("wrong"), &hash));
        assert!(!verify(&password("right\n"), &hash));
    }

    /// The memory is used again as it was left, by hashes of other variants and costs too.
    #[test]
    fn agrees_with_stock_argon2_in_memory_that_is_used_again() {
        use argon2::{CustomizedPasswordHasher as _, PasswordVerifier as _};

        for (memory, iterations, lanes) in [(64, 2, 1), (8, 1, 1), (100, 3, 2), (64, 2, 1)] {
            let params = || Params::new(memory, iterations, lanes, None).unwrap();
            let cost = HashCost { memory_kib: memory, iterations, parallelism: lanes };
            let ours = hash(&password("right"), &[2; 16], cost).unwrap();
            let ours = ours.0.expose_secret();
            Argon2::default().verify_password(b"right", ours).unwrap();
            for (variant, version) in
                [("argon2id", 0x13), ("argon2i", 0x13), ("argon2d", 0x13), ("argon2id", 0x10)]
            {
                let stock = Argon2::default()
                    .hash_password_customized(
                        b"right",
                        &[2; 16],
                        Some(variant),
                        Some(version),
                        params(),
                    )
                    .unwrap()
                    .to_string();
                if (variant, version) == ("argon2id", 0x13) {
                    assert_eq!(ours, stock);
                }
                let stock = PasswordHash(stock.into());
                assert!(verify(&password("right"), &stock), "{variant} {version}");
                assert!(!verify(&password("wrong"), &stock), "{variant} {version}");
            }
        }
    }

    #[test]
    fn proves_hashes_of_another_length_and_without_a_version() {
        for length in [16, 64] {
            let params = Params::new(8, 1, 1, Some(length)).unwrap();
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let stock = argon2::PasswordHasher::hash_password_with_salt(&argon, b"p", &[1; 16]);
            let stock = stock.unwrap().to_string();
            let unversioned = stock.replace("v=19$", "");
            assert_ne!(stock, unversioned);
            for hash in [stock, unversioned] {
                let hash = PasswordHash(hash.into());
                assert!(verify(&password("p"), &hash));
                assert!(!verify(&password("q"), &hash));
            }
        }
    }

    #[test]
    fn strips_one_final_line_end() {
        let strip = |text| {
            password(text).without_final_newline().map(|rest| rest.0.expose_secret().to_owned())
        };
        assert_eq!(strip("a\n").as_deref(), Some("a"));
        assert_eq!(strip("a\r\n").as_deref(), Some("a"));
        assert_eq!(strip("a\n\n").as_deref(), Some("a\n"));
        assert_eq!(strip("a"), None);
        assert_eq!(strip("\n"), None);
        assert_eq!(strip("a\r"), None);
    }

    #[test]
    fn refuses_what_is_no_password() {
        for text in [String::new(), "a\0b".to_owned(), "a".repeat(1025)] {
            assert!(Password::parse(&text.into()).is_err());
        }
        assert!(Password::parse(&"a".repeat(1024).into()).is_ok());
    }

    #[test]
    fn refuses_hashes_that_would_stop_the_service() {
        let good = hash(&password("p"), &[1; 16], COST).unwrap();
        let good = good.0.expose_secret();
        assert!(import(good).is_ok(), "{good}");
        for (from, to) in [
            ("m=8", "m=4194304"),
            ("t=1", "t=2147483648"),
            ("p=1", "p=64"),
            ("argon2id", "bcrypt"),
            ("$argon2id", "argon2id"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(import(&bad).is_err(), "{bad}");
            assert!(!verify(&password("p"), &PasswordHash(bad.into())));
        }
        let truncated = good.get(..good.len() / 2).unwrap();
        assert!(import(truncated).is_err());
    }

    #[test]
    fn replaces_hashes_of_another_cost() {
        let hash = hash(&password("p"), &[1; 16], COST).unwrap();
        assert!(!is_outdated(&hash, COST));
        assert!(is_outdated(&hash, HashCost { iterations: 2, ..COST }));
    }

    fn stock(memory_kib: u32, iterations: u32) -> String {
        format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p=1$c29tZXNhbHQ$\
             nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
        )
    }

    #[test]
    fn takes_no_hash_that_costs_more_than_so_many_of_ours() {
        let ours = HashCost { memory_kib: 19_456, iterations: 2, parallelism: 1 };
        let is_taken = |own: HashCost, factor, memory_kib, iterations| {
            super::import(&stock(memory_kib, iterations).into(), own.times(factor)).is_ok()
        };
        // Magento's own: 64 MiB, two passes.
        assert!(is_taken(ours, 4, 65_536, 2));
        for (memory_kib, iterations, is_within) in [
            (19_456, 8, true),
            (19_456, 9, false),
            (9728, 16, true),
            (77_824, 2, true),
            (77_825, 2, false),
            (155_648, 1, true),
            (262_144, 16, false),
        ] {
            assert_eq!(is_taken(ours, 4, memory_kib, iterations), is_within, "{memory_kib}");
        }
        assert!(is_taken(ours, 5, 19_456, 9));
        let dear = HashCost { iterations: 3, ..ours };
        assert!(is_taken(dear, 4, 19_456, 12));
        // Who hashes for less takes what is usual elsewhere all the same.
        assert!(is_taken(COST, 1, 19_456, 2));
        assert!(!is_taken(COST, 1, 19_456, 3));
    }

    #[test]
    fn spends_nothing_on_a_stored_hash_that_is_too_dear() {
        let hash = PasswordHash(stock(100, 16).into());
        memory::release();
        assert!(super::verify(&password("password"), &hash, Dearest(1599)).is_err());
        assert_eq!(kept_memory(), 0);
        assert_eq!(super::verify(&password("p"), &hash, Dearest(1600)), Ok(false));
        assert_eq!(kept_memory(), 100);
    }
}
