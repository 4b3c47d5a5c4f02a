//! One's own device lists: each must be one that a device of this person made.
//!
//! A signature under the identity key is not enough, since a stolen device has that key. A list counts as own if this
//! device made it, or a listed device has announced it over the ratchet.

use crate::list::{DeviceList, ListMark};

/// What is wrong with the history that a server shows of the person's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryFault {
    /// The list that was newest at the last visit is not the oldest one shown.
    #[error("the directory no longer has the device list that this device knows")]
    Rewritten,
    /// A number is missing, or a list does not follow the one before.
    #[error("device list {seq} is missing or does not follow the one before")]
    Broken {
        /// The number that was due.
        seq: u64,
    },
    /// No device of this person has announced the list.
    #[error("device list {seq} was published under this name, and none of your devices made it")]
    NotOurs {
        /// Number of the list.
        seq: u64,
    },
}

/// Checks what was published under one's own name since the last visit, oldest first, `stored` included.
///
/// `announced` answers, for the hash of a list, whether this device made it or a listed device has announced it. Returns the
/// mark to store.
///
/// # Errors
/// At the first fault, which is evidence: it is shown, and no key of the directory is trusted.
pub fn check_own_history(
    stored: &ListMark,
    shown: &[DeviceList],
    announced: impl Fn(&[u8; 32]) -> bool,
) -> Result<ListMark, HistoryFault> {
    let (first, rest) = shown.split_first().ok_or(HistoryFault::Rewritten)?;
    if first.mark() != *stored {
        return Err(HistoryFault::Rewritten);
    }
    rest.iter().try_fold(*stored, |known, list| {
        let seq = known.seq.saturating_add(1);
        if list.seq != seq || list.previous != known.hash || list.account != known.account {
            return Err(HistoryFault::Broken { seq });
        }
        if announced(&list.hash) { Ok(list.mark()) } else { Err(HistoryFault::NotOurs { seq }) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::*;
    use alloc::vec::Vec;
    use core::slice;

    fn chain() -> Vec<DeviceList> {
        let ada = identity(1);
        let mut lists = Vec::from([list(&ada, None, &[1])]);
        for devices in [&[1, 2][..], &[1, 2, 3], &[2, 3]] {
            lists.push(list(&ada, Some(&lists[lists.len() - 1].mark()), devices));
        }
        lists
    }

    #[test]
    fn own_lists_are_accepted_in_order() {
        let lists = chain();
        let stored = lists[1].mark();
        assert_eq!(check_own_history(&stored, &lists[1..], |_| true), Ok(lists[3].mark()));
        assert_eq!(check_own_history(&stored, &lists[1..2], |_| false), Ok(stored));
    }

    /// A stolen device publishes a list: its signature is good, and no device of the person has announced it.
    #[test]
    fn list_that_no_own_device_announced_is_a_fault() {
        let lists = chain();
        let stolen = list(&identity(1), Some(&lists[3].mark()), &[2, 3, 66]);
        let announced = |hash: &[u8; 32]| lists.iter().any(|list| list.hash == *hash);
        let shown = [&lists[1..], slice::from_ref(&stolen)].concat();
        assert_eq!(check_own_history(&lists[1].mark(), &shown, announced), Err(HistoryFault::NotOurs { seq: 5 }));
        // Also if it was swapped back since.
        let back = list(&identity(1), Some(&stolen.mark()), &[2, 3]);
        let shown = [&shown[..], slice::from_ref(&back)].concat();
        let announced = |hash: &[u8; 32]| announced(hash) || *hash == back.hash;
        assert_eq!(check_own_history(&lists[1].mark(), &shown, announced), Err(HistoryFault::NotOurs { seq: 5 }));
    }

    #[test]
    fn gaps_and_rewritten_lists_are_faults() {
        let lists = chain();
        let stored = lists[1].mark();
        let check = |shown: &[DeviceList]| check_own_history(&stored, shown, |_| true);
        assert_eq!(check(&[]), Err(HistoryFault::Rewritten));
        assert_eq!(check(&lists[2..]), Err(HistoryFault::Rewritten));
        assert_eq!(check(&[lists[1].clone(), lists[3].clone()]), Err(HistoryFault::Broken { seq: 3 }));
        let other = list(&identity(1), Some(&lists[0].mark()), &[1, 9]);
        assert_eq!(check(slice::from_ref(&other)), Err(HistoryFault::Rewritten));
        let fork = list(&identity(1), Some(&other.mark()), &[1]);
        assert_eq!(check(&[lists[1].clone(), fork]), Err(HistoryFault::Broken { seq: 3 }));
    }
}
