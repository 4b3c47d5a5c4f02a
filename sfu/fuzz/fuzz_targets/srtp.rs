//! See `sfu_fuzz::srtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::srtp::run(data));
