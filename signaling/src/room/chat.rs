//! Chat messages: forwarded to everyone, each once, in an order that is fair.
//!
//! The server cannot read them. It sees who sends one, when, about how long it is, and whether it is a reaction.

use super::{
    Room,
    authorized::{Authorized, Chats},
    wake,
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::binary::{self, ChatId};

/// Number of messages of one sender that are recognised if they come again: those that a client may have sent and not seen
/// answered.
const RECENT: usize = 64;
/// Time between the ranks of a sender's messages, once it has sent many.
const PACE: Duration = Duration::from_millis(500);
/// How far a sender may be ahead of that, and its messages still go in the order of their arrival: two at once.
const AHEAD: Duration = Duration::from_millis(500);

/// What a participant has sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    recent: VecDeque<ChatId>,
    /// When its ranks are used up.
    until: Option<Instant>,
}

impl Sent {
    /// Notes a message and returns its rank; `None` if it came before.
    ///
    /// The rank is the time of its arrival, or later for a sender that has sent many: where messages wait, one that seldom
    /// says something is not behind all that others keep saying. The ranks of one sender never go back.
    fn rank(&mut self, now: Instant, id: ChatId) -> Option<Instant> {
        if self.recent.contains(&id) {
            return None;
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        let until = self.until.map_or(now, |until| until.max(now));
        self.until = Some(until + PACE);
        Some(until.checked_sub(AHEAD).map_or(now, |rank| rank.max(now)))
    }
}

impl Room {
    /// Queues a message for everyone else. One that came before is accepted again, and goes nowhere.
    pub(super) fn chat(&mut self, now: Instant, by: &Authorized<Chats>, id: ChatId, sealed: &[u8]) {
        let from = by.participant();
        let Some(rank) = self.members.get_mut(&from).and_then(|member| member.sent.rank(now, id)) else { return };
        let message: Arc<[u8]> = binary::forwarded_chat(0, from, id, sealed).into();
        for (_, member) in self.members.iter_mut().filter(|(participant, _)| **participant != from) {
            member.backlog.chat(now, rank, from, Arc::clone(&message));
            wake(&mut self.wake, member.backlog.due());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::binary::ChatKind;

    #[test]
    fn ranks_are_those_of_arrival_until_a_sender_says_much() {
        let (mut sent, now) = (Sent::default(), Instant::now());
        let mut say = |number| sent.rank(now, ChatId::new(ChatKind::Message, number)).map(|rank| rank - now);
        let ranks: Vec<_> = (1..=13).map(|number| say(number).unwrap()).collect();
        assert!(ranks[..2].iter().all(|rank| rank.is_zero()), "{ranks:?}");
        assert_eq!(ranks[2..4], [PACE, 2 * PACE]);
        assert_eq!(say(13), None, "again");
    }
}
