//! See `messages_fuzz::bundle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::bundle::run(data));
