//! Which of the server's messages have arrived, and when to acknowledge them.
//!
//! The server keeps unacknowledged messages and sends them again, under their old numbers, when the session is resumed
//! on another socket. What arrived before is then dropped here. Messages with the number 0 concern the connection rather
//! than the session; they are neither kept nor acknowledged.

use std::time::{Duration, Instant};

/// Number of messages after which an acknowledgement is due.
const ACK_MESSAGES: u32 = 16;
/// Time after which an acknowledgement is due if any message arrived.
const ACK_INTERVAL: Duration = Duration::from_secs(5);

/// The numbers of the messages that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inbox {
    last: u32,
    acknowledged: u32,
    /// When the oldest unacknowledged message arrived.
    waiting_since: Option<Instant>,
}

impl Inbox {
    /// A session whose messages up to `last` have arrived.
    pub(super) fn starting_after(last: u32) -> Self {
        Self { last, acknowledged: last, waiting_since: None }
    }

    /// Number of the last message that arrived.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    /// Counts a message. Returns `false` if it arrived before.
    pub(super) fn accept(&mut self, now: Instant, number: u32) -> bool {
        if number == 0 {
            return true;
        }
        if number <= self.last {
            return false;
        }
        self.last = number;
        self.waiting_since.get_or_insert(now);
        true
    }

    /// When the next acknowledgement is due; `None` while all messages are acknowledged.
    pub(super) fn ack_at(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        let many = self.last.saturating_sub(self.acknowledged) >= ACK_MESSAGES;
        Some(if many { since } else { since + ACK_INTERVAL })
    }

    /// The number to acknowledge, if it is time; it then counts as acknowledged.
    pub(super) fn take_ack(&mut self, now: Instant) -> Option<u32> {
        if self.ack_at()? > now {
            return None;
        }
        self.acknowledged = self.last;
        self.waiting_since = None;
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replayed_messages_are_dropped() {
        let now = Instant::now();
        let mut inbox = Inbox::starting_after(2);
        assert!(inbox.accept(now, 3) && inbox.accept(now, 4));
        assert!(!inbox.accept(now, 3) && !inbox.accept(now, 4));
        assert!(inbox.accept(now, 5));
        assert_eq!(inbox.last(), 5);
        assert!(inbox.accept(now, 0) && inbox.accept(now, 0), "these have no number");
        assert_eq!(inbox.last(), 5);
    }

    #[test]
    fn acknowledgement_follows_sixteen_messages_or_five_seconds() {
        let now = Instant::now();
        let mut inbox = Inbox::starting_after(0);
        assert_eq!(inbox.ack_at(), None);
        (1..ACK_MESSAGES).for_each(|n| assert!(inbox.accept(now, n)));
        assert_eq!(inbox.take_ack(now), None);
        assert!(inbox.accept(now, ACK_MESSAGES));
        assert_eq!(inbox.take_ack(now), Some(ACK_MESSAGES));
        assert!(inbox.accept(now, ACK_MESSAGES + 1));
        assert_eq!(inbox.take_ack(now + ACK_INTERVAL - Duration::from_millis(1)), None);
        assert_eq!(inbox.take_ack(now + ACK_INTERVAL), Some(ACK_MESSAGES + 1));
        assert_eq!(inbox.ack_at(), None);
    }
}
