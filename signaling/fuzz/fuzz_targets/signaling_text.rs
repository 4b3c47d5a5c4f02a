//! See `signaling_fuzz::text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| signaling_fuzz::text::run(data));
