//! The source of random bytes, passed in so that protocols have no I/O and tests have a seed.

/// A cryptographically secure source of random bytes.
///
/// Every closure `FnMut(&mut [u8]) + Send` implements it. Keys, nonces and identities are drawn from it, so an
/// implementation that cannot fill the buffer must not return (abort or panic): there is no weaker fallback.
pub trait Random: Send {
    /// Fills the whole buffer.
    fn fill(&mut self, buffer: &mut [u8]);

    /// `N` fresh random bytes. Not for secrets, which a return value leaves on the stack: fill a
    /// [`SecretBytes`](crate::SecretBytes).
    fn array<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl<F: FnMut(&mut [u8]) + Send> Random for F {
    fn fill(&mut self, buffer: &mut [u8]) {
        self(buffer);
    }
}
