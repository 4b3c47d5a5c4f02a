//! Erases what the core cannot: in wasm, freed memory and the stack below a call.
//!
//! A move leaves a copy of the value behind: in the old buffer of a vector, in an `Option` that was taken, in the stack
//! frame of a function that returned. A native process shares its memory with other code; a wasm module does not, and
//! its host can read all of it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
};

/// Zeroes what it frees. Frames allocate nothing, so they do not pay for it.
struct Erasing;

#[global_allocator]
static ALLOCATOR: Erasing = Erasing;

// SAFETY: the system's allocator with writes to memory that is still allocated. `realloc` is the trait's own, which
// frees by `dealloc`.
unsafe impl GlobalAlloc for Erasing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract the block has this many bytes and is no longer used.
        unsafe {
            pointer.write_bytes(0, layout.size());
            System.dealloc(black_box(pointer), layout);
        }
    }
}

/// Deeper than any call of this module reaches.
const STACK_BYTES: usize = 64 * 1024;

/// Zeroes the stack below the caller.
#[inline(never)]
pub(crate) fn stack() {
    black_box(&mut [0u8; STACK_BYTES]);
}
