//! Locks whose critical sections leave their values whole, so that a panic in one is no reason to stop.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, whatever happened to those who had it before.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
