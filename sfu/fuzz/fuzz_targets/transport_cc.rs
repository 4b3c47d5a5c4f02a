//! See `sfu_fuzz::transport_cc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sfu_fuzz::transport_cc::run(data));
