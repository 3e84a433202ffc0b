//! Sealing: private keys rest in the database encrypted by a master key that is not in it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::Error;
use super::random::Random;

/// The key that seals all others: AES-256-GCM.
pub struct MasterKey(LessSafeKey);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// Takes 32 bytes that nobody could guess.
    ///
    /// # Errors
    /// What is wrong with them, to follow a setting's name.
    pub fn new(bytes: &[u8]) -> Result<Self, &'static str> {
        let key = <[u8; 32]>::try_from(bytes).map_err(|_| "must be 32 bytes, in base64")?;
        let [first, rest @ ..] = key;
        if rest.iter().all(|byte| *byte == first) {
            return Err("must be random, not one byte over and over");
        }
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| "is not a key of AES-256")?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Reads the base64 of one.
    ///
    /// # Errors
    /// What is wrong with it, to follow a setting's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| "must be 32 bytes, in base64")?;
        Self::new(&Zeroizing::new(bytes))
    }

    /// Draws a new one, in base64.
    ///
    /// # Errors
    /// As [`Random::fill`].
    pub fn generate(random: &dyn Random) -> Result<Zeroizing<String>, Error> {
        let bytes = Zeroizing::new(random.bytes::<32>()?);
        Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice())))
    }

    /// Seals `plain`, so that it opens under the same `context` only.
    ///
    /// # Errors
    /// [`Error::Internal`] where the machine gives no randomness.
    pub fn seal(&self, random: &dyn Random, context: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = random.bytes::<NONCE_LEN>()?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::internal("a key could not be sealed"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed under this context.
    ///
    /// # Errors
    /// [`Error::Internal`] where it was sealed by another master key, or was changed.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        const FAULT: &str = "a key in the database does not open with this master key";
        let (nonce, sealed) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| Error::internal(FAULT))?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let opened = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context.as_bytes()),
                &mut plain,
            )
            .map_err(|_| Error::internal(FAULT))?
            .len();
        plain.truncate(opened);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::MachineRandom;
    use super::*;

    #[test]
    fn opens_under_the_same_key_and_context_only() {
        let random = MachineRandom::default();
        let key = MasterKey::parse(&MasterKey::generate(&random).unwrap()).unwrap();
        let other = MasterKey::parse(&MasterKey::generate(&random).unwrap()).unwrap();
        let mut sealed = key.seal(&random, "key-1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(key.open("key-1", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open("key-2", &sealed).is_err());
        assert!(other.open("key-1", &sealed).is_err());
        sealed[20] ^= 1;
        assert!(key.open("key-1", &sealed).is_err());
        assert!(key.open("key-1", b"short").is_err());
    }

    #[test]
    fn refuses_keys_that_anybody_could_guess() {
        for text in
            ["", "AAAA", &STANDARD.encode([0; 32]), &STANDARD.encode([7; 32]), "not base64!"]
        {
            assert!(MasterKey::parse(text).is_err(), "{text}");
        }
    }
}
