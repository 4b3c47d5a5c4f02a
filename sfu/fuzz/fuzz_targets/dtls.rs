//! See `sfu_fuzz::dtls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::dtls::run(data));
