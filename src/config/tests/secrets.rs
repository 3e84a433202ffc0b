//! What the settings promise of secrets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;

use super::House;

/// 32 bytes that nobody uses.
const KEY: &str = "tB0cXQWYn1vzSoTr8cL0kK4uD2m3hZy5xw9eFg7aJ6Q=";

#[test]
fn keeps_secrets_as_text_whatever_they_look_like() {
    for text in ["12345", "true", "1e5", "off", " x ", "a,b", "0x10"] {
        let settings = House::new("").env("TOKEND__BOOTSTRAP__PASSWORD", text).load();
        assert_eq!(settings.bootstrap.password.unwrap().expose_secret(), text);
    }
}

#[test]
fn reads_each_secret_from_a_file_without_what_surrounds_it() {
    let settings = House::new("[bootstrap]\npassword_file = 'password'")
        .file("password", "\u{feff}pass\r\n")
        .file("url", "sqlite://other.db\n")
        .file("key", KEY)
        .env("TOKEND__DATABASE__URL_FILE", "url")
        .env("TOKEND__KEYS__MASTER_KEY_FILE", "key")
        .load();
    assert_eq!(settings.bootstrap.password.unwrap().expose_secret(), "pass");
    assert_eq!(settings.database.url.expose_secret(), "sqlite://other.db");
    assert!(settings.keys.decode().unwrap().is_some());
}

#[test]
fn refuses_a_secret_that_is_set_twice_and_files_that_are_not_there() {
    let faults = House::new("")
        .file("password", "other")
        .env("TOKEND__BOOTSTRAP__PASSWORD", "marked-secret")
        .env("TOKEND__BOOTSTRAP__PASSWORD_FILE", "password")
        .env("TOKEND__KEYS__MASTER_KEY_FILE", "absent")
        .faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0], "bootstrap.password_file: must not be set beside bootstrap.password");
    let origin = "keys.master_key_file (from TOKEND__KEYS__MASTER_KEY_FILE): can't be read: ";
    assert!(faults[1].starts_with(origin), "{faults:?}");
}

#[test]
fn lets_a_secret_be_overridden_by_the_file_of_a_later_source() {
    let settings = House::new("[bootstrap]\npassword = 'first'")
        .file("password", "second\n")
        .env("TOKEND__BOOTSTRAP__PASSWORD_FILE", "password")
        .load();
    assert_eq!(settings.bootstrap.password.unwrap().expose_secret(), "second");
}

#[test]
fn takes_a_secret_for_the_same_wherever_it_comes_from() {
    for surrounded in ["pass", "pass\n", "pass\r\n", "\u{feff}pass", "\u{feff}pass\r\n"] {
        let toml = format!("[bootstrap]\npassword = {}", toml::Value::from(surrounded));
        for house in [
            House::new(&toml),
            House::new("").env("TOKEND__BOOTSTRAP__PASSWORD", surrounded),
            House::new("[bootstrap]\npassword_file = 'p'").file("p", surrounded),
        ] {
            assert_eq!(house.load().bootstrap.password.unwrap().expose_secret(), "pass");
        }
    }
    for unclear in ["pass\n\n", "pa\nss", "pass\r", "pa\0ss", "pass\u{feff}"] {
        let toml = format!("[bootstrap]\npassword = {}", toml::Value::from(unclear));
        for (house, name) in [
            (House::new(&toml), "bootstrap.password (from tokend.toml)"),
            (
                House::new("").env("TOKEND__BOOTSTRAP__PASSWORD", unclear),
                "bootstrap.password (from TOKEND__BOOTSTRAP__PASSWORD)",
            ),
            (
                House::new("[bootstrap]\npassword_file = 'p'").file("p", unclear),
                "bootstrap.password_file (from tokend.toml)",
            ),
        ] {
            let faults = house.faults();
            assert!(faults.len() == 1 && faults[0].starts_with(name), "{unclear:?} {faults:?}");
        }
    }
}

