//! The messages of `KeyService`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::calls::{PublicKey, PublicMaterial, SigningKeyView};
use crate::domain::store::KeyState;
use crate::pb;

use super::time;

impl From<PublicKey> for pb::JsonWebKey {
    fn from(key: PublicKey) -> Self {
        let PublicKey { id, algorithm, material } = key;
        let text = |number: Vec<u8>| URL_SAFE_NO_PAD.encode(number);
        let none = String::new;
        let (kty, crv, [x, y, n, e]) = match material {
            PublicMaterial::Ed25519 { x } => ("OKP", "Ed25519", [text(x), none(), none(), none()]),
            PublicMaterial::P256 { x, y } => ("EC", "P-256", [text(x), text(y), none(), none()]),
            PublicMaterial::Rsa { n, e } => ("RSA", "", [none(), none(), text(n), text(e)]),
        };
        Self {
            kty: kty.to_owned(),
            r#use: "sig".to_owned(),
            alg: algorithm.name().to_owned(),
            kid: id.as_str().to_owned(),
            crv: crv.to_owned(),
            x,
            y,
            n,
            e,
        }
    }
}

impl From<SigningKeyView> for pb::SigningKey {
    fn from(key: SigningKeyView) -> Self {
        let SigningKeyView { id, profile, algorithm, state, created_at, retired_at } = key;
        Self {
            id: id.as_str().to_owned(),
            profile,
            algorithm,
            state: pb::SigningKeyState::from(state).into(),
            create_time: Some(time(created_at)),
            retire_time: retired_at.map(time),
        }
    }
}

impl From<KeyState> for pb::SigningKeyState {
    fn from(state: KeyState) -> Self {
        match state {
            KeyState::Next => Self::Next,
            KeyState::Active => Self::Active,
            KeyState::Verifying => Self::Verifying,
            KeyState::Retired => Self::Retired,
        }
    }
}
