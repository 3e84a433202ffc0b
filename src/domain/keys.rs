//! Keys in memory: those that sign, check, derive and authenticate pages.

use std::collections::{HashMap, HashSet};
use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use aws_lc_rs::{hmac, rand::SystemRandom, rsa};
use zeroize::Zeroizing;

use super::calls::PublicKey;
use super::clock::Timestamp;
use super::error::Error;
use super::profile::Algorithm;
use super::random::Random;
use super::seal::MasterKey;
use super::store::{KeyPurpose, KeyRow, KeyState, Seq};
use super::token::KeyId;

mod pair;

pub use pair::Pair;

/// The algorithm of every key that is not one of a profile.
const HMAC: &str = "HMAC";

/// A key that signs and verifies the JWTs of one profile.
#[derive(Debug)]
pub struct SigningKey {
    /// The id.
    pub id: KeyId,
    /// The profile.
    pub profile: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// What signs and verifies. The algorithm is its own: no token chooses it.
    pub pair: Pair,
}

impl SigningKey {
    fn open(row: &KeyRow, private: &[u8]) -> Result<Self, Error> {
        let pair = Pair::open(&row.algorithm, private).ok_or_else(|| broken(row))?;
        Ok(Self { id: row.id.clone(), profile: row.profile.clone(), state: row.state, pair })
    }

    /// What the world may verify with; `None` for a key that is shared.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let material = self.pair.material()?;
        Some(PublicKey { id: self.id.clone(), algorithm: self.pair.algorithm(), material })
    }
}

fn broken(row: &KeyRow) -> Error {
    Error::internal(format!("the key {} in the database cannot be read", row.id))
}

/// A key that makes or proves a short code.
pub struct CodeKey {
    /// The id.
    pub id: KeyId,
    /// Where it is in its life.
    pub state: KeyState,
    /// The key.
    pub hmac: hmac::Key,
}

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// All keys that are good for something, as they were when `as_of` was the newest change known.
#[derive(Debug)]
pub struct KeyRing {
    /// How fresh it is.
    pub as_of: Seq,
    signing: HashMap<KeyId, SigningKey>,
    codes: Vec<(KeyPurpose, CodeKey)>,
    retired: HashSet<KeyId>,
    shut: HashSet<KeyId>,
}

impl KeyRing {
    /// Opens the keys. A signing key that does not open is left out: what it signed is unknown,
    /// its profile signs nothing until it is retired, and all else goes on.
    ///
    /// # Errors
    /// [`Error::Internal`] where none opens, or one that makes codes does not. Those are as old as
    /// the database, so this is not the master key that it goes with; and without them tokens that
    /// are good would be taken for forged.
    pub fn open(rows: &[KeyRow], master: &MasterKey, as_of: Seq) -> Result<Self, Error> {
        let mut ring = Self {
            as_of,
            signing: HashMap::new(),
            codes: vec![],
            retired: HashSet::new(),
            shut: HashSet::new(),
        };
        let mut fault = None;
        for row in rows {
            if row.state == KeyState::Retired {
                ring.retired.insert(row.id.clone());
                continue;
            }
            let private = master.open(&context(row), &row.sealed);
            match row.purpose {
                KeyPurpose::Sign => match private.and_then(|key| SigningKey::open(row, &key)) {
                    Ok(key) => drop(ring.signing.insert(row.id.clone(), key)),
                    Err(error) => {
                        ring.shut.insert(row.id.clone());
                        fault = Some(error);
                    }
                },
                purpose @ (KeyPurpose::Check | KeyPurpose::Derive | KeyPurpose::Page) => {
                    let hmac = hmac::Key::new(hmac::HMAC_SHA256, &private?);
                    let key = CodeKey { id: row.id.clone(), state: row.state, hmac };
                    ring.codes.push((purpose, key));
                }
            }
        }
        if let Some(fault) = fault.filter(|_| ring.signing.is_empty() && ring.codes.is_empty()) {
            return Err(fault);
        }
        // Most of what is checked was made by the key in use.
        ring.codes.sort_by_key(|(_, key)| key.state != KeyState::Active);
        Ok(ring)
    }

    /// Finds the key that a JWT names, if it still verifies.
    #[must_use]
    pub fn verifying(&self, id: &str) -> Option<&SigningKey> {
        self.signing.get(id)
    }

    /// Whether this key was retired: what it signed is revoked.
    #[must_use]
    pub fn is_retired(&self, id: &str) -> bool {
        self.retired.contains(id)
    }

    /// Lists the signing keys that did not open.
    pub fn shut(&self) -> impl Iterator<Item = &KeyId> {
        self.shut.iter()
    }

