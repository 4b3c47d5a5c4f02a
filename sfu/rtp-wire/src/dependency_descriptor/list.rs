//! A short list in place.

use std::{fmt, ops::Deref};

/// A list of at most `N` values, without a heap. Dereferences to a slice.
#[derive(Clone, Copy)]
pub struct List<T, const N: usize> {
    values: [T; N],
    length: usize,
}

/// A [`List`] has no room for another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many values")]
pub struct TooLong;

impl<T: Copy, const N: usize> List<T, N> {
    /// Appends a value.
    ///
    /// # Errors
    /// [`TooLong`] if the list has `N` values.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), TooLong> {
        *self.values.get_mut(self.length).ok_or(TooLong)? = value;
        self.length = self.length.saturating_add(1);
        Ok(())
    }
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    #[inline]
    fn default() -> Self {
        Self { values: [T::default(); N], length: 0 }
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.values.get(..self.length).unwrap_or_default()
    }
}

impl<T: Copy + Default, const N: usize> TryFrom<&[T]> for List<T, N> {
    type Error = TooLong;

    fn try_from(values: &[T]) -> Result<Self, TooLong> {
        let mut list = Self::default();
        values.iter().try_for_each(|value| list.push(*value))?;
        Ok(list)
    }
}

impl<T: PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for List<T, N> {}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_bounded_and_compares_by_its_values() {
        let mut list = List::<u8, 2>::default();
        assert!(list.is_empty());
        assert_eq!((list.push(7), list.push(8), list.push(9)), (Ok(()), Ok(()), Err(TooLong)));
        assert_eq!(*list, [7, 8]);
        assert_eq!(List::try_from(&[7u8, 8][..]), Ok(list));
        assert_ne!(List::try_from(&[7u8][..]), Ok(list));
        assert_eq!(List::<u8, 2>::try_from(&[1u8, 2, 3][..]), Err(TooLong));
    }
}
