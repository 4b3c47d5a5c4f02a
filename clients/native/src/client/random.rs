//! Random numbers of the system.

pub(super) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    // Without system randomness there are no keys either: the session has aborted before.
    if getrandom::fill(&mut bytes).is_err() {
        std::process::abort();
    }
    u32::from_ne_bytes(bytes)
}

/// A number from 0 to 1.
pub(super) fn random_fraction() -> f64 {
    f64::from(random_u32()) / f64::from(u32::MAX)
}