    /// Whether this signing key did not open.
    #[must_use]
    pub fn is_shut(&self, id: &KeyId) -> bool {
        self.shut.contains(id)
    }

    /// Answers the key that signs for a profile.
    ///
    /// # Errors
    /// [`Error::Internal`] where none that opens does: each start makes sure that there is one.
    pub fn signing(&self, profile: &str) -> Result<&SigningKey, Error> {
        self.signing
            .values()
            .find(|key| key.profile == profile && key.state == KeyState::Active)
            .ok_or_else(|| Error::internal(format!("no key signs for the profile {profile}")))
    }

    /// Answers the code key in use for a purpose.
    ///
    /// # Errors
    /// As [`Self::signing`].
    pub fn code(&self, purpose: KeyPurpose) -> Result<&CodeKey, Error> {
        self.codes(purpose)
            .find(|key| key.state == KeyState::Active)
            .ok_or_else(|| Error::internal("a key of the service is missing"))
    }

    /// Answers the code key of this id, in use or not.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is not known here yet.
    pub fn code_of(&self, purpose: KeyPurpose, id: &KeyId) -> Result<&CodeKey, Error> {
        self.codes(purpose)
            .find(|key| key.id == *id)
            .ok_or_else(|| Error::Unavailable("a key of the service is not known here yet".into()))
    }

    /// Lists the code keys for a purpose that are good for reading.
    pub fn codes(&self, purpose: KeyPurpose) -> impl Iterator<Item = &CodeKey> {
        self.codes.iter().filter(move |(known, _)| *known == purpose).map(|(_, key)| key)
    }

    /// Lists the public keys, by id.
    #[must_use]
    pub fn public_keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<_> = self.signing.values().filter_map(SigningKey::public_key).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys
    }
}

fn context(row: &KeyRow) -> String {
    context_of(&row.id, row.purpose, &row.profile, &row.algorithm)
}

/// What a sealed key opens under: so that no row can be given another's private part.
fn context_of(id: &KeyId, purpose: KeyPurpose, profile: &str, algorithm: &str) -> String {
    format!("tokend key {id} {purpose:?} {profile} {algorithm}")
}

/// What a new key is for.
#[derive(Debug, Clone)]
pub enum NewKey {
    /// It signs for a profile.
    Sign {
        /// The profile.
        profile: String,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// It makes codes.
    Code(KeyPurpose),
}

impl NewKey {
    /// Whether this key does what the new one would: then none is needed.
    #[must_use]
    pub fn is_served_by(&self, row: &KeyRow) -> bool {
        row.state == KeyState::Active
            && match self {
                Self::Sign { profile, algorithm: _ } => {
                    row.purpose == KeyPurpose::Sign && row.profile == *profile
                }
                Self::Code(purpose) => row.purpose == *purpose,
            }
    }
}

/// Makes a key, in use from the start, sealed.
///
/// It takes up to seconds for RSA: not for an async thread.
///
/// # Errors
/// [`Error::Internal`] where the machine makes none.
pub fn generate(
    new: &NewKey,
    master: &MasterKey,
    random: &dyn Random,
    now: Timestamp,
) -> Result<KeyRow, Error> {
    let id = KeyId::parse(&random.uuid(now)?.simple().to_string()).map_err(Error::internal)?;
    let (purpose, profile, algorithm, private) = match new {
        NewKey::Sign { profile, algorithm } => {
            let private = generate_private(*algorithm, random)?;
            (KeyPurpose::Sign, profile.clone(), algorithm.name(), private)
        }
        NewKey::Code(purpose) => {
            let private = Zeroizing::new(random.bytes::<32>()?.to_vec());
            (*purpose, String::new(), HMAC, private)
        }
    };
    let sealed = master.seal(random, &context_of(&id, purpose, &profile, algorithm), &private)?;
    Ok(KeyRow {
        id,
        purpose,
        profile,
        algorithm: algorithm.to_owned(),
        state: KeyState::Active,
        sealed,
        created_at: now,
        retired_at: None,
    })
}

fn generate_private(
    algorithm: Algorithm,
    random: &dyn Random,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let fault = |_| Error::internal("no key could be made");
    let rng = SystemRandom::new();
    let private = match algorithm {
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&rng).map_err(fault)?.as_ref().to_vec(),
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng)
            .map_err(fault)?
            .as_ref()
            .to_vec(),
        Algorithm::Rs256 { bits } => {
            let size = if bits > 2048 { rsa::KeySize::Rsa4096 } else { rsa::KeySize::Rsa2048 };
            let pair = rsa::KeyPair::generate(size).map_err(fault)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(fault)?;
            der.as_ref().to_vec()
        }
        Algorithm::Hs256 => random.bytes::<32>()?.to_vec(),
    };
    Ok(Zeroizing::new(private))
}
