//! Runs `tokend_fuzz::content_type` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tokend_fuzz::content_type(data));
