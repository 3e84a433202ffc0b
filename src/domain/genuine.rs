//! Telling a secret of ours from a forged one: from memory, without a lease.

use std::sync::Arc;

use super::calls::DenyReason;
use super::core::Core;
use super::format::jwt;
use super::format::opaque;
use super::keys::{KeyRing, SigningKey};
use super::profile::{Format, IdForm, Life, OpaqueForm, Profile};
use super::proven::ProvenJwt;
use super::store::KeyPurpose;
use super::token::{Secret, TokenDigest};

/// Why a presented secret is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unrecognised {
    /// We did not make it.
    Forged,
    /// It names a key that is not known here: forged, or made by another process with a key that
    /// this one has not heard of yet. Whoever has a lease has heard of all that sign.
    UnknownKey,
    /// Its key was retired, and all that it made died with it.
    RetiredKey,
}

impl From<Unrecognised> for DenyReason {
    fn from(unrecognised: Unrecognised) -> Self {
        match unrecognised {
            Unrecognised::Forged | Unrecognised::UnknownKey => Self::UnknownToken,
            Unrecognised::RetiredKey => Self::RevokedToken,
        }
    }
}

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
    /// [`Unrecognised`].
    pub(super) fn recognise(
        &self,
        keys: &KeyRing,
        secret: &Secret,
    ) -> Result<Genuine, Unrecognised> {
        let text = secret.expose();
        match secret.is_opaque() {
            true if self.is_checked(keys, text) => Ok(Genuine::Opaque(secret.digest())),
            false if text.len() <= jwt::MAX_LENGTH => self.recognise_jwt(keys, text),
            true | false => Err(Unrecognised::Forged),
        }
    }

    /// Why a secret is refused whatever the database says, which is then not asked.
    pub(super) fn refuse_forged(&self, secret: &Secret) -> Option<DenyReason> {
        match self.recognise(&self.knowledge.keys(), secret) {
            Err(forged @ (Unrecognised::Forged | Unrecognised::RetiredKey)) => Some(forged.into()),
            Err(Unrecognised::UnknownKey) | Ok(_) => None,
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

    /// What was proven is still asked for its key: that may have been retired since.
    fn recognise_jwt(&self, keys: &KeyRing, text: &str) -> Result<Genuine, Unrecognised> {
        let whole = TokenDigest::of(text);
        if let Some(jwt) = self.proven.get(&whole) {
            let key = verifying(keys, jwt.key.as_str())?;
            let profile = self.settings.profiles.find(&key.profile);
            let profile = profile.ok_or(Unrecognised::Forged)?;
            return Ok(Genuine::Jwt(jwt, Arc::clone(profile)));
        }
        let unproven = jwt::read(text).ok_or(Unrecognised::Forged)?;
        let key = verifying(keys, unproven.key())?;
        let profile = self.settings.profiles.find(&key.profile).ok_or(Unrecognised::Forged)?;
        let context = self.jwt_context(profile).ok_or(Unrecognised::Forged)?;
        let claims = unproven.prove(key, context).ok_or(Unrecognised::Forged)?;
        // Only a profile that allows it makes tokens without an end.
        if claims.expires_at.is_none() && profile.max_life != Life::Endless {
            return Err(Unrecognised::Forged);
        }
        let jwt = Arc::new(ProvenJwt::new(key.id.clone(), claims));
        self.proven.keep(whole, Arc::clone(&jwt));
        Ok(Genuine::Jwt(jwt, Arc::clone(profile)))
    }
}

/// The key of this id, if what it has signed counts.
fn verifying<'a>(keys: &'a KeyRing, id: &str) -> Result<&'a SigningKey, Unrecognised> {
    keys.verifying(id).ok_or_else(|| {
        if keys.is_retired(id) { Unrecognised::RetiredKey } else { Unrecognised::UnknownKey }
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
