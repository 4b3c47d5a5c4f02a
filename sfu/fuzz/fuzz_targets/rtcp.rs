//! See `sfu_fuzz::rtcp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::rtcp::run(data));
