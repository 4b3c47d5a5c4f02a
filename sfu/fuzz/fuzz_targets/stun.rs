//! See `sfu_fuzz::stun`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::stun::run(data));
