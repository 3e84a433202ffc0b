//! What the rules make of the profiles in the settings.

use super::Settings;
use super::load::Faults;
use super::profiles::{
    AlgorithmWord, ClaimsWord, FormatWord, IdWord, KindWord, ProfileSettings, REFRESH_LIFETIME,
    RefreshWord,
};
use super::sign_in::Lockout;
use super::text::Lifetime;
use crate::domain::identity::Realm;
use crate::domain::profile::{
    Algorithm, ClaimStyle, Format, IdForm, Life, OpaqueForm, Profile, ProfileName, Profiles,
    RefreshPolicy, RefreshRotation,
};
use crate::domain::token::TokenKind;

const MAX_LIVE_PER_USER: u32 = 1000;

impl Settings {
    /// Makes the table by which tokens are made.
    ///
    /// # Errors
    /// Every fault of every profile and realm.
    pub fn profiles(&self) -> Result<Profiles, Faults> {
        let mut faults = Faults::default();
        let realms =
            self.realms.iter().filter_map(|name| faults.take("realms", Realm::parse(name)));
        let realms = realms.collect();
        let profiles = self
            .profiles
            .iter()
            .filter_map(|(name, set)| {
                Recipe { name, set, all: &self.sign_in.lockout, faults: &mut faults }.profile()
            })
            .collect();
        faults.or(Profiles::new(profiles, realms))
    }
}

/// One profile on its way from the settings to the rules.
struct Recipe<'a> {
    name: &'a str,
    set: &'a ProfileSettings,
    all: &'a Lockout,
    faults: &'a mut Faults,
}

impl Recipe<'_> {
    fn profile(mut self) -> Option<Profile> {
        let name = ProfileName::parse(self.name).map_err(|fault| self.fault(None, fault)).ok();
        let kind = self.given("kind", self.set.kind).map(|kind| match kind {
            KindWord::Operation => TokenKind::Operation,
            KindWord::Personal => TokenKind::Personal,
        });
        let format = self.format();
        let lifetime = self.given("lifetime", self.set.lifetime).map(life);
        let realm = match &self.set.realm {
            Some(name) => {
                Some(Realm::parse(name).map_err(|fault| self.fault(Some("realm"), fault)).ok()?)
            }
            None => None,
        };
        if self.set.max_live_per_user == Some(0) {
            self.fault(Some("max_live_per_user"), "must be at least 1");
        }
        let (name, kind, format, default_life) = (name?, kind?, format?, lifetime?);
        let max_life = self.max_life(kind, format, default_life);
        Some(Profile {
            name,
            kind,
            format,
            id_form: match self.set.id.unwrap_or(IdWord::Uuid) {
                IdWord::Uuid => IdForm::Uuid,
                IdWord::Api => IdForm::Api,
            },
            default_life,
            max_life,
            realm,
            refresh: self.refresh(kind, format),
            requires_role: self.set.requires_role.unwrap_or(false),
            self_only: self.set.self_only.unwrap_or(false),
            outlives_parent: self.set.outlives_parent.unwrap_or(false),
            max_live_per_user: self
                .set
                .max_live_per_user
                .or((default_life == Life::Endless).then_some(MAX_LIVE_PER_USER)),
            lockout: self.lockout().policy(),
        })
    }

    fn format(&mut self) -> Option<Format> {
        let opaque = match self.given("format", self.set.format)? {
            FormatWord::Jwt => return self.jwt(),
            FormatWord::Hex40 => OpaqueForm::Hex40,
            FormatWord::Base36 => OpaqueForm::Base36x32,
            FormatWord::Apnz => OpaqueForm::Apnz,
            FormatWord::Tkd => OpaqueForm::Tkd,
        };
        Some(Format::Opaque(opaque))
    }

    fn jwt(&mut self) -> Option<Format> {
        let algorithm = match self.given("algorithm", self.set.algorithm)? {
            AlgorithmWord::EdDsa => Algorithm::EdDsa,
            AlgorithmWord::Es256 => Algorithm::Es256,
            AlgorithmWord::Rs256 => Algorithm::Rs256 { bits: self.rsa_bits()? },
            AlgorithmWord::Hs256 => Algorithm::Hs256,
        };
        let claims = match self.set.claims.unwrap_or(ClaimsWord::AccessToken) {
            ClaimsWord::AccessToken => ClaimStyle::AccessToken,
            ClaimsWord::Plain => ClaimStyle::Plain,
            ClaimsWord::Harperdb => ClaimStyle::Harperdb,
        };
        Some(Format::Jwt { algorithm, claims })
    }

    fn rsa_bits(&mut self) -> Option<u16> {
        let bits = self.set.rsa_bits.unwrap_or(2048);
        if !matches!(bits, 2048 | 4096) {
            self.fault(Some("rsa_bits"), "must be 2048 or 4096");
            return None;
        }
        Some(bits)
    }

    fn max_life(&mut self, kind: TokenKind, format: Format, default_life: Life) -> Life {
        let max = self.set.max_lifetime.map_or_else(
            || if kind == TokenKind::Operation { default_life } else { Life::Endless },
            life,
        );
        if let (Life::For(default), Life::For(max)) = (default_life, max)
            && default > max
        {
            self.fault(Some("lifetime"), "must not be longer than max_lifetime");
        }
        // Without `exp` a JWT would have to be remembered for ever once it is revoked.
        if matches!(format, Format::Jwt { .. }) {
            if default_life == Life::Endless {
                self.fault(Some("lifetime"), "must have an end where the format is `jwt`");
            }
            if max == Life::Endless {
                self.fault(Some("max_lifetime"), "must have an end where the format is `jwt`");
            }
        }
        max
    }

    fn refresh(&mut self, kind: TokenKind, format: Format) -> Option<RefreshPolicy> {
        let word = self.set.refresh.unwrap_or(RefreshWord::None);
        let (own, rotation, elsewhere) = match word {
            RefreshWord::None => return None,
            RefreshWord::Rotating => (
                Format::Opaque(OpaqueForm::Tkr),
                RefreshRotation::Rotating,
                "may be `rotating` only where the format is `jwt`",
            ),
            RefreshWord::Fixed => {
                (format, RefreshRotation::Fixed, "may be `fixed` only where the format is `jwt`")
            }
        };
        if kind == TokenKind::Personal {
            self.fault(Some("refresh"), "must be `none` where the kind is `personal`");
        } else if matches!(format, Format::Opaque(_)) {
            self.fault(Some("refresh"), elsewhere);
        }
        match life(self.set.refresh_lifetime.unwrap_or(REFRESH_LIFETIME)) {
            Life::For(life) => Some(RefreshPolicy { format: own, life, rotation }),
            Life::Endless => {
                self.fault(Some("refresh_lifetime"), "must have an end");
                None
            }
        }
    }

    fn lockout(&mut self) -> Lockout {
        let lockout = self.set.lockout.over_all(self.all);
        // Where nothing was set, the faults are those of `sign_in.lockout`.
        if !self.set.lockout.is_unset() {
            lockout.check(self.faults, &format!("profiles.{}.lockout", self.name));
        }
        lockout
    }

    fn given<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.fault(Some(field), "must be given");
        }
        value
    }

    fn fault(&mut self, field: Option<&str>, text: &str) {
        let dotted = field.map(|field| format!(".{field}")).unwrap_or_default();
        self.faults.add(&format!("profiles.{}{dotted}", self.name), text);
    }
}

fn life(lifetime: Lifetime) -> Life {
    match lifetime {
        Lifetime::For(time) => Life::For(time),
        Lifetime::Never => Life::Endless,
    }
}
