//! The profiles as the settings write them, and those at the start.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sign_in::ProfileLockout;
use super::text::{Lifetime, words};

const DAY: Duration = Duration::from_hours(24);
pub(super) const REFRESH_LIFETIME: Lifetime = Lifetime::For(Duration::from_hours(30 * 24));

words! {
    /// What a profile's tokens are for.
    KindWord {
        /// Presented to services for a while.
        Operation = "operation",
        /// Made by a user for a program.
        Personal = "personal",
    }
}

words! {
    /// How a profile's secrets are written.
    FormatWord {
        /// A signed statement.
        Jwt = "jwt",
        /// 40 hex digits.
        Hex40 = "hex40",
        /// 32 of `[0-9a-z]`.
        Base36 = "base36",
        /// `apnz_` and 35 of `[A-Za-z0-9]`.
        Apnz = "apnz",
        /// `tkd_` and 43 of `[A-Za-z0-9]`.
        Tkd = "tkd",
    }
}

words! {
    /// What signs a profile's JWTs.
    AlgorithmWord {
        /// Ed25519.
        EdDsa = "EdDSA",
        /// ECDSA on P-256.
        Es256 = "ES256",
        /// RSA.
        Rs256 = "RS256",
        /// HMAC: only this service can check them.
        Hs256 = "HS256",
    }
}

words! {
    /// Which claims a profile's JWTs carry.
    ClaimsWord {
        /// Those of RFC 9068.
        AccessToken = "access_token",
        /// `iss`, `sub` (the user's name), `iat`, `exp`, `jti`.
        Plain = "plain",
        /// Those of HarperDB.
        Harperdb = "harperdb",
    }
}

words! {
    /// How a profile's ids are written.
    IdWord {
        /// A UUID.
        Uuid = "uuid",
        /// `api_` and 21 of `[A-Za-z0-9_-]`.
        Api = "api",
    }
}

words! {
    /// The refresh tokens of a profile.
    RefreshWord {
        /// It has none.
        None = "none",
        /// Opaque; each refresh answers a new one.
        Rotating = "rotating",
        /// A JWT that refreshes until it ends.
        Fixed = "fixed",
    }
}

/// A profile as the settings write it. What is unset is as the profile of that name has it at the
/// start, or else as said here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct ProfileSettings {
    /// `operation` or `personal`. Must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindWord>,
    /// `jwt`, `hex40`, `base36`, `apnz` or `tkd`. Must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatWord>,
    /// `EdDSA`, `ES256`, `RS256` or `HS256`. Must be given for `jwt`; counts there only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmWord>,
    /// 2048 or 4096; counts for `RS256` only. 2048.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rsa_bits: Option<u16>,
    /// `access_token`, `plain` or `harperdb`; counts for `jwt` only. `access_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimsWord>,
    /// `uuid` or `api`. `uuid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<IdWord>,
    /// How long a token lives where nobody chose: `15m`, `never`. Must be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// The longest that may be chosen. For `operation` the lifetime, for `personal` `never`.
    /// Beside a lifetime of `never` it bounds only what is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Lifetime>,
    /// The one realm that it is for. Any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// `none`, or where the format is `jwt` `rotating` or `fixed` (a JWT). `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshWord>,
    /// How long refreshing goes on after a sign-in; counts where there is a refresh token. `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_lifetime: Option<Lifetime>,
    /// Whether only a user who has a role gets one. `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_role: Option<bool>,
    /// Whether only `@self` permissions count for its tokens. `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_only: Option<bool>,
    /// Whether a personal token that was made with another one lives on when that one is revoked;
    /// counts for `personal` only. `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlives_parent: Option<bool>,
    /// How many live tokens a user may have; beyond it the longest unused is revoked. 1000 where
    /// the lifetime is `never`, or else no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_live_per_user: Option<u32>,
    /// What failed sign-ins for it do to a name, where not as `sign_in.lockout` says.
    #[serde(skip_serializing_if = "ProfileLockout::is_unset")]
    pub lockout: ProfileLockout,
}

impl ProfileSettings {
    fn new(kind: KindWord, format: FormatWord, lifetime: Lifetime) -> Self {
        Self { kind: Some(kind), format: Some(format), lifetime: Some(lifetime), ..Self::default() }
    }

