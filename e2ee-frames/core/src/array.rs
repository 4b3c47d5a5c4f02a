//! Arrays of fixed size, taken apart and put together without a length that could be wrong at run time.

/// Splits an array in two. Sizes that do not add up do not compile.
#[must_use]
pub fn split<const A: usize, const B: usize, const N: usize>(bytes: &[u8; N]) -> (&[u8; A], &[u8; B]) {
    const { assert!(A + B == N, "the parts must add up to the array") };
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(head), Some(tail)) => (head, tail),
        _ => unreachable!("checked at compile time"),
    }
}

/// Splits a mutable array in two. Sizes that do not add up do not compile.
pub fn split_mut<const A: usize, const B: usize, const N: usize>(bytes: &mut [u8; N]) -> (&mut [u8; A], &mut [u8; B]) {
    const { assert!(A + B == N, "the parts must add up to the array") };
    let (head, tail) = bytes.split_at_mut(A);
    match (head.first_chunk_mut(), tail.first_chunk_mut()) {
        (Some(head), Some(tail)) => (head, tail),
        _ => unreachable!("checked at compile time"),
    }
}

/// Concatenates fields of fixed size.
///
/// # Panics
/// If the fields do not add up to `N` bytes: a layout that its first use shows to be wrong.
#[must_use]
pub fn concat<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut rest = bytes.as_mut_slice();
    for field in fields {
        let (head, tail) = rest.split_at_mut(field.len());
        head.copy_from_slice(field);
        rest = tail;
    }
    assert!(rest.is_empty(), "the fields must add up to the array");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_and_concat_are_inverse() {
        let mut bytes = [1, 2, 3, 4, 5];
        let (head, tail) = split::<2, 3, 5>(&bytes);
        assert_eq!((head, tail), (&[1, 2], &[3, 4, 5]));
        assert_eq!(concat::<5>(&[head, tail]), bytes);
        split_mut::<4, 1, 5>(&mut bytes).1[0] = 9;
        assert_eq!(bytes, [1, 2, 3, 4, 9]);
    }

    #[test]
    #[should_panic(expected = "the fields must add up")]
    fn concat_of_too_few_bytes_panics() {
        let _ = concat::<3>(&[&[1, 2]]);
    }
}
