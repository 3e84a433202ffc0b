//! The tests of the whole, in one binary.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on has failed"
)]
#![expect(clippy::default_trait_access, reason = "a request's name is that of its call")]

mod abuse;
mod at_once;
mod audit;
mod authorize;
mod binlog;
mod create;
mod customers;
mod databases;
mod directory;
mod durability;
mod fence;
mod keys;
mod layers;
mod listing;
mod lockout;
mod lost_rights;
mod matrix;
mod papers;
mod parents;
mod permissions;
mod personal;
mod process;
mod purge;
mod reads;
mod realms;
mod refresh;
mod replicas;
mod rest;
mod revoke;
mod secrets;
mod security_paper;
mod service;
mod sign_in;
mod standby;
mod storm;
mod stronger;
mod support;
mod survival;
mod wall_clock;
