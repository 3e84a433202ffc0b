//! The pieces of a call, each alone.

use divan::{Bencher, black_box};
use tokend::domain::token::TokenDigest;

fn main() {
    divan::main();
}

/// The digest by which an opaque secret is looked up.
#[divan::bench]
fn digest_of_a_secret(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| TokenDigest::of(black_box("tkd_0123456789")));
}
