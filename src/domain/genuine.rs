//! Telling a secret of ours from a forged one: from memory, without a lease.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::calls::DenyReason;
use super::core::Core;
use super::format::jwt::{self, Claims};
use super::format::opaque;
use super::keys::KeyRing;
use super::profile::{Format, IdForm, Life, OpaqueForm, Profile};
use super::store::KeyPurpose;
use super::token::{Secret, TokenDigest};

/// A presented secret of ours: genuine, but maybe dead.
#[derive(Debug)]
pub(super) enum Genuine {
    /// An opaque one, with the check of this profile.
    Opaque(TokenDigest),
    /// A signed one.
    Jwt(Arc<Claims>, Arc<Profile>),
}

impl Core {
    /// Tells a secret of ours from a forged one. Reads nothing but memory, and needs no lease.
    ///
    /// # Errors
    /// [`DenyReason::UnknownToken`], or [`DenyReason::RevokedToken`] where its key was retired.
    pub(super) fn recognise(&self, keys: &KeyRing, secret: &Secret) -> Result<Genuine, DenyReason> {
        let text = secret.expose();
        match jwt::read(text) {
            Some(unproven) => self.prove_jwt(keys, text, &unproven),
            None if self.is_checked(keys, text) => Ok(Genuine::Opaque(secret.digest())),
            None => Err(DenyReason::UnknownToken),
        }
    }

    /// Whether an opaque secret holds the check that a key of ours makes for a profile of ours.
    fn is_checked(&self, keys: &KeyRing, text: &str) -> bool {
        let Some(read) = opaque::read(text) else { return false };
        // A dialect may write as a profile of ours does, which is the commoner.
        let profiles = [true, false].into_iter().flat_map(|is_ours| {
            let profiles = self.settings.profiles.iter();
            profiles.filter(move |profile| (profile.id_form == IdForm::Uuid) == is_ours)
        });
        profiles.filter(|profile| opaque_forms(profile).any(|form| form == read.form())).any(
            |profile| {
                let name = profile.name.as_str();
                keys.codes(KeyPurpose::Check).any(|key| read.is_genuine(name, &key.hmac))
            },
        )
    }

    fn prove_jwt(
        &self,
        keys: &KeyRing,
        text: &str,
        unproven: &jwt::Unproven<'_>,
    ) -> Result<Genuine, DenyReason> {
        let Some(key) = keys.verifying(unproven.key()) else {
            let retired = keys.is_retired(unproven.key());
            return Err(if retired { DenyReason::RevokedToken } else { DenyReason::UnknownToken });
        };
        let profile = self.settings.profiles.find(&key.profile).ok_or(DenyReason::UnknownToken)?;
        let context = self.jwt_context(profile).ok_or(DenyReason::UnknownToken)?;
        let mut whole = [0; 32];
        whole.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        if let Some(claims) = self.proven.get(&whole) {
            return Ok(Genuine::Jwt(claims, Arc::clone(profile)));
        }
        let claims = unproven.prove(key, context).ok_or(DenyReason::UnknownToken)?;
        // Only a profile that allows it makes tokens without an end.
        if claims.expires_at.is_none() && profile.max_life != Life::Endless {
            return Err(DenyReason::UnknownToken);
        }
        let claims = Arc::new(claims);
        self.proven.insert(whole, Arc::clone(&claims));
        Ok(Genuine::Jwt(claims, Arc::clone(profile)))
    }
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
