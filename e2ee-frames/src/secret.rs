//! Secret bytes in a box of their own.
//!
//! Values move: vectors grow, options are taken. A move leaves the bytes behind where they were, and nothing erases
//! those. What holds one of these moves a pointer; the bytes stay where they are until they are erased.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// `N` secret bytes, erased on drop. Neither `Clone` nor `Debug`.
pub(crate) struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Zeros, to be filled in place.
    pub(crate) fn zeros() -> Self {
        Self(Box::new([0; N]))
    }

    /// A copy of bytes, whose owner erases them.
    pub(crate) fn copy_of(bytes: &[u8; N]) -> Self {
        let mut secret = Self::zeros();
        secret.copy_from_slice(bytes);
        secret
    }
}

impl<const N: usize> Deref for SecretBytes<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for SecretBytes<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
