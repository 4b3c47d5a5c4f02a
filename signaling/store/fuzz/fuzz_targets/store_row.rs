//! See `store_fuzz::row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store_fuzz::row::run(data));
