//! See `tlog_fuzz::witness`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tlog_fuzz::witness::run(data));
