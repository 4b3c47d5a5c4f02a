//! See `sfu_fuzz::dependency`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::dependency::run(data));
