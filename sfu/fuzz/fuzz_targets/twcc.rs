//! See `sfu_fuzz::twcc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::twcc::run(data));
