//! See `tacet_sfu_fuzz::room`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tacet_sfu_fuzz::room::run(data));
