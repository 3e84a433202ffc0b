//! Who may name whom: an allow-list of crates and of our modules for each layer.
//!
//! It reads tokens, so comments and strings don't count and macros and attributes do. A re-export
//! opens no way around it: whoever may be named by a layer is held to a list of its own, and the
//! crate's root may not be named as a whole.

use std::collections::BTreeSet;
use std::path::Path;

use reader::{Found, Named, Source, read, walk};

mod reader;

/// A layer, and all that it may name beside itself, `std` and `core`.
struct Layer {
    name: &'static str,
    modules: &'static [&'static str],
    /// Words.
    crates: &'static str,
}

const LAYERS: [Layer; 10] = [
    Layer {
        name: "domain",
        modules: &[],
        crates: "arc_swap argon2 async_trait aws_lc_rs base64 caseless dashmap governor ipnet \
                 jsonwebtoken metrics precis_core precis_profiles proptest quick_cache rustix secrecy serde serde_json subtle \
                 thiserror time tokio tokio_util tracing unicode_normalization uuid zeroize",
    },
    Layer {
        name: "store",
        modules: &["domain"],
        crates: "async_trait aws_lc_rs humantime log metrics migrations rustix sea_orm \
                 sea_orm_migration secrecy serde_json sqlx tempfile thiserror time tokio tokio_util tracing uuid",
    },
    Layer {
        name: "grpc",
        modules: &["authorization", "client", "domain", "pb", "transport"],
        crates: "async_trait base64 governor http http_body http_body_util ipnet metrics prost prost_types \
                 secrecy thiserror tokio tokio_stream tokio_util tonic tonic_health tonic_reflection \
                 tonic_types tower tower_http tracing uuid",
    },
    Layer {
        name: "rest",
        modules: &["authorization", "client", "pb", "transport"],
        crates: "axum base64 http http_body http_body_util insta ipnet matchit metrics mime percent_encoding \
                 proptest prost prost_types quick_xml secrecy serde serde_json thiserror time tokio \
                 tonic tonic_types tower tower_http tracing utoipa utoipa_axum utoipa_swagger_ui \
                 uuid",
    },
    Layer {
        name: "cli",
        modules: &["authorization", "client", "pb", "secret"],
        crates: "base64 clap clap_complete comfy_table http humantime insta prost_types rpassword secrecy \
                 serde serde_json thiserror time tokio tonic tonic_types uuid zeroize",
    },
    Layer {
        name: "transport",
        modules: &[],
        crates: "http http_body hyper hyper_util ipnet metrics metrics_exporter_prometheus rustix \
                 thiserror tokio tokio_util tower tracing",
    },
    Layer { name: "secret", modules: &[], crates: "rustix tempfile zeroize" },
    Layer { name: "authorization", modules: &[], crates: "base64 proptest secrecy thiserror" },
    Layer { name: "client", modules: &["pb"], crates: "http thiserror tonic tower" },
    Layer {
        name: "pb",
        modules: &[],
        // The others are modules of the generated code.
        crates: "prost prost_types tonic create_token_request create_user_request \
                 revoke_token_request set_password_request",
    },
];

/// What has no layer: the composition root and what only it names.
const ABOVE: [&str; 5] = ["config", "lib", "main", "server", "telemetry"];

/// What anybody may write before a `::`.
const LANGUAGE: &str = "alloc bool char clippy core diagnostic f32 f64 i128 i16 i32 i64 i8 isize \
                        rustdoc rustfmt slice std str u128 u16 u32 u64 u8 usize";

