//! Signing keys, as they are seen.

use super::super::clock::Timestamp;
use super::super::profile::Algorithm;
use super::super::store::KeyState;
use super::super::token::KeyId;

/// A signing key, without its private part.
#[derive(Debug, Clone)]
pub struct SigningKeyView {
    /// The id.
    pub id: KeyId,
    /// The profile it signs for.
    pub profile: String,
    /// The algorithm's name.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped signing.
    pub retired_at: Option<Timestamp>,
}

/// A public key that verifies our tokens.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// The id.
    pub id: KeyId,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key itself.
    pub material: PublicMaterial,
}

/// A public key's numbers, big-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicMaterial {
    /// Ed25519.
    Ed25519 {
        /// The point.
        x: Vec<u8>,
    },
    /// P-256.
    P256 {
        /// The point's x.
        x: Vec<u8>,
        /// The point's y.
        y: Vec<u8>,
    },
    /// RSA.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}
