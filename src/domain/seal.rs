//! Sealing: private keys rest in the database encrypted by a master key that is not in it.

use std::collections::BTreeSet;
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
    /// Reads the base64 of one: 32 bytes that were drawn at random. Wherever it comes from, this is
    /// what judges it.
    ///
    /// # Errors
    /// What is wrong with it, to follow a setting's name: its form, or that nobody drew these bytes.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be 32 random bytes in base64: `openssl rand -base64 32`";
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| FORM)?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| FORM)?;
        if is_guessable(&key) || is_typed(text) {
            return Err("is not random: draw one by `openssl rand -base64 32`");
        }
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| FORM)?;
        Ok(Self(LessSafeKey::new(key)))
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

/// Of 32 random bytes fewer differ once in 10^14 draws.
const LEAST_DISTINCT_BYTES: usize = 16;

/// Whether bytes have a pattern that 32 random ones have less than once in 10^13 draws: few values,
/// even steps, the same half twice, text.
fn is_guessable(key: &[u8; 32]) -> bool {
    let distinct = key.iter().collect::<BTreeSet<_>>().len();
    let steps = || key.iter().zip(key.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a));
    let is_a_run = steps().all(|step| Some(step) == steps().next());
    let (first, second) = key.split_at(16);
    let is_text = key.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'));
    distinct < LEAST_DISTINCT_BYTES || is_a_run || first == second || is_text
}

/// Whether the base64 itself is a phrase that somebody typed: 43 random characters have capitals and
/// small letters, but for once in 10^9 draws.
fn is_typed(text: &str) -> bool {
    let has = |of: fn(&u8) -> bool| text.as_bytes().iter().any(of);
    !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
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
        let run: Vec<u8> = (0..32).collect();
        let half: Vec<u8> = (0..16).map(|number| number * number).collect();
        for text in [
            "",
            "AAAA",
            "not base64!",
            "correcthorsebatterystaplecorrecthorsebattrs=",
            &STANDARD.encode([0; 32]),
            &STANDARD.encode([7; 32]),
            &STANDARD.encode([7; 31]),
            &STANDARD.encode(b"ab".repeat(16)),
            &STANDARD.encode(b"passwordpasswordpasswordpassword"),
            &STANDARD.encode(b"The quick brown fox jumps over 1"),
            &STANDARD.encode(run),
            &STANDARD.encode(half.repeat(2)),
        ] {
            assert!(MasterKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn takes_every_key_that_was_drawn() {
        let random = MachineRandom::default();
        for _ in 0..1000 {
            let key = MasterKey::generate(&random).unwrap();
            assert!(MasterKey::parse(&key).is_ok(), "one in 10^9: {}", key.as_str());
        }
    }
}
