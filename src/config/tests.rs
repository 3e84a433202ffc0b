//! What the settings promise.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::domain::identity::Realm;
use crate::domain::profile::{Algorithm, Format, Life, OpaqueForm, Profile, RefreshRotation};
use crate::domain::store::LockoutPolicy;

mod secrets;

const EXAMPLE: &str = include_str!("../../tokend.example.toml");

/// A folder, and what is said beside it.
struct House {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl House {
    fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("tokend.toml"), toml);
        let sources = Sources { folder: folder.path().to_owned(), ..Sources::default() };
        Self { folder, sources }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.sources.flags.push((name.into(), value.into()));
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        write_private(&self.folder.path().join(name), content);
        self
    }

    fn load(&self) -> Settings {
        Settings::load(&self.sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults(&self) -> Vec<String> {
        let faults = Settings::load(&self.sources).expect_err("has faults");
        let folder = format!("{}/", self.folder.path().display());
        faults.iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }
}

fn write_private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn profile(toml: &str, name: &str) -> Profile {
    let profiles = House::new(toml).load().profiles().unwrap();
    Profile::clone(profiles.find(name).unwrap())
}

#[test]
fn has_an_example_that_shows_every_default() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .fold(String::new(), |text, line| text + line + "\n");
    let defaults = Settings::default();
    assert_eq!(House::new(EXAMPLE).load().show(), defaults.show());
    assert_eq!(House::new(&uncommented).load().show(), defaults.show());
    let table = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
    assert_eq!(table(&uncommented), table(&defaults.show()));
    for without_default in ["public_url", "master_key", "password", "delay"] {
        assert!(EXAMPLE.contains(&format!("# {without_default} = ")), "{without_default}");
    }
}

#[test]
fn takes_flags_over_the_environment_over_the_file_over_defaults() {
    let toml = "[grpc]\nlisten = '127.0.0.1:1'\nreflection = false\n[tokens]\nissuer = 'file'";
    let settings = House::new(toml)
        .env("TOKEND__GRPC__LISTEN", "127.0.0.1:2")
        .env("TOKEND__TOKENS__ISSUER", "environment")
        .env("OTHER__TOKENS__ISSUER", "nobody")
        .flag("grpc.listen", "127.0.0.1:3")
        .load();
    assert_eq!(settings.grpc.listen.port(), 3);
    assert_eq!(settings.tokens.issuer, "environment");
    assert!(!settings.grpc.reflection);
    assert_eq!(settings.tokens.audience, "tokend");
}

#[test]
fn needs_no_file_but_the_one_that_is_named() {
    let mut house = House::new("");
    fs::remove_file(house.folder.path().join("tokend.toml")).unwrap();
    assert_eq!(house.load().show(), Settings::default().show());
    house.sources.file = Some(house.folder.path().join("other.toml"));
    let faults = house.faults();
    assert!(faults[0].starts_with("other.toml: can't be read: "), "{faults:?}");
}

#[test]
fn names_every_fault_at_once_with_its_origin() {
    let toml = "colour = 1\n[grpc]\nlisten = 'here'\n[database]\nreaders = 0\n[nonsense]\n";
    let mut faults = House::new(toml)
        .env("TOKEND__REST__LISTENN", "127.0.0.1:2")
        .env("TOKEND__PASSWORDS__QUEUE", "many")
        .env("TOKEND__SHUTDOWN__GRACE", "30")
        .env("TOKEND__LOG__FORMAT", "xml")
        .flag("tokens.issuer", "")
        .faults();
    faults.sort();
    let begins = [
        "colour (from tokend.toml): unknown field `colour`, expected one of ",
        "database.readers (from tokend.toml): must be from 1 to 64",
        "grpc.listen (from tokend.toml): invalid socket address syntax",
        "log.format (from TOKEND__LOG__FORMAT): must be one of `text` `json`",
        "nonsense (from tokend.toml): unknown field `nonsense`, expected one of ",
        "passwords.queue (from TOKEND__PASSWORDS__QUEUE): must be an integer",
        "rest.listenn (from TOKEND__REST__LISTENN): unknown field `listenn`, expected one of ",
        "shutdown.grace (from TOKEND__SHUTDOWN__GRACE): must be a duration such as ",
        "tokens.issuer (from the command line): must not be empty",
    ];
    assert_eq!(faults.len(), begins.len(), "{faults:#?}");
    for (fault, begin) in faults.iter().zip(begins) {
        assert!(fault.starts_with(begin), "{fault}\n{begin}");
    }
}

#[test]
fn names_the_line_of_what_is_no_toml() {
    let faults = House::new("[grpc]\nlisten = \n").faults();
    assert!(faults[0].starts_with("tokend.toml: is not TOML: line 2: "), "{faults:?}");
}

