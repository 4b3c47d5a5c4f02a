//! Queues messages for the server, by priority and within the server's rate limit.
//!
//! The server accepts 30 messages in any second; this client sends [`CLIENT_OUTBOX_PER_SECOND`] in any second, key
//! traffic first, so that a burst of other messages never delays a key. No clock inside: `now` is an argument.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tacet_proto::limits::{CLIENT_OUTBOX_PER_SECOND, MAX_MESSAGE_BYTES, MESSAGE_WINDOW_MS};

/// Length of the window in which the rate limit counts.
const WINDOW: Duration = Duration::from_millis(MESSAGE_WINDOW_MS);

/// Priority of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Hello, join, announces and keys: without them nothing can be decrypted.
    Keys,
    /// Requests.
    Control,
    /// State of which only the latest value matters: an unsent message of the same kind is replaced.
    State(StateKind),
}

/// Kinds of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// Revision of the slots that are applied.
    SlotsReady,
    /// Whether a track is muted.
    Muted(u32),
    /// Number of the last message of the server that arrived.
    Ack,
    /// A sign of life.
    Heartbeat,
}

/// One WebSocket data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A JSON message.
    Text(String),
    /// Key traffic.
    Binary(Vec<u8>),
}

impl Frame {
    /// Size of the payload, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The message exceeds the server's limit.
    #[error("message of {0} bytes exceeds the limit of {MAX_MESSAGE_BYTES}")]
    TooLarge(usize),
    /// The queue is full.
    #[error("{} messages are queued already", Outbox::CAPACITY)]
    Full,
}

/// The queue of unsent messages.
#[derive(Debug, Default)]
pub struct Outbox {
    keys: VecDeque<Frame>,
    control: VecDeque<Frame>,
    state: VecDeque<(StateKind, Frame)>,
    /// When the last messages were sent, oldest first; at most [`CLIENT_OUTBOX_PER_SECOND`] of them.
    sent: VecDeque<Instant>,
}

impl Outbox {
    /// Maximum number of queued messages: 40 seconds' worth. More means that the program is at fault, not the network.
    pub const CAPACITY: usize = 1_000;

    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`OutboxError`]; the message is not queued.
    pub fn push(&mut self, priority: Priority, frame: Frame) -> Result<(), OutboxError> {
        if frame.len() > MAX_MESSAGE_BYTES {
            return Err(OutboxError::TooLarge(frame.len()));
        }
        if let Priority::State(kind) = priority
            && let Some((_, queued)) = self.state.iter_mut().find(|(k, _)| *k == kind)
        {
            *queued = frame;
            return Ok(());
        }
        if self.len() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        match priority {
            Priority::Keys => self.keys.push_back(frame),
            Priority::Control => self.control.push_back(frame),
            Priority::State(kind) => self.state.push_back((kind, frame)),
        }
        Ok(())
    }

    /// The next message, if one is queued and may be sent at `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Frame> {
        if self.ready_at(now)? > now {
            return None;
        }
        let frame = self
            .keys
            .pop_front()
            .or_else(|| self.control.pop_front())
            .or_else(|| self.state.pop_front().map(|(_, frame)| frame))?;
        if self.sent.len() >= CLIENT_OUTBOX_PER_SECOND as usize {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        Some(frame)
    }

    /// When [`Self::pop`] will next return a message, at `now` or later; `None` if none is queued.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        if self.sent.len() < CLIENT_OUTBOX_PER_SECOND as usize {
            return Some(now);
        }
        self.sent.front().map(|oldest| (*oldest + WINDOW).max(now))
    }

    /// Number of queued messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len() + self.control.len() + self.state.len()
    }

    /// Whether no message is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(n: usize) -> Frame {
        Frame::Text(n.to_string())
    }

    #[test]
    fn keys_precede_state_and_new_state_replaces_old() {
        let mut outbox = Outbox::new();
        outbox.push(Priority::State(StateKind::SlotsReady), text(1)).unwrap();
        outbox.push(Priority::Control, text(2)).unwrap();
        outbox.push(Priority::State(StateKind::SlotsReady), text(3)).unwrap();
        outbox.push(Priority::Keys, text(4)).unwrap();
        let now = Instant::now();
        let order: Vec<_> = std::iter::from_fn(|| outbox.pop(now)).collect();
        assert_eq!(order, [text(4), text(2), text(3)]);
    }

    #[test]
    fn rate_limit_delays_next_message() {
        let mut outbox = Outbox::new();
        for n in 0..26 {
            outbox.push(Priority::Control, text(n)).unwrap();
        }
        let now = Instant::now();
        assert_eq!(std::iter::from_fn(|| outbox.pop(now)).count(), 25);
        assert_eq!(outbox.ready_at(now), Some(now + WINDOW));
        assert_eq!(outbox.pop(now + WINDOW - Duration::from_millis(1)), None);
        assert_eq!(outbox.pop(now + WINDOW), Some(text(25)));
        assert_eq!(outbox.ready_at(now + WINDOW), None);
    }

    #[test]
    fn oversized_message_and_full_queue_are_rejected() {
        let mut outbox = Outbox::new();
        outbox.push(Priority::Keys, Frame::Binary(vec![0; MAX_MESSAGE_BYTES])).unwrap();
        let refused = outbox.push(Priority::Keys, Frame::Binary(vec![0; MAX_MESSAGE_BYTES + 1]));
        assert_eq!(refused, Err(OutboxError::TooLarge(MAX_MESSAGE_BYTES + 1)));
        for n in 1..Outbox::CAPACITY {
            outbox.push(Priority::Control, text(n)).unwrap();
        }
        assert_eq!(outbox.push(Priority::Control, text(0)), Err(OutboxError::Full));
    }

    proptest! {
        #[test]
        fn no_second_exceeds_the_rate_limit(steps in proptest::collection::vec(0u64..200, 1..400)) {
            let mut outbox = Outbox::new();
            let (mut now, mut sent) = (Instant::now(), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                for _ in 0..3 {
                    let _ = outbox.push(Priority::Control, text(0));
                }
                while outbox.pop(now).is_some() {
                    sent.push(now);
                }
            }
            let limit = CLIENT_OUTBOX_PER_SECOND as usize;
            for window in sent.windows(limit + 1) {
                prop_assert!(window[limit] - window[0] >= WINDOW);
            }
        }
    }
}
