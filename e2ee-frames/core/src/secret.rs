//! Secret bytes on the heap, erased on drop.
//!
//! Moving a value copies its bytes and leaves the old copy behind, unerased: vectors reallocate, options are taken. A
//! [`SecretBytes`] moves only a pointer; the bytes stay in one place until they are erased.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// `N` secret bytes. Neither `Clone` nor `Debug`.
pub struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Zeros, to be filled in place.
    #[must_use]
    pub fn zeros() -> Self {
        Self(Box::new([0; N]))
    }

    /// A copy of `bytes`, whose owner erases the original.
    #[must_use]
    pub fn copy_of(bytes: &[u8; N]) -> Self {
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
