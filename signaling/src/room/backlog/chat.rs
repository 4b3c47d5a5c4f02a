//! Chat messages that wait, in the order of their ranks.

use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tacet_proto::ParticipantId;

/// Maximum number of messages that wait for one participant. The one whose rank is last falls out, which is of a sender that
/// says much.
const CAPACITY: usize = 1_024;

/// The rank of a message, and its place among those of one rank.
type Place = (Instant, u64);

/// Messages by rank, and those of one rank as they came.
#[derive(Debug, Default)]
pub(super) struct Chat {
    waiting: BTreeMap<Place, (ParticipantId, Arc<[u8]>)>,
    came: u64,
}

impl Chat {
    pub(super) fn add(&mut self, rank: Instant, sender: ParticipantId, message: Arc<[u8]>) {
        self.came += 1;
        self.waiting.insert((rank, self.came), (sender, message));
        if self.waiting.len() > CAPACITY {
            self.waiting.pop_last();
        }
    }

    /// Forgets the messages of participants whose leave is sent: nothing opens them after that.
    pub(super) fn forget(&mut self, senders: &[ParticipantId]) {
        if !senders.is_empty() {
            self.waiting.retain(|_, (sender, _)| !senders.contains(sender));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is a message of a sender that the client knows.
    pub(super) fn has(&self, known: impl Fn(&ParticipantId) -> bool) -> bool {
        self.waiting.values().any(|(sender, _)| known(sender))
    }

    /// Takes the next message of a sender that the client knows.
    pub(super) fn next(&mut self, known: impl Fn(&ParticipantId) -> bool) -> Option<Arc<[u8]>> {
        let rank = self.waiting.iter().find(|(_, (sender, _))| known(sender)).map(|(rank, _)| *rank)?;
        self.waiting.remove(&rank).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn last_rank_falls_out() {
        let (mut chat, now) = (Chat::default(), Instant::now());
        for number in 0..CAPACITY as u64 {
            chat.add(now + Duration::from_secs(60), ParticipantId(1), number.to_be_bytes()[..].into());
        }
        chat.add(now, ParticipantId(2), [2][..].into());
        assert_eq!(chat.next(|_| true), Some([2][..].into()));
        let rest: Vec<_> = std::iter::from_fn(|| chat.next(|_| true)).collect();
        assert_eq!(rest.len(), CAPACITY - 1);
        assert_eq!(rest.last(), Some(&(CAPACITY as u64 - 2).to_be_bytes()[..].into()), "the first stay");
    }
}
