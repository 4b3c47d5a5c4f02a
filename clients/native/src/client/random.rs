//! Numbers that must differ, and waits that should.

/// A random number of the system.
pub(super) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    // Where the system has no randomness there are no keys either: the session has ended the process before.
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    u32::from_ne_bytes(bytes)
}

/// From 0 to 1.
pub(super) fn chance() -> f64 {
    f64::from(random_u32()) / f64::from(u32::MAX)
}
