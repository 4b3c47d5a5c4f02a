//! See `sfu_fuzz::ccfb`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::ccfb::run(data));
