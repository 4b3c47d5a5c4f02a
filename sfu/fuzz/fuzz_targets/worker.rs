//! See `sfu_fuzz::worker`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::worker::run(data));
