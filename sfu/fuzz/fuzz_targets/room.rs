//! See `sfu_fuzz::room`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::room::run(data));
