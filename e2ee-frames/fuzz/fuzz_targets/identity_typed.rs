//! See `e2ee_frames_fuzz::identity::typed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2ee_frames_fuzz::identity::typed(data));
