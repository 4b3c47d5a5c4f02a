//! See `e2ee_frames_fuzz::chat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| e2ee_frames_fuzz::chat::run(data));
