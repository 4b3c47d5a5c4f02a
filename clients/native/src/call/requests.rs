//! The requests of a session that the server has not answered.
//!
//! A request outlives the socket that it was sent on: after the session was resumed, what is still unanswered is sent
//! again under its old number. A request that is made without a connection is one that was not sent yet.

use crate::outbox::{Frame, OutboxError, Priority, StateKind};
use std::collections::BTreeMap;

/// Unanswered requests, by number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    unanswered: BTreeMap<u32, Request>,
}

/// What a request is about, as far as it matters while it is unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// It stands for itself.
    Other,
    /// It carries the session's key batch of this number.
    KeyBatch(u32),
    /// State of which only the latest value matters.
    State(StateKind),
    /// This client's half of the transport. Only the latest fits the server's latest half.
    Transport,
    /// New ICE credentials of the server are wanted.
    IceRestart,
}

impl Subject {
    /// Whether a newer request makes an older one meaningless.
    fn replaces(self) -> bool {
        matches!(self, Self::State(_) | Self::Transport | Self::IceRestart)
    }
}

#[derive(Debug)]
struct Request {
    priority: Priority,
    frame: Frame,
    subject: Subject,
}

impl Requests {
    /// Maximum number of unanswered requests. The server answers each one, so more means that it never will.
    const CAPACITY: usize = 1_000;

    /// Assigns the number of the next message. Numbers are not reused within a session.
    pub(super) fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// Remembers a request until it is answered. Some replace older unanswered ones of their subject.
    ///
    /// # Errors
    /// [`OutboxError::Full`].
    pub(super) fn add(
        &mut self,
        number: u32,
        priority: Priority,
        frame: Frame,
        subject: Subject,
    ) -> Result<(), OutboxError> {
        if subject.replaces() {
            self.withdraw(subject);
        }
        if self.unanswered.len() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        self.unanswered.insert(number, Request { priority, frame, subject });
        Ok(())
    }

    /// Forgets the unanswered requests about a subject.
    pub(super) fn withdraw(&mut self, subject: Subject) {
        self.unanswered.retain(|_, request| request.subject != subject);
    }

    /// Whether a request about a subject is unanswered.
    pub(super) fn awaits(&self, subject: Subject) -> bool {
        self.unanswered.values().any(|request| request.subject == subject)
    }

    /// The server has answered a request. Returns the number of the key batch that it carried.
    pub(super) fn answered(&mut self, number: u32) -> Option<u32> {
        match self.unanswered.remove(&number)?.subject {
            Subject::KeyBatch(batch) => Some(batch),
            _ => None,
        }
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
        self.unanswered.get(&number).is_some_and(|request| matches!(request.subject, Subject::KeyBatch(_)))
    }

    /// Forgets what a server that has restarted cannot answer: everything but key batches, whose keys are still in use.
    /// Returns their numbers.
    pub(super) fn keep_key_batches(&mut self) -> Vec<u32> {
        self.unanswered.retain(|_, request| matches!(request.subject, Subject::KeyBatch(_)));
        self.unanswered.keys().copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(text: &str) -> Frame {
        Frame::Text(text.to_owned())
    }

    fn add(requests: &mut Requests, priority: Priority, name: &str, subject: Subject) -> u32 {
        let number = requests.next_number();
        requests.add(number, priority, text(name), subject).unwrap();
        number
    }

    #[test]
    fn unanswered_requests_are_kept_in_order() {
        let mut requests = Requests::default();
        let publish = add(&mut requests, Priority::Control, "publish", Subject::Other);
        let batch = add(&mut requests, Priority::Keys, "batch", Subject::KeyBatch(7));
        add(&mut requests, Priority::Control, "subscribe", Subject::Other);
        assert_eq!(requests.answered(publish), None);
        let left: Vec<_> = requests.unanswered().map(|(_, frame)| frame).collect();
        assert_eq!(left, [text("batch"), text("subscribe")]);
        assert_eq!(requests.answered(batch), Some(7), "the session is notified of its batch");
        assert_eq!(requests.answered(batch), None, "once");
    }

    #[test]
    fn newer_state_replaces_older() {
        let mut requests = Requests::default();
        let mut set = |kind, name| add(&mut requests, Priority::State(kind), name, Subject::State(kind));
        set(StateKind::Muted(3), "mute");
        set(StateKind::SlotsReady, "slots");
        set(StateKind::Muted(3), "unmute");
        let left: Vec<_> = requests.unanswered().map(|(_, frame)| frame).collect();
        assert_eq!(left, [text("slots"), text("unmute")]);
    }

    #[test]
    fn only_the_latest_half_of_the_transport_is_sent_again() {
        let mut requests = Requests::default();
        add(&mut requests, Priority::Control, "restart", Subject::IceRestart);
        add(&mut requests, Priority::Control, "half of an earlier path", Subject::Transport);
        add(&mut requests, Priority::Control, "half", Subject::Transport);
        assert!(requests.awaits(Subject::IceRestart));
        requests.withdraw(Subject::IceRestart);
        let left: Vec<_> = requests.unanswered().map(|(_, frame)| frame).collect();
        assert_eq!((left, requests.awaits(Subject::IceRestart)), (vec![text("half")], false));
    }

    #[test]
    fn requests_are_bounded() {
        let mut requests = Requests::default();
        for _ in 0..Requests::CAPACITY {
            add(&mut requests, Priority::Control, "x", Subject::Other);
        }
        let number = requests.next_number();
        assert_eq!(requests.add(number, Priority::Control, text("x"), Subject::Other), Err(OutboxError::Full));
    }

    #[test]
    fn key_batches_outlive_a_restart_of_the_server() {
        let mut requests = Requests::default();
        let publish = add(&mut requests, Priority::Control, "publish", Subject::Other);
        let batch = add(&mut requests, Priority::Keys, "batch", Subject::KeyBatch(7));
        assert!(requests.is_key_batch(batch) && !requests.is_key_batch(publish));
        assert_eq!(requests.keep_key_batches(), [batch]);
        assert_eq!(requests.frame(batch), Some((Priority::Keys, text("batch"))));
        assert_eq!(requests.frame(publish), None);
        assert!(requests.next_number() > batch, "numbers are not reused");
    }
}
