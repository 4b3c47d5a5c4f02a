//! The requests of a session that the server has not answered.
//!
//! A request outlives the socket that it was sent on: after the session was resumed, what is still unanswered is sent
//! again under its old number. A request that is made without a connection is one that was not sent yet.

use crate::outbox::{Frame, OutboxError, Priority};
use std::collections::BTreeMap;

/// Unanswered requests, by number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    unanswered: BTreeMap<u32, Request>,
}

#[derive(Debug)]
struct Request {
    priority: Priority,
    frame: Frame,
    /// The session's number of the key batch that this request carries.
    key_batch: Option<u32>,
}

impl Requests {
    /// Maximum number of unanswered requests. The server answers each one, so more means that it never will.
    const CAPACITY: usize = 1_000;

    /// Assigns the number of the next message. Numbers are not reused within a session.
    pub(super) fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// Remembers a request until it is answered. State replaces older unanswered state of its kind.
    ///
    /// # Errors
    /// [`OutboxError::Full`].
    pub(super) fn add(
        &mut self,
        number: u32,
        priority: Priority,
        frame: Frame,
        key_batch: Option<u32>,
    ) -> Result<(), OutboxError> {
        if matches!(priority, Priority::State(_)) {
            self.unanswered.retain(|_, request| request.priority != priority);
        }
        if self.unanswered.len() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        self.unanswered.insert(number, Request { priority, frame, key_batch });
        Ok(())
    }

    /// The server has answered a request. Returns the number of the key batch that it carried.
    pub(super) fn answered(&mut self, number: u32) -> Option<u32> {
        self.unanswered.remove(&number)?.key_batch
    }

    /// The frame of an unanswered request, to be sent again.
    pub(super) fn frame(&self, number: u32) -> Option<(Priority, Frame)> {
        self.unanswered.get(&number).map(|request| (request.priority, request.frame.clone()))
    }

    /// Everything unanswered, in the order in which it was requested.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (Priority, Frame)> {
        self.unanswered.values().map(|request| (request.priority, request.frame.clone()))
    }

    /// Whether this unanswered request carries a key batch.
    pub(super) fn is_key_batch(&self, number: u32) -> bool {
        self.unanswered.get(&number).is_some_and(|request| request.key_batch.is_some())
    }

    /// Forgets what a server that has restarted cannot answer: everything but key batches, whose keys are still in use.
    /// Returns their numbers.
    pub(super) fn keep_key_batches(&mut self) -> Vec<u32> {
        self.unanswered.retain(|_, request| request.key_batch.is_some());
        self.unanswered.keys().copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::outbox::StateKind;

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    fn add(requests: &mut Requests, priority: Priority, name: &str, key_batch: Option<u32>) -> u32 {
        let number = requests.next_number();
        requests.add(number, priority, text(name), key_batch).unwrap();
        number
    }

    #[test]
    fn unanswered_requests_are_kept_in_order() {
        let mut requests = Requests::default();
        let publish = add(&mut requests, Priority::Control, "publish", None);
        let batch = add(&mut requests, Priority::Keys, "batch", Some(7));
        add(&mut requests, Priority::Control, "subscribe", None);
        assert_eq!(requests.answered(publish), None);
        let left: Vec<_> = requests.unanswered().map(|(_, frame)| frame).collect();
        assert_eq!(left, [text("batch"), text("subscribe")]);
        assert_eq!(requests.answered(batch), Some(7), "the session is notified of its batch");
        assert_eq!(requests.answered(batch), None, "once");
    }

    #[test]
    fn newer_state_replaces_older() {
        let mut requests = Requests::default();
        let muted = Priority::State(StateKind::Muted(3));
        add(&mut requests, muted, "mute", None);
        add(&mut requests, Priority::State(StateKind::SlotsReady), "slots", None);
        add(&mut requests, muted, "unmute", None);
        let left: Vec<_> = requests.unanswered().map(|(_, frame)| frame).collect();
        assert_eq!(left, [text("slots"), text("unmute")]);
    }

    #[test]
    fn requests_are_bounded() {
        let mut requests = Requests::default();
        for _ in 0..Requests::CAPACITY {
            add(&mut requests, Priority::Control, "x", None);
        }
        let number = requests.next_number();
        assert_eq!(requests.add(number, Priority::Control, text("x"), None), Err(OutboxError::Full));
    }

    #[test]
    fn key_batches_outlive_a_restart_of_the_server() {
        let mut requests = Requests::default();
        let publish = add(&mut requests, Priority::Control, "publish", None);
        let batch = add(&mut requests, Priority::Keys, "batch", Some(7));
        assert!(requests.is_key_batch(batch) && !requests.is_key_batch(publish));
        assert_eq!(requests.keep_key_batches(), [batch]);
        assert_eq!(requests.frame(batch), Some((Priority::Keys, text("batch"))));
        assert_eq!(requests.frame(publish), None);
        assert!(requests.next_number() > batch, "numbers are not reused");
    }
}