#[test]
fn takes_no_secret_from_the_command_line() {
    let weak = ["marked-secret", KEY, "postgres://tokend:marked-secret@h/tokend"];
    let names = ["bootstrap.password", "keys.master_key", "database.url"];
    for (name, value) in names.into_iter().zip(weak) {
        let faults = House::new("").flag(name, value).faults();
        let variable = format!("TOKEND__{}", name.to_uppercase().replace('.', "__"));
        let start = format!("{name} (from the command line): must not be given there");
        assert!(faults.len() == 1 && faults[0].starts_with(&start), "{faults:?}");
        assert!(faults[0].contains(&variable) && faults[0].contains(&format!("{name}_file")));
        assert!(!faults[0].contains(value));
    }
    let settings = House::new("").flag("database.url", "sqlite://other.db").load();
    assert_eq!(settings.database.url.expose_secret(), "sqlite://other.db");
}

#[test]
fn takes_no_secret_from_a_file_that_others_may_read() {
    let open = |house: &House, name: &str| {
        let path = house.folder.path().join(name);
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    };
    for (toml, name) in [
        ("[bootstrap]\npassword = 'marked-secret'", "bootstrap.password"),
        ("[database]\nurl = 'postgres://u:marked-secret@h/d'", "database.url"),
    ] {
        let house = House::new(toml);
        house.load();
        open(&house, "tokend.toml");
        let sentence = format!("tokend.toml: holds {name}, and others on this machine may read it");
        let faults = house.faults();
        assert!(faults.len() == 1 && faults[0].starts_with(&sentence), "{faults:?}");
    }
    let house = House::new("[database]\nurl = 'sqlite://other.db'\n[grpc]\nreflection = false");
    open(&house, "tokend.toml");
    house.load();
    let house = House::new("[keys]\nmaster_key_file = 'key'").file("key", KEY);
    house.load();
    open(&house, "key");
    let faults = house.faults();
    let start = "keys.master_key_file (from tokend.toml): others on this machine may read it";
    assert!(faults.len() == 1 && faults[0].starts_with(start), "{faults:?}");
}

#[test]
fn shows_no_secret_anywhere() {
    let settings = House::new("")
        .env("TOKEND__BOOTSTRAP__PASSWORD", "marked-secret")
        .env("TOKEND__KEYS__MASTER_KEY", KEY)
        .load();
    let shown = format!("{}{settings:?}", settings.show());
    assert!(!shown.contains("marked-secret") && !shown.contains(KEY), "{shown}");
    assert!(settings.show().contains("master_key = \"[hidden]\""));

    for toml in [
        "keys = 'marked-secret'",
        "bootstrap = 'marked-secret'",
        "[keys]\nmaster_key = 'marked-secret'",
        "[keys]\nmaster_key = ['marked-secret']",
        "[keys]\nmasterkey = 'marked-secret'",
        "[keys]\nmaster_key = 'marked-secret",
        "[database]\nurl = 'oracle://user:marked-secret@host'",
    ] {
        let faults = House::new(toml).faults();
        assert!(!faults.iter().any(|fault| fault.contains("marked-secret")), "{faults:?}");
    }
}

#[test]
fn refuses_master_keys_that_nobody_drew_at_random() {
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
    let run: Vec<u8> = (0..32).collect();
    for weak in [
        String::new(),
        "changeme".to_owned(),
        "not base64!".to_owned(),
        base64(&[0; 32]),
        base64(&[255; 32]),
        base64(&run),
        base64(&[7; 31]),
        base64(&[b"ab"[0], b"ab"[1]].repeat(16)),
        base64(b"passwordpasswordpasswordpassword"),
    ] {
        let faults = House::new("").env("TOKEND__KEYS__MASTER_KEY", &weak).faults();
        let start = "keys.master_key (from TOKEND__KEYS__MASTER_KEY): ";
        assert!(faults.len() == 1 && faults[0].starts_with(start), "{weak} {faults:?}");
    }
    assert!(House::new("").env("TOKEND__KEYS__MASTER_KEY", KEY).load().keys.decode().is_ok());
}
