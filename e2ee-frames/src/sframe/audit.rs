//! Test instrument: records every (key, nonce) that seals a frame, and panics when one is used twice.
use alloc::collections::BTreeSet;
use core::cell::RefCell;

/// Frame keys with the nonces used under them.
type Used = BTreeSet<([u8; 32], [u8; 12])>;

std::thread_local! {
    static USED: RefCell<Option<Used>> = const { RefCell::new(None) };
}

/// Starts recording on this thread.
pub(crate) fn start() {
    USED.with_borrow_mut(|used| *used = Some(BTreeSet::new()));
}

/// Stops recording. Returns the number of pairs used.
pub(crate) fn stop() -> usize {
    USED.with_borrow_mut(|used| used.take().map_or(0, |used| used.len()))
}

pub(crate) fn record(key: &[u8; 32], nonce: &[u8; 12]) {
    USED.with_borrow_mut(|used| {
        if let Some(used) = used {
            assert!(used.insert((*key, *nonce)), "a nonce was used twice under one key");
        }
    });
}