#[test]
fn takes_only_names_for_names() {
    for toml in ["\"realms[99999999]\" = 1", "\"grpc.listen\" = '127.0.0.1:1'", "\"\" = 1"] {
        let faults = House::new(toml).faults();
        assert!(faults[0].ends_with("is not the name of a setting"), "{faults:?}");
    }
    let faults = House::new("").env("TOKEND__REALMS[9]", "x").faults();
    assert!(faults[0].ends_with("is not the name of a setting"), "{faults:?}");
}

#[test]
fn refuses_fractions_and_numbers_out_of_bounds() {
    for value in ["4.5", "-1", "0", "65", "99999999999"] {
        assert_eq!(House::new(&format!("[database]\nreaders = {value}")).faults().len(), 1);
    }
}

#[test]
fn takes_a_level_or_directives_and_no_word_that_is_neither() {
    for good in ["info", "WARN", "off", "info,tokend::store=debug", "tokend=trace,hyper=off"] {
        assert_eq!(House::new("").env("TOKEND__LOG__LEVEL", good).load().log.level, good);
    }
    for bad in ["loud", "very loud", "info,loud", "tokend=loud", "info tokend"] {
        let faults = House::new("").env("TOKEND__LOG__LEVEL", bad).faults();
        assert!(faults.len() == 1 && faults[0].starts_with("log.level (from "), "{bad} {faults:?}");
    }
}

#[test]
fn reads_lists_from_the_file_and_from_words_between_commas() {
    let settings = House::new("realms = ['a', 'b']\n[grpc]\ntrusted_peers = ['10.0.0.0/8']")
        .env("TOKEND__REST__TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8")
        .load();
    assert_eq!(settings.realms, ["a", "b"]);
    assert_eq!(settings.grpc.trusted_peers.len(), 1);
    assert_eq!(settings.rest.trusted_proxies.len(), 2);
    assert_eq!(House::new("[rest]\ntrusted_proxies = ['10.0.0.0']").faults().len(), 1);
}

#[test]
fn makes_the_profiles_at_the_start() {
    let minutes = |count| Life::For(Duration::from_mins(count));
    let operation = profile("", "operation");
    assert_eq!((operation.default_life, operation.max_life), (minutes(15), minutes(15)));
    let refresh = operation.refresh.unwrap();
    assert_eq!(refresh.format, Format::Opaque(OpaqueForm::Tkr));
    assert_eq!(refresh.rotation, RefreshRotation::Rotating);

    let harperdb = profile("", "harperdb");
    assert!(matches!(
        harperdb.format,
        Format::Jwt { algorithm: Algorithm::Rs256 { bits: 2048 }, .. }
    ));
    assert_eq!(harperdb.refresh.unwrap().format, harperdb.format);
    assert_eq!(harperdb.refresh.unwrap().rotation, RefreshRotation::Fixed);

    let epilot = profile("", "epilot");
    assert_eq!((epilot.default_life, epilot.max_life), (Life::Endless, minutes(365 * 24 * 60)));
    let customer = profile("", "magento-customer");
    assert_eq!(customer.realm.unwrap().as_str(), "customers");
    assert!(customer.self_only && !customer.requires_role);
    assert_eq!(customer.max_live_per_user, Some(1000));
    assert_eq!(profile("", "azion").max_live_per_user, None);

    let profiles = Settings::default().profiles().unwrap();
    assert_eq!(profiles.iter().count(), 9);
    let realms: Vec<_> = profiles.realms().iter().map(Realm::as_str).collect();
    assert_eq!(realms, ["customers", "default"]);
}

#[test]
fn changes_one_field_of_a_profile_and_leaves_the_rest() {
    let shorter = profile("[profiles.operation]\nlifetime = '5m'", "operation");
    assert_eq!(shorter.default_life, Life::For(Duration::from_mins(5)));
    assert_eq!(shorter.max_life, shorter.default_life);
    assert_eq!(shorter.format, profile("", "operation").format);
    let house = House::new("").env("TOKEND__PROFILES__HARPERDB__RSA_BITS", "4096").load();
    let profiles = house.profiles().unwrap();
    let format = profiles.find("harperdb").unwrap().format;
    assert!(matches!(format, Format::Jwt { algorithm: Algorithm::Rs256 { bits: 4096 }, .. }));
}

#[test]
fn takes_the_lockout_of_a_profile_over_the_one_for_all() {
    let policy = |toml: &str, name: &str| {
        let LockoutPolicy { failures, first_lock, longest_lock, forget_after } =
            profile(toml, name).lockout;
        (failures, [first_lock, longest_lock, forget_after].map(|time| time.as_secs()))
    };
    let all = (10, [1, 900, 86_400]);
    for name in ["operation", "azion", "epilot"] {
        assert_eq!(policy("", name), all, "{name}");
    }
    for name in ["magento-admin", "magento-customer"] {
        assert_eq!(policy("", name), (6, [1800; 3]), "{name}");
        assert_eq!(policy("[sign_in.lockout]\nfailures = 3", name).0, 6, "{name}");
        let own = format!("[profiles.{name}.lockout]\nfailures = 4");
        assert_eq!(policy(&own, name), (4, [1800; 3]), "{name}");
    }
    let both = "[sign_in.lockout]\nfailures = 3\n[profiles.azion.lockout]\nfirst_lock = '5s'";
    assert_eq!(policy(both, "azion"), (3, [5, 900, 86_400]));
}

