//! See `messages_fuzz::slip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::slip::run(data));
