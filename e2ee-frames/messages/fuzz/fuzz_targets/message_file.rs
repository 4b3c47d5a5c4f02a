//! See `messages_fuzz::file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::file::run(data));