    /// Fills what is unset from `base`.
    fn over(self, base: Self) -> Self {
        Self {
            kind: self.kind.or(base.kind),
            format: self.format.or(base.format),
            algorithm: self.algorithm.or(base.algorithm),
            rsa_bits: self.rsa_bits.or(base.rsa_bits),
            claims: self.claims.or(base.claims),
            id: self.id.or(base.id),
            lifetime: self.lifetime.or(base.lifetime),
            max_lifetime: self.max_lifetime.or(base.max_lifetime),
            realm: self.realm.or(base.realm),
            refresh: self.refresh.or(base.refresh),
            refresh_lifetime: self.refresh_lifetime.or(base.refresh_lifetime),
            requires_role: self.requires_role.or(base.requires_role),
            self_only: self.self_only.or(base.self_only),
            outlives_parent: self.outlives_parent.or(base.outlives_parent),
            max_live_per_user: self.max_live_per_user.or(base.max_live_per_user),
            lockout: self.lockout.over(base.lockout),
        }
    }
}

/// The profiles at the start.
pub(super) fn built_in() -> BTreeMap<String, ProfileSettings> {
    use FormatWord::{Apnz, Base36, Hex40, Jwt, Tkd};
    use KindWord::{Operation, Personal};

    let operation = ProfileSettings {
        algorithm: Some(AlgorithmWord::EdDsa),
        claims: Some(ClaimsWord::AccessToken),
        refresh: Some(RefreshWord::Rotating),
        refresh_lifetime: Some(REFRESH_LIFETIME),
        ..ProfileSettings::new(Operation, Jwt, Lifetime::For(Duration::from_mins(15)))
    };
    let apinizer = ProfileSettings {
        algorithm: Some(AlgorithmWord::Hs256),
        claims: Some(ClaimsWord::Plain),
        ..ProfileSettings::new(Operation, Jwt, Lifetime::For(Duration::from_hours(1)))
    };
    let harperdb = ProfileSettings {
        algorithm: Some(AlgorithmWord::Rs256),
        rsa_bits: Some(2048),
        claims: Some(ClaimsWord::Harperdb),
        refresh: Some(RefreshWord::Fixed),
        refresh_lifetime: Some(REFRESH_LIFETIME),
        ..ProfileSettings::new(Operation, Jwt, Lifetime::For(DAY))
    };
    let epilot = ProfileSettings {
        id: Some(IdWord::Api),
        outlives_parent: Some(true),
        max_lifetime: Some(Lifetime::For(365 * DAY)),
        ..ProfileSettings::new(Personal, Tkd, Lifetime::Never)
    };
    let half_an_hour = Some(Duration::from_mins(30));
    let magento = ProfileSettings {
        lockout: ProfileLockout {
            failures: Some(6),
            first_lock: half_an_hour,
            longest_lock: half_an_hour,
            // With the lock, so that there are six tries again behind it.
            forget_after: half_an_hour,
        },
        ..ProfileSettings::new(Operation, Base36, Lifetime::Never)
    };
    let admin = ProfileSettings { requires_role: Some(true), ..magento.clone() };
    let customer =
        ProfileSettings { self_only: Some(true), realm: Some("customers".to_owned()), ..magento };
    [
        ("operation", operation),
        ("personal", ProfileSettings::new(Personal, Tkd, Lifetime::Never)),
        ("azion", ProfileSettings::new(Operation, Hex40, Lifetime::For(DAY))),
        ("apinizer", apinizer),
        ("apinizer-personal", ProfileSettings::new(Personal, Apnz, Lifetime::Never)),
        ("harperdb", harperdb),
        ("magento-admin", admin),
        ("magento-customer", customer),
        ("epilot", epilot),
    ]
    .into_iter()
    .map(|(name, profile)| (name.to_owned(), profile))
    .collect()
}

/// Lays what was set over the profiles at the start.
pub(super) fn over_built_in(
    set: BTreeMap<String, ProfileSettings>,
) -> BTreeMap<String, ProfileSettings> {
    let mut all = built_in();
    for (name, profile) in set {
        let base = all.remove(&name).unwrap_or_default();
        all.insert(name, profile.over(base));
    }
    all
}
