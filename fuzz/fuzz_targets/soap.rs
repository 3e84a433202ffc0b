//! Runs `tokend_fuzz::soap` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokend_fuzz::soap(data));