impl Layer {
    /// What is wrong with naming this path; `found` is what else its file holds,
    /// `modules` are all of the layer, for a glob brings them in.
    fn fault(&self, named: &Named, found: &Found, modules: &BTreeSet<String>) -> Option<String> {
        let path = named.words.join("::");
        let first = named.words.first()?;
        if let Some(absolute) = named.absolute() {
            let Some(module) = absolute.first() else {
                return Some(format!("names the whole crate: {path}"));
            };
            let allowed = module == self.name || self.modules.contains(&module.as_str());
            return (!allowed).then(|| format!("names {module}: {path}"));
        }
        let is_type = first.starts_with(|c: char| c.is_uppercase());
        let known = is_type
            || LANGUAGE.split(' ').any(|word| word == first)
            || self.crates.split(' ').any(|name| name == first)
            || found.modules.contains(first)
            || modules.contains(first)
            // `use name;` gives the name of a crate to itself.
            || (found.imports.contains(first) && !(named.imported && named.words.len() == 1));
        (!known).then(|| format!("names {first}: {path}"))
    }
}

/// Lists what breaks the rules.
fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for layer in &LAYERS {
        let files: Vec<_> = sources
            .iter()
            .filter(|source| source.module().first().is_some_and(|first| first == layer.name))
            .filter(|s| !s.path.ends_with("/tests.rs") && !s.path.contains("/tests/"))
            .collect();
        let read: Vec<_> = files.iter().map(|source| (source, read(source))).collect();
        let modules: BTreeSet<String> =
            files.iter().filter_map(|source| source.module().pop()).collect();
        for (source, found) in &read {
            let named = found.named.iter().filter_map(|named| layer.fault(named, found, &modules));
            let hidden = found.hidden.iter().map(|what| format!("holds {what}"));
            faults.extend(named.chain(hidden).map(|fault| format!("{}: {fault}", source.path)));
        }
    }
    for source in sources {
        let first = source.module().swap_remove(0);
        let known = ABOVE.contains(&first.as_str()) || LAYERS.iter().any(|l| l.name == first);
        if !known {
            faults.push(format!("{}: is of no layer", source.path));
        }
    }
    faults
}

fn fails(path: &str, text: &str) -> bool {
    !faults(&[Source::new(path, text)]).is_empty()
}

#[test]
fn keeps_every_layer_to_its_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    walk(&root, &root, &mut sources);
    assert!(sources.iter().any(|source| source.path == "domain/mod.rs"), "nothing was read");
    let faults = faults(&sources);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn sees_a_forbidden_crate_however_it_is_named() {
    for text in [
        "use sea_orm::Database;",
        "use ::sea_orm::Database;",
        "use {std::fmt, sea_orm::{self, Database}};",
        "use sea_orm as orm;",
        "use sea_orm;",
        "pub use sea_orm::*;",
        "extern crate sea_orm;",
        "fn f(x: sea_orm::Value) {}",
        "fn f() { let x = Vec::<sea_orm::Value>::new(); }",
        "fn f() { g::<sea_orm::Value>() }",
        "fn f() { <sea_orm::Value as Clone>::clone(&x); }",
        "fn f() { println!(\"{}\", sea_orm::VERSION); }",
        "macro_rules! m { () => { sea_orm::Value } }",
        "#[derive(Debug, sea_orm::FromQueryResult)] struct A;",
        "#[sea_orm::model] struct A;",
        "mod inner { use sea_orm::Value; }",
        "#[cfg(test)] mod tests { use sea_orm::Value; }",
        "#[path = \"../store/mod.rs\"] mod hidden;",
        "#[cfg_attr(all(), path = \"../store/mod.rs\")] mod hidden;",
        "include!(\"../store/mod.rs\");",
    ] {
        assert!(fails("domain/token.rs", text), "{text}");
    }
}

#[test]
fn sees_a_forbidden_module_however_it_is_reached() {
    for text in [
        "use crate::domain::Core;",
        "use crate::{pb, domain};",
        "use crate::{pb::Token, domain::{token::Token as Other}};",
        "use super::super::domain;",
        "use super::super::{domain as d};",
        "pub use super::super::store::*;",
        "use crate as all;",
        "use crate::*;",
        "use super::super::*;",
        "mod inner { use super::super::super::domain::Core; }",
        "fn f(core: &crate::domain::Core) {}",
        "fn f() { super::super::grpc::f() }",
        "macro_rules! m { () => { $crate::domain::Core } }",
        "use crate::Core;",
        "use crate::server::Server;",
        "use tokend::domain::Core;",
    ] {
        assert!(fails("rest/dialect.rs", text), "{text}");
    }
}

