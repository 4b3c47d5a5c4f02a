//! Detects that keys and counters were copied by a fork.
//!
//! A forked process shares its parent's keys and nonce counters: if both go on, two messages are sealed under one nonce.
//! What owns a counter keeps a [`Process`] and refuses to seal once [`Process::is_current`] is false.

/// The process in which a value was created.
///
/// Without the feature `std` forks go unnoticed: such a program must not fork while it owns keys.
#[derive(Debug)]
pub struct Process(#[cfg(feature = "std")] e2ee_fork_guard::Mark);

impl Process {
    /// The running process.
    #[must_use]
    pub fn current() -> Self {
        Self(
            #[cfg(feature = "std")]
            e2ee_fork_guard::Mark::here(),
        )
    }

    /// Whether this is still the process in which the value was created. A load from memory, no system call.
    #[must_use]
    pub fn is_current(&self) -> bool {
        #[cfg(feature = "std")]
        return self.0.holds();
        #[cfg(not(feature = "std"))]
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_current_without_fork() {
        assert!(Process::current().is_current());
    }
}
