//! Random bytes from the operating system, or in wasm from the host. Without them the process aborts.

#[cfg(target_family = "wasm")]
pub(crate) fn fill(buffer: &mut [u8]) {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn random_fill(pointer: *mut u8, length: usize);
    }
    // SAFETY: pointer and length are of a live, exclusively borrowed slice; the host writes just those bytes.
    unsafe { random_fill(buffer.as_mut_ptr(), buffer.len()) }
}

#[cfg(not(target_family = "wasm"))]
#[allow(clippy::expect_used, reason = "keys without randomness would be worse than no process")]
pub(crate) fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system provides random bytes");
}
