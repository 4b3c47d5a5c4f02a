//! See `e2ee_frames_fuzz::identity::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2ee_frames_fuzz::identity::archive(data));
