//! The settings of the HTTP listener, and of each dialect that it speaks.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::load::Faults;
use super::text;
use crate::domain::profile::{Profiles, RefreshRotation};
use crate::rest::{self, BasePath, DialectSettings, EpilotSettings, MagentoSettings, Members};

/// The HTTP listener, which speaks the dialects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Rest {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Networks whose `X-Forwarded-For` and `Forwarded` are believed.
    #[serde(deserialize_with = "text::list")]
    pub trusted_proxies: Vec<IpNet>,
    /// How clients reach it, where that is not `listen`: `https://id.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The hosts that answers may name where a request names them: `id.example.com` or
    /// `id.example.com:8080`. Where `public_url` is set, it alone is named.
    #[serde(deserialize_with = "text::list")]
    pub hosts: Vec<String>,
    /// How many connections may be open.
    pub max_connections: usize,
    /// How long the head of a request may take to arrive, from its first byte.
    #[serde(with = "text::duration")]
    pub header_timeout: Duration,
    /// How long a connection may be open without a request: longer than a proxy before it keeps its
    /// connections.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
    /// The dialect of Azion.
    pub azion: Azion,
    /// The dialect of Apinizer.
    pub apinizer: Apinizer,
    /// The dialect of `HarperDB`.
    pub harperdb: Harperdb,
    /// The dialect of Magento.
    pub magento: Magento,
    /// The dialect of epilot.
    pub epilot: Epilot,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            trusted_proxies: Vec::new(),
            public_url: None,
            hosts: Vec::new(),
            max_connections: 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(11),
            azion: Azion::default(),
            apinizer: Apinizer::default(),
            harperdb: Harperdb::default(),
            magento: Magento::default(),
            epilot: Epilot::default(),
        }
    }
}

/// Makes the settings of a dialect that has one realm and one profile of its own name.
macro_rules! dialect {
    ($(#[$of:meta])* $name:ident, $profile:literal) => {
        $(#[$of])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, expecting = "a table")]
        pub struct $name {
            /// Whether it is spoken.
            pub enabled: bool,
            /// The realm of those who sign in.
            pub realm: String,
            /// The profile of its tokens.
            pub profile: String,
            /// What its paths begin with: empty, or such as `/base`.
            pub base_path: String,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    enabled: true,
                    realm: "default".to_owned(),
                    profile: $profile.to_owned(),
                    base_path: String::new(),
                }
            }
        }

        impl $name {
            fn shim(&self, check: &mut Check<'_>) -> Option<DialectSettings> {
                let Self { enabled, realm, profile, base_path } = self;
                check.dialect(concat!("rest.", $profile), *enabled);
                check.members(("realm", realm), ("profile", profile));
                Some(DialectSettings {
                    enabled: *enabled,
                    base_path: check.base_path(base_path)?,
                    realm: realm.clone(),
                    profile: profile.clone(),
                })
            }
        }
    };
}

dialect! {
    /// The dialect of Azion.
    Azion, "azion"
}

dialect! {
    /// The dialect of Apinizer.
    Apinizer, "apinizer"
}

dialect! {
    /// The dialect of `HarperDB`.
    Harperdb, "harperdb"
}

/// The dialect of Magento.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Magento {
    /// Whether it is spoken.
    pub enabled: bool,
    /// The realm of those who sign in as admins.
    pub admin_realm: String,
    /// The profile of the admins' tokens.
    pub admin_profile: String,
    /// The realm of those who sign in as customers.
    pub customer_realm: String,
    /// The profile of the customers' tokens.
    pub customer_profile: String,
    /// The codes of the stores that may stand in a path.
    #[serde(deserialize_with = "text::list")]
    pub stores: Vec<String>,
    /// What its paths begin with: empty, or such as `/base`.
    pub base_path: String,
}

impl Default for Magento {
    fn default() -> Self {
        Self {
            enabled: true,
            admin_realm: "default".to_owned(),
            admin_profile: "magento-admin".to_owned(),
            customer_realm: "customers".to_owned(),
            customer_profile: "magento-customer".to_owned(),
            stores: vec!["default".to_owned(), "all".to_owned()],
            base_path: String::new(),
        }
    }
}

