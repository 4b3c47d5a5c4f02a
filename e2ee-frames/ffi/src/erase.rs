//! Erasing what the core cannot: in wasm, memory that is given back and the stack below a call.
//!
//! Values move, and a move leaves its source as it was: in a vector that grew, in an `Option` that was taken, in the
//! frame of a function that returned. Memory of a native process is not ours alone to clean; a module's is, and its host
//! can read all of it.

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
        // SAFETY: by the caller's contract there are so many bytes, and nobody uses them any more.
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
