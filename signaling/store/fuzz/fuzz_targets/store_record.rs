//! See `store_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store_fuzz::record::run(data));
