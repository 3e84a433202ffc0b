//! The tests of the whole, in one binary.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on has failed"
)]

mod authorize;
mod layers;
mod rest;
#[expect(dead_code, reason = "each behaviour's tests use a part of it")]
mod support;
