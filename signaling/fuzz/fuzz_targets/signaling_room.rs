//! See `signaling_fuzz::room`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling_fuzz::room::run(data));
