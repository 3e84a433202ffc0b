//! Telling a secret of ours from a forged one: from memory, without a lease.

use std::sync::Arc;

use super::calls::DenyReason;
use super::core::Core;
use super::format::jwt;
use super::format::opaque;
use super::keys::{KeyRing, SigningKey};
use super::profile::{Format, Life, OpaqueForm, Profile};
use super::proven::ProvenJwt;
use super::store::KeyPurpose;
use super::token::{KeyId, Secret, TokenDigest};

/// A presented secret of ours: genuine, but maybe dead.
#[derive(Debug)]
pub(super) enum Genuine {
    /// An opaque one, with the check of this profile.
    Opaque(TokenDigest),
    /// A signed one.
    Jwt(Arc<ProvenJwt>, Arc<Profile>),
}

impl Core {
    /// Tells a secret of ours from a forged one. Reads nothing but memory, and needs no lease.
    ///
    /// # Errors
    /// [`DenyReason::UnknownToken`], or [`DenyReason::RevokedToken`] where its key was retired.
    pub(super) fn recognise(&self, keys: &KeyRing, secret: &Secret) -> Result<Genuine, DenyReason> {
        let text = secret.expose();
        // No opaque token of ours has a dot, and no JWT has none.
        if text.contains('.') && text.len() <= jwt::MAX_LENGTH {
            self.recognise_jwt(keys, text)
        } else if self.is_checked(keys, text) {
            Ok(Genuine::Opaque(secret.digest()))
        } else {
            Err(DenyReason::UnknownToken)
        }
    }

    /// Whether an opaque secret holds the check that a key of ours makes for a profile of ours.
    fn is_checked(&self, keys: &KeyRing, text: &str) -> bool {
        self.settings.profiles.iter().any(|profile| {
            opaque_forms(profile).any(|form| {
                opaque::read(form, text).is_some_and(|read| {
                    let name = profile.name.as_str();
                    keys.codes(KeyPurpose::Check).any(|key| read.is_genuine(name, &key.hmac))
                })
            })
        })
    }

    /// What was proven is still asked for its key: that may have been retired since.
    fn recognise_jwt(&self, keys: &KeyRing, text: &str) -> Result<Genuine, DenyReason> {
        let whole = TokenDigest::of(text);
        if let Some(jwt) = self.proven.get(&whole) {
            let key = verifying(keys, &jwt.key)?;
            let profile = self.settings.profiles.find(&key.profile);
            let profile = profile.ok_or(DenyReason::UnknownToken)?;
            return Ok(Genuine::Jwt(jwt, Arc::clone(profile)));
        }
        let unproven = jwt::read(text).ok_or(DenyReason::UnknownToken)?;
        let key = verifying(keys, &unproven.key)?;
        let profile = self.settings.profiles.find(&key.profile).ok_or(DenyReason::UnknownToken)?;
        let context = self.jwt_context(profile).ok_or(DenyReason::UnknownToken)?;
        let claims = unproven.prove(key, context).ok_or(DenyReason::UnknownToken)?;
        // Only a profile that allows it makes tokens without an end.
        if claims.expires_at.is_none() && profile.max_life != Life::Endless {
            return Err(DenyReason::UnknownToken);
        }
        let jwt = Arc::new(ProvenJwt::new(key.id.clone(), claims));
        self.proven.keep(whole, Arc::clone(&jwt));
        Ok(Genuine::Jwt(jwt, Arc::clone(profile)))
    }
}

/// The key of this id, if what it has signed counts.
fn verifying<'a>(keys: &'a KeyRing, id: &KeyId) -> Result<&'a SigningKey, DenyReason> {
    keys.verifying(id).ok_or_else(|| {
        if keys.is_retired(id) { DenyReason::RevokedToken } else { DenyReason::UnknownToken }
    })
}

/// The forms in which a profile's tokens and refresh tokens are written, where those are opaque.
fn opaque_forms(profile: &Profile) -> impl Iterator<Item = OpaqueForm> {
    let form = |format| match format {
        Format::Opaque(form) => Some(form),
        Format::Jwt { .. } => None,
    };
    let refresh = profile.refresh.and_then(|policy| form(policy.format));
    [form(profile.format), refresh].into_iter().flatten()
}
