//! See `tacet_sfu_fuzz::rtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tacet_sfu_fuzz::rtp::run(data));
