//! Runs `tokend_fuzz::xml` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokend_fuzz::xml(data));
