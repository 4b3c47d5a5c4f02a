//! See `sfu_fuzz::payloads`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::payloads::run(data));
