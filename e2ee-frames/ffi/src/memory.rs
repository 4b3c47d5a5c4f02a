//! Memory that a host without its own allocator (JavaScript) exchanges bytes in, and views of what pointers name.

use std::alloc::{Layout, alloc_zeroed, dealloc};

fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length.max(1), 8).ok()
}

/// Allocates `length` zeroed bytes; null if there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ef_alloc(length: usize) -> *mut u8 {
    match layout(length) {
        // SAFETY: the layout has at least one byte.
        Some(layout) => unsafe { alloc_zeroed(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Frees what [`ef_alloc`] gave.
///
/// # Safety
/// `pointer` is null or came from `ef_alloc(length)` and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_free(pointer: *mut u8, length: usize) {
    if let (false, Some(layout)) = (pointer.is_null(), layout(length)) {
        // SAFETY: by contract it was allocated with this very layout.
        unsafe { dealloc(pointer, layout) }
    }
}

/// Bytes to read. Null is the empty slice.
///
/// # Safety
/// `pointer` is null or names `length` readable bytes that nobody writes during `'a`.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(pointer, length) }
}

/// Bytes to write. Null is the empty slice.
///
/// # Safety
/// `pointer` is null or names `length` initialised bytes that nobody else touches during `'a`.
pub(crate) unsafe fn bytes_mut<'a>(pointer: *mut u8, length: usize) -> &'a mut [u8] {
    if pointer.is_null() || length == 0 {
        return &mut [];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts_mut(pointer, length) }
}

/// `N` bytes to read; `None` for null.
///
/// # Safety
/// As [`bytes`], with `N` for the length.
pub(crate) unsafe fn array<const N: usize>(pointer: *const u8) -> Option<[u8; N]> {
    // SAFETY: by contract.
    unsafe { bytes(pointer, N) }.try_into().ok()
}
