//! See `messages_fuzz::outer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| messages_fuzz::outer::run(data));
