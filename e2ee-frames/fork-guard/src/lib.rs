//! Detects whether this process is the one in which a [`Mark`] was created, or a forked copy of it.
//!
//! A forked process shares its parent's keys and counters: if both continue, they encrypt different data under the same
//! key and nonce. Asking the kernel for the process id before every frame costs more than encrypting a small one, so the
//! answer is kept in memory that a fork changes:
//!
//! * Linux wipes a page marked `MADV_WIPEONFORK` in every child, however it is made;
//! * other Unix systems run a `pthread_atfork` handler, which a bare system call would bypass;
//! * elsewhere there is no fork.

#[cfg(unix)]
mod unix;

/// Remembers the process in which it was created.
#[derive(Debug)]
pub struct Mark(#[cfg(unix)] u64);

impl Mark {
    /// Marks the running process.
    ///
    /// ```
    /// assert!(e2ee_fork_guard::Mark::here().holds());
    /// ```
    #[must_use]
    pub fn here() -> Self {
        Self(
            #[cfg(unix)]
            unix::generation(),
        )
    }

    /// Whether this is still that process. A load from memory, no system call.
    #[must_use]
    pub fn holds(&self) -> bool {
        #[cfg(unix)]
        return unix::current() == self.0;
        #[cfg(not(unix))]
        true
    }
}
