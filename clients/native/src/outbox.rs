//! What a client wants to say, in the order and at the pace in which it may.
//!
//! The server accepts 30 messages in any second; this client sends [`CLIENT_OUTBOX_PER_SECOND`] in any second, keys
//! first, so that a burst of roster changes delays chat and never a key. No clock inside: `now` is an argument, in
//! milliseconds of any monotonic clock.

use std::collections::VecDeque;
use tacet_proto::limits::{CLIENT_OUTBOX_PER_SECOND, MAX_MESSAGE_BYTES, MESSAGE_WINDOW_MS};

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Hello, join, announces, keys: without them nobody hears anything.
    Keys,
    /// Requests that change what the server does.
    Control,
    /// State of which only the newest matters; an unsent message of the same kind is replaced.
    State(StateKind),
}

/// Kinds of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// Revision of the slots that are applied.
    SlotsReady,
    /// Whether a track is muted.
    Muted(u32),
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
    /// Bytes of payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The server would close the connection for it.
    #[error("message of {0} bytes, {MAX_MESSAGE_BYTES} are allowed")]
    TooLarge(usize),
    /// As many messages wait as may.
    #[error("{} messages wait to be sent", Outbox::CAPACITY)]
    Full,
}

/// The queue in front of the socket.
#[derive(Debug, Default)]
pub struct Outbox {
    keys: VecDeque<Frame>,
    control: VecDeque<Frame>,
    state: VecDeque<(StateKind, Frame)>,
    /// When the last messages left, oldest first, at most [`CLIENT_OUTBOX_PER_SECOND`].
    sent: VecDeque<u64>,
}

impl Outbox {
    /// Most messages that wait: 40 seconds' worth, more means that the program and not the line is at fault.
    pub const CAPACITY: usize = 1_000;

    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message.
    ///
    /// # Errors
    /// [`OutboxError`]; the message is not taken.
    pub fn push(&mut self, priority: Priority, frame: Frame) -> Result<(), OutboxError> {
        if frame.len() > MAX_MESSAGE_BYTES {
            return Err(OutboxError::TooLarge(frame.len()));
        }
        if let Priority::State(kind) = priority
            && let Some((_, waiting)) = self.state.iter_mut().find(|(k, _)| *k == kind)
        {
            *waiting = frame;
            return Ok(());
        }
        if self.waiting() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        match priority {
            Priority::Keys => self.keys.push_back(frame),
            Priority::Control => self.control.push_back(frame),
            Priority::State(kind) => self.state.push_back((kind, frame)),
        }
        Ok(())
    }

    /// The next message, if one waits and may be sent now.
    pub fn pop(&mut self, now: u64) -> Option<Frame> {
        if self.ready_at()? > now {
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

    /// From when on [`Self::pop`] gives a message; `None` when none waits.
    #[must_use]
    pub fn ready_at(&self) -> Option<u64> {
        if self.waiting() == 0 {
            return None;
        }
        if self.sent.len() < CLIENT_OUTBOX_PER_SECOND as usize {
            return Some(0);
        }
        self.sent.front().map(|oldest| oldest.saturating_add(MESSAGE_WINDOW_MS))
    }

    /// Messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.keys.len() + self.control.len() + self.state.len()
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
    fn keys_go_first_and_newer_state_replaces_older() {
        let mut outbox = Outbox::new();
        outbox.push(Priority::State(StateKind::SlotsReady), text(1)).unwrap();
        outbox.push(Priority::Control, text(2)).unwrap();
        outbox.push(Priority::State(StateKind::SlotsReady), text(3)).unwrap();
        outbox.push(Priority::Keys, text(4)).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| outbox.pop(0)).collect();
        assert_eq!(order, [text(4), text(2), text(3)]);
    }

    #[test]
    fn the_twenty_sixth_message_waits_for_the_window() {
        let mut outbox = Outbox::new();
        for n in 0..26 {
            outbox.push(Priority::Control, text(n)).unwrap();
        }
        assert_eq!(std::iter::from_fn(|| outbox.pop(500)).count(), 25);
        assert_eq!(outbox.ready_at(), Some(1_500));
        assert_eq!(outbox.pop(1_499), None);
        assert_eq!(outbox.pop(1_500), Some(text(25)));
        assert_eq!(outbox.ready_at(), None);
    }

    #[test]
    fn what_the_server_would_close_for_is_refused_here() {
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
        fn no_second_holds_more_than_the_limit(steps in proptest::collection::vec(0u64..200, 1..400)) {
            let mut outbox = Outbox::new();
            let (mut now, mut sent) = (0, Vec::new());
            for step in steps {
                now += step;
                for _ in 0..3 {
                    let _ = outbox.push(Priority::Control, text(0));
                }
                while outbox.pop(now).is_some() {
                    sent.push(now);
                }
            }
            let limit = CLIENT_OUTBOX_PER_SECOND as usize;
            for window in sent.windows(limit + 1) {
                prop_assert!(window[limit] - window[0] >= MESSAGE_WINDOW_MS);
            }
        }
    }
}