#[test]
fn adds_a_profile() {
    let toml = "[profiles.ours]\nkind = 'operation'\nformat = 'hex40'\nlifetime = '2h'";
    let ours = profile(toml, "ours");
    assert_eq!(ours.format, Format::Opaque(OpaqueForm::Hex40));
    assert_eq!((ours.refresh, ours.realm), (None, None));
}

#[test]
fn refuses_profiles_that_make_no_sense() {
    for (toml, fault) in [
        ("[profiles.ours]\nkind = 'operation'", "profiles.ours.format: must be given"),
        ("[profiles.ours]\nformat = 'jwt'", "profiles.ours.algorithm: must be given"),
        ("[profiles.'a_b']", "must be 1 to 64 of a-z, 0-9 and -"),
        ("[profiles.operation]\nmax_lifetime = '5m'", "lifetime: must not be longer than"),
        ("[profiles.operation]\nlifetime = 'never'", "must have an end where the format is `jwt`"),
        ("[profiles.operation]\nlifetime = '0s'", "must be a second at least"),
        ("[profiles.operation]\nrefresh_lifetime = 'never'", "must have an end"),
        ("[profiles.personal]\nrefresh = 'rotating'", "must be `none` where the kind is"),
        ("[profiles.azion]\nrefresh = 'fixed'", "may be `fixed` only where the format is `jwt`"),
        ("[profiles.azion]\nrefresh = 'rotating'", "`rotating` only where the format is `jwt`"),
        ("[profiles.harperdb]\nrsa_bits = 1024", "must be 2048 or 4096"),
        ("[profiles.azion]\nrealm = 'A'", "profiles.azion.realm"),
        ("[profiles.azion]\nmax_live_per_user = 0", "must be at least 1"),
        ("[profiles.azion]\nlockout = { failures = 0 }", "profiles.azion.lockout.failures"),
        ("[profiles.azion]\nlockout = { first_lock = '1h' }", "profiles.azion.lockout.first_lock"),
        ("[profiles.azion]\nlockout = { forget_after = '0s' }", "azion.lockout.forget_after"),
        ("[profiles.azion.lockout]\nfailures = 'x'", "profiles.azion.lockout.failures"),
        ("[profiles.azion.lockout]\nfirst = '1s'", "profiles.azion.lockout.first"),
        ("[sign_in.lockout]\nfailures = 0", "sign_in.lockout.failures"),
        ("[profiles.personal]\nmax_lifetime = '90d'", "bounds only what is chosen"),
        ("[rest.azion]\nprofile = 'absent'", "rest.azion.profile"),
        ("[rest.azion]\nrealm = 'absent'", "rest.azion.realm"),
        ("[rest.azion]\nbase_path = 'azion/'", "rest.azion.base_path"),
        ("[rest.magento]\ncustomer_realm = 'default'", "is not the realm of the profile"),
        (
            "[rest.magento]\nstores = ['a/b']",
            "rest.magento.stores (from tokend.toml): must be codes",
        ),
        ("[rest.epilot]\nrealm = 'absent'", "rest.epilot.realm"),
        ("[rest.harperdb]\nbase_path = '/docs'", "`/docs` is claimed by"),
        ("[rest.harperdb]\nbase_path = '/soap'", "by magento-soap"),
        ("[rest.harperdb]\nprofile = 'operation'", "must be a profile whose `refresh` is `fixed`"),
        ("[rest.harperdb]\nbase_path = '/tokens'", "`/tokens` is claimed by azion and by harperdb"),
        ("realms = ['A']", "realms"),
    ] {
        let faults = House::new(toml).faults();
        assert!(faults.iter().any(|text| text.contains(fault)), "{toml}\n{faults:#?}");
    }
    let both = "[profiles.personal]\nmax_lifetime = '90d'\nlifetime = 'never'";
    assert_eq!(profile(both, "personal").default_life, Life::Endless);
}

#[test]
fn writes_durations_as_it_reads_them() {
    let toml = "[shutdown]\ngrace = '90s'\n[passwords]\nfailure_grid = '0s'";
    let shown = House::new(toml).load().show();
    assert!(shown.contains("grace = \"90s\"") && shown.contains("failure_grid = \"0s\""));
    let again = House::new(&shown).load();
    assert_eq!(again.show(), shown);
}
