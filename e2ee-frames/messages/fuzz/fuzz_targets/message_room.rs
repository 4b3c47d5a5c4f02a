//! See `messages_fuzz::room`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::room::run(data));
