//! The tests of the whole, in one binary.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod layers;
mod papers;
mod process;
