//! See `e2ee_frames_fuzz::identity::devices`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2ee_frames_fuzz::identity::devices(data));
