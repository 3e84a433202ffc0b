//! tokend issues, refreshes, revokes and checks tokens.
//!
//! Who may name whom (`tests/it/layers.rs` holds the code to it):
//!
//! ```text
//! main ─► server ─► everything
//! rest ──contract──► grpc ─► domain ◄─ store ─► migrations        cli ──contract──► grpc
//! grpc, rest ─► transport
//! ```
//!
//! `rest` and `cli` are clients: they know [`pb`], [`client`] and [`authorization`] only.

pub mod authorization;
pub mod cli;
pub mod client;
pub mod config;
pub mod domain;
pub mod grpc;
pub mod pb;
pub mod rest;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod transport;