impl Magento {
    fn shim(&self, check: &mut Check<'_>) -> Option<MagentoSettings> {
        let Self {
            enabled,
            admin_realm,
            admin_profile,
            customer_realm,
            customer_profile,
            stores,
            base_path,
        } = self;
        check.dialect("rest.magento", *enabled);
        check.members(("admin_realm", admin_realm), ("admin_profile", admin_profile));
        check.members(("customer_realm", customer_realm), ("customer_profile", customer_profile));
        let is_code = |code: &String| {
            !code.is_empty()
                && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !stores.iter().all(is_code) {
            check.fault("stores", "must be codes of letters, digits and `_`");
        }
        let members = |realm: &String, profile: &String| Members {
            realm: realm.clone(),
            profile: profile.clone(),
        };
        Some(MagentoSettings {
            enabled: *enabled,
            base_path: check.base_path(base_path)?,
            stores: stores.clone(),
            admin: members(admin_realm, admin_profile),
            customer: members(customer_realm, customer_profile),
        })
    }
}

/// The dialect of epilot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Epilot {
    /// Whether it is spoken.
    pub enabled: bool,
    /// The realm that callers must be of; unset: any. A new token lives in its caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// The profile of its tokens.
    pub profile: String,
    /// What its paths begin with: empty, or such as `/base`.
    pub base_path: String,
}

impl Default for Epilot {
    fn default() -> Self {
        Self { enabled: true, realm: None, profile: "epilot".to_owned(), base_path: String::new() }
    }
}

impl Epilot {
    fn shim(&self, check: &mut Check<'_>) -> Option<EpilotSettings> {
        let Self { enabled, realm, profile, base_path } = self;
        check.dialect("rest.epilot", *enabled);
        match realm {
            Some(realm) => check.members(("realm", realm), ("profile", profile)),
            None => check.profile("profile", profile),
        }
        Some(EpilotSettings {
            enabled: *enabled,
            base_path: check.base_path(base_path)?,
            realm: realm.clone(),
            profile: profile.clone(),
        })
    }
}

impl Rest {
    /// Answers the settings in the shim's words.
    ///
    /// # Errors
    /// Every fault of the dialects, but for the paths that two of them may claim.
    pub(super) fn shim(
        &self,
        profiles: &Profiles,
        deadline: Duration,
    ) -> Result<rest::Settings, Faults> {
        let mut faults = Faults::default();
        let check = &mut Check { profiles, name: "", enabled: true, faults: &mut faults };
        let azion = self.azion.shim(check);
        let apinizer = self.apinizer.shim(check);
        let harperdb = self.harperdb.shim(check);
        check.refreshes(&self.harperdb.profile);
        let magento = self.magento.shim(check);
        let epilot = self.epilot.shim(check);
        let dialects = (azion, apinizer, harperdb, magento, epilot);
        let (Some(azion), Some(apinizer), Some(harperdb), Some(magento), Some(epilot)) = dialects
        else {
            return Err(faults);
        };
        let settings = rest::Settings {
            trusted_proxies: self.trusted_proxies.clone(),
            deadline,
            public_url: self.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            hosts: self.hosts.clone(),
            address: self.listen,
            azion,
            apinizer,
            harperdb,
            magento,
            epilot,
        };
        faults.or(settings)
    }
}

/// The faults of one dialect after the other.
struct Check<'a> {
    profiles: &'a Profiles,
    name: &'static str,
    enabled: bool,
    faults: &'a mut Faults,
}

impl Check<'_> {
    fn dialect(&mut self, name: &'static str, enabled: bool) {
        (self.name, self.enabled) = (name, enabled);
    }

    fn base_path(&mut self, path: &str) -> Option<BasePath> {
        let name = format!("{}.base_path", self.name);
        self.faults.take(&name, BasePath::parse(path))
    }

    fn members(&mut self, (realm, its_name): (&str, &str), profile: (&str, &str)) {
        self.profile(profile.0, profile.1);
        if self.profiles.realm(its_name).is_err() {
            self.fault(realm, "is not the name of a realm");
            return;
        }
        let bound = self.profiles.find(profile.1).and_then(|profile| profile.realm.as_ref());
        if bound.is_some_and(|bound| bound.as_str() != its_name) {
            self.fault(realm, &format!("is not the realm of the profile `{}`", profile.1));
        }
    }

    fn profile(&mut self, field: &str, name: &str) {
        if self.profiles.find(name).is_none() {
            self.fault(field, "is not the name of a profile");
        }
    }

    /// Notes where its tokens are not refreshed as the dialect has it.
    fn refreshes(&mut self, profile: &str) {
        let Some(profile) = self.profiles.find(profile) else { return };
        if profile.refresh.is_none_or(|policy| policy.rotation != RefreshRotation::Fixed) {
            self.fault("profile", "must be a profile whose `refresh` is `fixed`");
        }
    }

    // What is not spoken may name what is not there.
    fn fault(&mut self, field: &str, text: &str) {
        if self.enabled {
            self.faults.add(&format!("{}.{field}", self.name), text);
        }
    }
}
