//! Unpredictable bytes.

/// Returns bytes of the operating system's generator.
///
/// # Errors
/// The operating system provides none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
