//! Transaction ids of the client's latest checks, by which a check that was overheard and is sent again is recognized.

use is::stun::TransId;

/// Number of checks that are remembered: browsers send this many in a few seconds at first, and in minutes later.
const REMEMBERED: usize = 64;

/// The source of a check, numbered by its agent.
pub(super) type SourceNumber = u32;

/// A ring of the latest checks.
#[derive(Debug, Default)]
pub(super) struct SeenChecks {
    /// Empty until the first check.
    ring: Vec<(TransId, SourceNumber)>,
    next: usize,
}

impl SeenChecks {
    /// The source that a check with this id came from first.
    pub(super) fn source_of(&self, id: TransId) -> Option<SourceNumber> {
        self.ring.iter().find(|(seen, _)| *seen == id).map(|(_, source)| *source)
    }

    /// Remembers a check, in place of the oldest one.
    pub(super) fn insert(&mut self, id: TransId, source: SourceNumber) {
        if self.ring.len() < REMEMBERED {
            self.ring.push((id, source));
            return;
        }
        if let Some(oldest) = self.ring.get_mut(self.next) {
            *oldest = (id, source);
        }
        self.next = (self.next + 1) % REMEMBERED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_checks_are_remembered() {
        let mut seen = SeenChecks::default();
        let ids: Vec<_> = (0..200).map(|_| TransId::new()).collect();
        for (id, source) in ids.iter().zip(0..) {
            assert_eq!(seen.source_of(*id), None);
            seen.insert(*id, source);
        }
        let remembered: Vec<_> = ids.iter().filter_map(|id| seen.source_of(*id)).collect();
        assert_eq!(remembered, (200 - REMEMBERED as u32..200).collect::<Vec<_>>());
    }
}