#[test]
fn sees_a_way_through_a_reexport() {
    let through = [
        Source::new("client.rs", "pub use crate::domain::token::Token;"),
        Source::new("rest/mod.rs", "use crate::client::Token;"),
    ];
    assert_eq!(faults(&through), ["client.rs: names domain: crate::domain::token::Token"]);
    let root = [
        Source::new("lib.rs", "pub mod domain; pub use domain::token::Token;"),
        Source::new("rest/mod.rs", "use crate::Token;"),
    ];
    assert_eq!(faults(&root), ["rest/mod.rs: names Token: crate::Token"]);
    let brother = [
        Source::new("rest/mod.rs", "mod back; use self::back::Token;"),
        Source::new("rest/back.rs", "pub(super) use super::super::domain::token::Token;"),
    ];
    assert_eq!(faults(&brother).len(), 1);
}

#[test]
fn knows_each_layer_its_own_bans() {
    for (path, text) in [
        ("domain/token.rs", "use tonic::Status;"),
        ("domain/token.rs", "use crate::pb::Token;"),
        ("domain/token.rs", "use crate::config::Settings;"),
        ("store/mod.rs", "use tonic::Status;"),
        ("store/mod.rs", "use crate::grpc::status;"),
        ("grpc/mod.rs", "use sea_orm::DbErr;"),
        ("grpc/mod.rs", "use axum::Router;"),
        ("grpc/mod.rs", "use crate::store::Database;"),
        ("rest/mod.rs", "use sea_orm::DbErr;"),
        ("cli/mod.rs", "use axum::Router;"),
        ("cli/mod.rs", "use crate::domain::Core;"),
        ("pb.rs", "pub use crate::domain::Core;"),
        ("authorization.rs", "use crate::pb::Token;"),
        ("elsewhere.rs", ""),
    ] {
        assert!(fails(path, text), "{path} {text}");
    }
}

#[test]
fn leaves_alone_what_is_allowed() {
    for (path, text) in [
        (
            "domain/token.rs",
            "// use sea_orm::Value;\n/// sea_orm::Value\nconst A: &str = \"sea_orm::X\";",
        ),
        ("domain/token.rs", "use std::fmt; impl fmt::Debug for A {}"),
        ("domain/token.rs", "use super::clock; fn f() -> clock::Timestamp { clock::now() }"),
        ("domain/token.rs", "fn f() -> u64 { u64::MAX + str::len(\"\") as u64 }"),
        ("domain/token.rs", "pub(in crate::domain) fn f<'a>() -> impl Sized + use<'a> {}"),
        (
            "domain/token.rs",
            "pub(crate) struct A; mod inner { use super::*; use super::super::clock; }",
        ),
        (
            "domain/token.rs",
            "#[expect(clippy::panic, reason = \"x\")] fn f() { Vec::<u8>::new(); }",
        ),
        ("domain/token/tests.rs", "use sea_orm::Value;"),
        (
            "store/mod.rs",
            "mod entity; use crate::domain::store::Store; use sea_orm::DbErr; use entity::user;",
        ),
        ("store/mod.rs", "use migrations::Migrator;"),
        ("rest/mod.rs", "use crate::{authorization::Authorization, client::Upstream, pb};"),
        ("rest/mod.rs", "mod dialect; fn f() { dialect::azion::routes(); axum::serve() }"),
        ("server/mod.rs", "use crate::domain::Core; use sea_orm::DbErr;"),
    ] {
        let faults = faults(&[Source::new(path, text)]);
        assert!(faults.is_empty(), "{text}\n{faults:?}");
    }
}
