//! Key pairs that sign and verify JWTs: opened once, and kept ready for use.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, rand::SystemRandom, rsa};
use jsonwebtoken::Algorithm as Jwa;
use jsonwebtoken::crypto::{JwtSigner, JwtVerifier};
use jsonwebtoken::signature::{Error as Fault, Signer, Verifier};

use super::super::calls::PublicMaterial;
use super::super::profile::Algorithm;

/// A key of one algorithm, which is all that it ever signs or verifies with.
pub struct Pair(Kind);

enum Kind {
    Ed25519 { private: Ed25519KeyPair, public: ParsedPublicKey },
    P256 { private: EcdsaKeyPair, public: ParsedPublicKey },
    Rsa { private: rsa::KeyPair, public: ParsedPublicKey, bits: u16 },
    Shared(Box<hmac::Key>),
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.algorithm()).finish()
    }
}

impl Pair {
    /// Opens a private key: PKCS #8, or the bare secret for HS256. `None` where it is none of this
    /// algorithm, or of a size that is never made.
    pub(super) fn open(algorithm: &str, private: &[u8]) -> Option<Self> {
        let kind = match algorithm {
            "EdDSA" => {
                let private = Ed25519KeyPair::from_pkcs8(private).ok()?;
                let public = ParsedPublicKey::new(&ED25519, private.public_key()).ok()?;
                Kind::Ed25519 { private, public }
            }
            "ES256" => {
                let form = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let private = EcdsaKeyPair::from_pkcs8(form, private).ok()?;
                let public =
                    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, private.public_key()).ok()?;
                Kind::P256 { private, public }
            }
            "RS256" => {
                let private = rsa::KeyPair::from_pkcs8(private).ok()?;
                let bits = match private.public_modulus_len() {
                    256 => 2048,
                    512 => 4096,
                    _ => return None,
                };
                let (n, e) = rsa_parts(&private);
                let public = RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .ok()?;
                Kind::Rsa { private, public, bits }
            }
            "HS256" => Kind::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, private))),
            _ => return None,
        };
        Some(Self(kind))
    }

    /// Answers the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Ed25519 { .. } => Algorithm::EdDsa,
            Kind::P256 { .. } => Algorithm::Es256,
            Kind::Rsa { bits, .. } => Algorithm::Rs256 { bits },
            Kind::Shared(_) => Algorithm::Hs256,
        }
    }

    /// What the world may verify with; `None` for a key that is shared.
    #[must_use]
    pub fn material(&self) -> Option<PublicMaterial> {
        match &self.0 {
            Kind::Ed25519 { private, .. } => {
                Some(PublicMaterial::Ed25519 { x: private.public_key().as_ref().to_vec() })
            }
            Kind::P256 { private, .. } => p256(private.public_key().as_ref()),
            Kind::Rsa { private, .. } => {
                let (n, e) = rsa_parts(private);
                Some(PublicMaterial::Rsa { n, e })
            }
            Kind::Shared(_) => None,
        }
    }

    /// The algorithm, as jsonwebtoken names it.
    const fn jwa(&self) -> Jwa {
        match self.0 {
            Kind::Ed25519 { .. } => Jwa::EdDSA,
            Kind::P256 { .. } => Jwa::ES256,
            Kind::Rsa { .. } => Jwa::RS256,
            Kind::Shared(_) => Jwa::HS256,
        }
    }
}

impl Signer<Vec<u8>> for Pair {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let fault = |_| Fault::new();
        match &self.0 {
            Kind::Ed25519 { private, .. } => {
                Ok(private.try_sign(message).map_err(fault)?.as_ref().to_vec())
            }
            Kind::P256 { private, .. } => {
                let signature = private.sign(&SystemRandom::new(), message).map_err(fault)?;
                Ok(signature.as_ref().to_vec())
            }
            Kind::Rsa { private, .. } => {
                let mut signature = vec![0; private.public_modulus_len()];
                let random = SystemRandom::new();
                private.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(fault)?;
                Ok(signature)
            }
            Kind::Shared(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

impl Verifier<Vec<u8>> for Pair {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Fault> {
        let verified = match &self.0 {
            Kind::Ed25519 { public, .. } | Kind::P256 { public, .. } | Kind::Rsa { public, .. } => {
                public.verify_sig(message, signature)
            }
            // In constant time.
            Kind::Shared(key) => hmac::verify(key, message, signature),
        };
        verified.map_err(|_| Fault::new())
    }
}

impl JwtSigner for Pair {
    fn algorithm(&self) -> Jwa {
        self.jwa()
    }
}

impl JwtVerifier for Pair {
    fn algorithm(&self) -> Jwa {
        self.jwa()
    }
}

/// The modulus and the exponent.
fn rsa_parts(pair: &rsa::KeyPair) -> (Vec<u8>, Vec<u8>) {
    let public = pair.public_key();
    let n = public.modulus().big_endian_without_leading_zero().to_vec();
    let e = public.exponent().big_endian_without_leading_zero().to_vec();
    (n, e)
}

fn p256(point: &[u8]) -> Option<PublicMaterial> {
    // 0x04, x, y: the uncompressed form.
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    Some(PublicMaterial::P256 { x: x.to_vec(), y: y.to_vec() })
}

#[cfg(test)]
mod tests;
