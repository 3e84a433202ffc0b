//! What a kept pair signs, others accept; and what others sign, it accepts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::super::clock::Timestamp;
use super::super::super::format::jwt::{self, Claims, Context};
use super::super::super::identity::{Generation, UserId};
use super::super::super::profile::ClaimStyle;
use super::super::super::random::MachineRandom;
use super::super::super::store::{KeyPurpose, KeyRow, KeyState};
use super::super::super::token::{GrantId, KeyId, RoleChoice, TokenId, TokenKind};
use super::super::{SigningKey, generate_private};
use super::*;

const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::EdDsa,
    Algorithm::Es256,
    Algorithm::Rs256 { bits: 2048 },
    Algorithm::Rs256 { bits: 4096 },
    Algorithm::Hs256,
];
const CONTEXT: Context<'static> =
    Context { style: ClaimStyle::AccessToken, issuer: "tokend", audience: "services" };

/// A key, and the private part of it.
fn key(algorithm: Algorithm) -> (SigningKey, Vec<u8>) {
    let private = generate_private(algorithm, &MachineRandom::default()).unwrap().to_vec();
    let row = KeyRow {
        id: KeyId::parse("key-1").unwrap(),
        purpose: KeyPurpose::Sign,
        profile: "a".to_owned(),
        algorithm: algorithm.name().to_owned(),
        state: KeyState::Active,
        sealed: vec![],
        created_at: Timestamp::from_micros(0),
        retired_at: None,
    };
    (SigningKey::open(&row, &private).unwrap(), private)
}

fn claims() -> Claims {
    Claims {
        id: TokenId::parse("jti-1").unwrap(),
        kind: TokenKind::Operation,
        user: UserId(Uuid::from_u128(7)),
        grant: GrantId(Uuid::from_u128(8)),
        generation: Generation(3),
        roles: RoleChoice::Inherit,
        refresh: None,
        issued_at: Timestamp::from_micros(1_700_000_000_000_000),
        expires_at: Some(Timestamp::from_micros(32_500_000_000_000_000)),
    }
}

fn token(key: &SigningKey) -> String {
    jwt::write(key, &claims(), "Ann", CONTEXT).unwrap().expose().to_owned()
}

/// The key as a reader of the key set has it; a shared one as its holders do.
fn stock_public(key: &SigningKey, private: &[u8]) -> DecodingKey {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = match key.public_key().map(|public| public.material) {
        None => return DecodingKey::from_secret(private),
        Some(PublicMaterial::Ed25519 { x }) => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": text(&x)})
        }
        Some(PublicMaterial::P256 { x, y }) => {
            json!({"kty": "EC", "crv": "P-256", "x": text(&x), "y": text(&y)})
        }
        Some(PublicMaterial::Rsa { n, e }) => {
            json!({"kty": "RSA", "n": text(&n), "e": text(&e)})
        }
    };
    DecodingKey::from_jwk(&serde_json::from_value::<Jwk>(jwk).unwrap()).unwrap()
}

fn stock_private(algorithm: Algorithm, private: &[u8]) -> EncodingKey {
    match algorithm {
        Algorithm::EdDsa => EncodingKey::from_ed_der(private),
        Algorithm::Es256 => EncodingKey::from_ec_der(private),
        // It takes PKCS #1, which PKCS #8 holds behind 26 bytes that say what it is.
        Algorithm::Rs256 { .. } => EncodingKey::from_rsa_der(&private[26..]),
        Algorithm::Hs256 => EncodingKey::from_secret(private),
    }
}

fn payload(text: &str) -> Value {
    let payload = text.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn signs_what_stock_jsonwebtoken_accepts() {
    for algorithm in ALGORITHMS {
        let (key, private) = key(algorithm);
        assert_eq!(key.pair.algorithm(), algorithm);
        let text = token(&key);
        let mut validation = Validation::new(JwtSigner::algorithm(&key.pair));
        validation.set_audience(&["services"]);
        validation.set_issuer(&["tokend"]);
        let public = stock_public(&key, &private);
        let read = jsonwebtoken::decode::<Value>(&text, &public, &validation).unwrap();
        assert_eq!(read.claims, payload(&text), "{algorithm:?}");
        let (other, private) = self::key(algorithm);
        let public = stock_public(&other, &private);
        assert!(jsonwebtoken::decode::<Value>(&text, &public, &validation).is_err());
    }
}

#[test]
fn accepts_what_stock_jsonwebtoken_signs() {
    for algorithm in ALGORITHMS {
        let (key, private) = key(algorithm);
        let mut header = Header::new(JwtVerifier::algorithm(&key.pair));
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some("key-1".to_owned());
        let private = stock_private(algorithm, &private);
        let text = jsonwebtoken::encode(&header, &payload(&token(&key)), &private).unwrap();
        let unproven = jwt::read(&text).unwrap();
        assert_eq!(unproven.prove(&key, CONTEXT), Some(claims()), "{algorithm:?}");
        assert_eq!(unproven.prove(&self::key(algorithm).0, CONTEXT), None, "{algorithm:?}");
    }
}

#[test]
fn refuses_signatures_that_are_cut_stretched_or_of_another_form() {
    for algorithm in ALGORITHMS {
        let (key, _) = key(algorithm);
        let good = key.pair.sign(b"message");
        assert!(key.pair.verify(b"message", &good).is_ok());
        assert!(key.pair.verify(b"another", &good).is_err());
        let cut = good[..good.len() - 1].to_vec();
        let stretched = [&good[..], &[0]].concat();
        let before = [&[0], &good[..]].concat();
        let nought = vec![0; good.len()];
        for bad in [vec![], cut, stretched, before, nought] {
            assert!(key.pair.verify(b"message", &bad).is_err(), "{algorithm:?} {}", bad.len());
        }
    }
    let (key, private) = key(Algorithm::Es256);
    let form = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let der = EcdsaKeyPair::from_pkcs8(form, &private).unwrap();
    let der = der.sign(&SystemRandom::new(), b"message").unwrap();
    assert!(key.pair.verify(b"message", &der.as_ref().to_vec()).is_err());
    let (key, private) = self::key(Algorithm::Rs256 { bits: 2048 });
    let other = rsa::KeyPair::from_pkcs8(&private).unwrap();
    let mut pss = vec![0; 256];
    let padding = &aws_lc_rs::signature::RSA_PSS_SHA256;
    other.sign(padding, &SystemRandom::new(), b"message", &mut pss).unwrap();
    assert!(key.pair.verify(b"message", &pss).is_err());
}

#[test]
fn opens_no_key_under_the_name_of_another_algorithm() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256 { bits: 2048 }] {
        let (_, private) = key(algorithm);
        for name in ["EdDSA", "ES256", "RS256", "none", ""] {
            let opens = Pair::open(name, &private).is_some();
            assert_eq!(opens, name == algorithm.name(), "{algorithm:?} as {name}");
        }
    }
}

#[test]
fn opens_no_rsa_key_of_a_size_that_is_never_made() {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa3072).unwrap();
    let private: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(&pair).unwrap();
    assert!(Pair::open("RS256", private.as_ref()).is_none());
}

#[test]
fn shows_nothing_of_a_key() {
    for algorithm in ALGORITHMS {
        let (key, _) = key(algorithm);
        assert_eq!(format!("{:?}", key.pair), format!("Pair({algorithm:?})"));
    }
}
