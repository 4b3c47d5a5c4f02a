//! Memory for hosts without an allocator, such as JavaScript, and slices of what pointers name.
//!
//! Null with a length, lengths that do not fit a return value, and buffers that overlap where they must not are refused
//! before a reference exists.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// The longest buffer: lengths are returned as 31 bits.
const MAX_BYTES: usize = i32::MAX as usize;

fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length.max(1), 8).ok()
}

/// Allocates zeroed memory, for hosts without an allocator of their own.
///
/// Returns `length` bytes, to be freed by `ef_free`; NULL if there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn ef_alloc(length: usize) -> *mut u8 {
    match layout(length) {
        // SAFETY: the layout has at least one byte.
        Some(layout) => unsafe { alloc_zeroed(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Frees memory of `ef_alloc`. NULL is ignored. Nothing is overwritten: do that before if it was secret.
///
/// # Safety
/// `pointer` is NULL, or came from `ef_alloc` with this very `length` and was not freed before. It is not memory of
/// `malloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ef_free(pointer: *mut u8, length: usize) {
    if let (false, Some(layout)) = (pointer.is_null(), layout(length)) {
        // SAFETY: by contract it was allocated with this very layout.
        unsafe { dealloc(pointer, layout) }
    }
}

/// Bytes to read; null is the empty slice. `None` for null with a length, and for more than [`MAX_BYTES`].
///
/// # Safety
/// `pointer` is null or names `length` readable bytes that are not written during `'a`.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Option<&'a [u8]> {
    match (pointer.is_null(), length) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        // SAFETY: by contract, and the length is at most `isize::MAX`.
        (false, length) => (length <= MAX_BYTES).then(|| unsafe { std::slice::from_raw_parts(pointer, length) }),
    }
}

/// Bytes to write, [`MAX_BYTES`] at most; null is the empty slice. `None` for null with a length.
///
/// # Safety
/// `pointer` is null or names `length` initialised bytes that nothing else accesses during `'a`.
pub(crate) unsafe fn bytes_mut<'a>(pointer: *mut u8, length: usize) -> Option<&'a mut [u8]> {
    match (pointer.is_null(), length.min(MAX_BYTES)) {
        (_, 0) => Some(&mut []),
        (true, _) => None,
        // SAFETY: by contract, and the length is at most `isize::MAX`.
        (false, length) => Some(unsafe { std::slice::from_raw_parts_mut(pointer, length) }),
    }
}

/// `N` bytes to read; `None` for null.
///
/// # Safety
/// As [`bytes`], with `N` for the length.
pub(crate) unsafe fn array<const N: usize>(pointer: *const u8) -> Option<[u8; N]> {
    // SAFETY: by contract.
    unsafe { bytes(pointer, N) }?.try_into().ok()
}

/// Whether two areas share a byte. References to both, one of them exclusive, would then be undefined behaviour.
pub(crate) fn overlap(one: *const u8, one_len: usize, other: *const u8, other_len: usize) -> bool {
    let (start, other_start) = (one.addr(), other.addr());
    let empty = one_len == 0 || other_len == 0;
    !empty && start < other_start.saturating_add(other_len) && other_start < start.saturating_add(one_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_a_shared_byte() {
        let area = [0u8; 8];
        let at = |offset: usize| area[offset..].as_ptr();
        assert!(!overlap(at(0), 4, at(4), 4), "side by side");
        assert!(!overlap(at(4), 4, at(0), 4));
        assert!(overlap(at(0), 5, at(4), 4), "one byte");
        assert!(overlap(at(4), 4, at(0), 5));
        assert!(overlap(at(0), 8, at(2), 1), "inside");
        assert!(!overlap(at(2), 0, at(0), 8), "nothing is nowhere");
        assert!(!overlap(std::ptr::null(), 0, std::ptr::null(), 8));
        assert!(overlap(at(0), usize::MAX, at(7), 1), "lengths do not wrap");
    }

    #[test]
    fn impossible_slice_is_none() {
        let mut area = [7u8; 4];
        // SAFETY: null pointers and impossible lengths are refused before anything is read; the rest is the array.
        unsafe {
            assert_eq!(bytes(std::ptr::null(), 0), Some(&[][..]));
            assert_eq!(bytes(std::ptr::null(), 1), None);
            assert_eq!(bytes(area.as_ptr(), MAX_BYTES + 1), None);
            assert_eq!(bytes(area.as_ptr(), 4), Some(&[7; 4][..]));
            assert_eq!(array::<4>(area.as_ptr()), Some([7; 4]));
            assert_eq!(array::<4>(std::ptr::null()), None);
            assert_eq!(bytes_mut(std::ptr::null_mut(), 1), None);
            assert_eq!(bytes_mut(area.as_mut_ptr(), 0), Some(&mut [][..]));
            assert_eq!(bytes_mut(area.as_mut_ptr(), 4), Some(&mut [7; 4][..]));
        }
    }
}
