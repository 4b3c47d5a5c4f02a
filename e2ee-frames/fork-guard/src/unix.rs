//! A number that differs between a process and its forks, in memory that the kernel or a handler zeroes in children.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// The last number assigned. Ordinary memory: children inherit it and continue counting.
static LAST: AtomicU64 = AtomicU64::new(0);
/// The number of this process where pages cannot be wiped; the handler zeroes it in children.
static FALLBACK: AtomicU64 = AtomicU64::new(0);
/// Where the number of this process is; zero in a child that has not asked for one yet.
static CELL: OnceLock<&'static AtomicU64> = OnceLock::new();

/// The number of this process, assigned by the first call.
pub(crate) fn generation() -> u64 {
    let cell = CELL.get_or_init(|| wiped_page().unwrap_or_else(fallback));
    match cell.load(Ordering::Relaxed) {
        0 => {
            let fresh = LAST.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            // Of several threads that ask first, one wins.
            match cell.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => fresh,
                Err(theirs) => theirs,
            }
        }
        number => number,
    }
}

/// The number of this process; zero if it has none, as in a child.
pub(crate) fn current() -> u64 {
    CELL.get().map_or(0, |cell| cell.load(Ordering::Relaxed))
}

/// A separate page that the kernel zeroes in children.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn wiped_page() -> Option<&'static AtomicU64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let bytes = size_of::<AtomicU64>();
    // SAFETY: a new mapping of at least one page at an address of the kernel's choice, touching no memory of ours.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping was made above; this sets only what children get.
    if unsafe { libc::madvise(page, bytes, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: the mapping was made above and nothing refers to it.
        unsafe { libc::munmap(page, bytes) };
        return None;
    }
    // SAFETY: page-aligned, zeroed, never unmapped, and reached only as an atomic from here on.
    Some(unsafe { &*page.cast::<AtomicU64>() })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn wiped_page() -> Option<&'static AtomicU64> {
    None
}

/// A cell that a handler zeroes in children. Registering it fails for want of memory alone.
fn fallback() -> &'static AtomicU64 {
    extern "C" fn zero() {
        FALLBACK.store(0, Ordering::Relaxed);
    }
    // SAFETY: the handler only stores to an atomic, which is allowed between fork and exec.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(zero)) };
    if registered != 0 {
        std::process::abort();
    }
    &FALLBACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mark;

    /// What a forked child finds, as its exit code.
    fn in_child(check: impl FnOnce() -> bool) -> bool {
        // SAFETY: the child runs `check`, which neither locks nor allocates, and ends without unwinding or handlers.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let code = i32::from(!check());
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) }
        }
        assert!(child > 0, "no child");
        let mut status = 0;
        // SAFETY: waits for the child made above; `status` is ours.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }

    #[test]
    fn mark_holds_in_its_process_only() {
        let mark = Mark::here();
        assert!(mark.holds());
        assert!(in_child(|| !mark.holds()));
        assert!(in_child(|| Mark::here().holds() && !mark.holds()), "a child has its own marks");
        assert!(mark.holds(), "the parent goes on");
    }

    #[test]
    fn fallback_is_zeroed_in_children() {
        let cell = fallback();
        cell.store(7, Ordering::Relaxed);
        assert!(in_child(|| fallback_is(0)));
        assert!(fallback_is(7));
    }

    fn fallback_is(number: u64) -> bool {
        FALLBACK.load(Ordering::Relaxed) == number
    }
}
