//! See `messages_fuzz::state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::state::run(data));
