//! Runs `tokend_fuzz::lifetime` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokend_fuzz::lifetime(data));
