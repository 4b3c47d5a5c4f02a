//! The requests of a session that the server has not answered.
//!
//! A request outlives the socket that it was sent on: after the session was resumed, what is still unanswered is sent
//! again under its old number. A request that is made without a connection is one that was not sent yet.

use crate::outbox::{OutboxError, Outgoing};
use std::collections::BTreeMap;
use tacet_proto::MessageType;

/// Unanswered requests, by number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    unanswered: BTreeMap<u32, Request>,
}

#[derive(Debug)]
struct Request {
    message: Outgoing,
    /// The session's number of the key batch that this request carries.
    key_batch: Option<u32>,
}

/// Whether a newer request makes an older one meaningless: both say the same state, or the server has another half of the
/// transport meanwhile.
fn replaces(newer: &Outgoing, older: &Outgoing) -> bool {
    let state = newer.state().is_some() && newer.state() == older.state();
    let transport = matches!(newer.kind(), MessageType::Transport | MessageType::IceRestart);
    state || (transport && newer.kind() == older.kind())
}

impl Requests {
    /// Maximum number of unanswered requests. The server answers each one, so more means that it never will.
    const CAPACITY: usize = 1_000;

    /// Assigns the number of the next message. Numbers are not reused within a session.
    pub(super) fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// Remembers a request until it is answered. Some replace older unanswered ones.
    ///
    /// # Errors
    /// [`OutboxError::Full`].
    pub(super) fn add(&mut self, number: u32, message: Outgoing, key_batch: Option<u32>) -> Result<(), OutboxError> {
        self.unanswered.retain(|_, older| !replaces(&message, &older.message));
        if self.unanswered.len() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        self.unanswered.insert(number, Request { message, key_batch });
        Ok(())
    }

    /// Forgets the unanswered requests of a type.
    pub(super) fn withdraw(&mut self, kind: MessageType) {
        self.unanswered.retain(|_, request| request.message.kind() != kind);
    }

    /// Whether a request of a type is unanswered.
    pub(super) fn awaits(&self, kind: MessageType) -> bool {
        self.unanswered.values().any(|request| request.message.kind() == kind)
    }

    /// The server has answered a request. Returns the number of the key batch that it carried.
    pub(super) fn answered(&mut self, number: u32) -> Option<u32> {
        self.unanswered.remove(&number)?.key_batch
    }

    /// An unanswered request, to be sent again.
    pub(super) fn message(&self, number: u32) -> Option<Outgoing> {
        self.unanswered.get(&number).map(|request| request.message.clone())
    }

    /// Everything unanswered, in the order in which it was requested.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = Outgoing> {
        self.unanswered.values().map(|request| request.message.clone())
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
    use tacet_proto::{
        ClientMessage, TrackId,
        bytes::Fixed,
        client::{ClientTransport, Empty, SlotsReady, TrackRef},
        media::{ClientIce, Dtls},
    };

    fn track(track: u32) -> TrackRef {
        TrackRef { track: TrackId(track) }
    }

    fn unpublish(of: u32) -> ClientMessage {
        ClientMessage::Unpublish(track(of))
    }

    fn half(ufrag: &str) -> ClientMessage {
        let ice = ClientIce { ufrag: ufrag.to_owned(), pwd: String::new() };
        ClientMessage::Transport(ClientTransport { ice, dtls: Dtls { fingerprint: Fixed([0; 32]) } })
    }

    fn add(requests: &mut Requests, message: ClientMessage) -> Outgoing {
        let number = requests.next_number();
        let message = Outgoing::message(Some(number), message);
        requests.add(number, message.clone(), None).unwrap();
        message
    }

    fn add_batch(requests: &mut Requests, batch: u32) -> (u32, Outgoing) {
        let number = requests.next_number();
        let message = Outgoing::key_batch(number, &[]);
        requests.add(number, message.clone(), Some(batch)).unwrap();
        (number, message)
    }

    fn left(requests: &Requests) -> Vec<Outgoing> {
        requests.unanswered().collect()
    }

    #[test]
    fn unanswered_requests_are_kept_in_order() {
        let mut requests = Requests::default();
        add(&mut requests, unpublish(1));
        let (batch, frame) = add_batch(&mut requests, 7);
        let last = add(&mut requests, unpublish(2));
        assert_eq!(requests.answered(1), None);
        assert_eq!(left(&requests), [frame, last]);
        assert_eq!(requests.answered(batch), Some(7), "the session is notified of its batch");
        assert_eq!(requests.answered(batch), None, "once");
    }

    #[test]
    fn newer_state_replaces_older() {
        let mut requests = Requests::default();
        add(&mut requests, ClientMessage::Mute(track(3)));
        let slots = add(&mut requests, ClientMessage::SlotsReady(SlotsReady { rev: 1 }));
        let unmute = add(&mut requests, ClientMessage::Unmute(track(3)));
        assert_eq!(left(&requests), [slots, unmute]);
    }

    #[test]
    fn only_the_latest_half_of_the_transport_is_sent_again() {
        let mut requests = Requests::default();
        add(&mut requests, ClientMessage::IceRestart(Empty {}));
        add(&mut requests, half("of an earlier path"));
        let latest = add(&mut requests, half("latest"));
        assert!(requests.awaits(MessageType::IceRestart));
        requests.withdraw(MessageType::IceRestart);
        assert_eq!((left(&requests), requests.awaits(MessageType::IceRestart)), (vec![latest], false));
    }

    #[test]
    fn requests_are_bounded() {
        let mut requests = Requests::default();
        for _ in 0..Requests::CAPACITY {
            add(&mut requests, unpublish(1));
        }
        let number = requests.next_number();
        let message = Outgoing::message(Some(number), unpublish(1));
        assert_eq!(requests.add(number, message, None), Err(OutboxError::Full));
    }

    #[test]
    fn key_batches_outlive_a_restart_of_the_server() {
        let mut requests = Requests::default();
        add(&mut requests, unpublish(1));
        let (batch, frame) = add_batch(&mut requests, 7);
        assert!(requests.is_key_batch(batch) && !requests.is_key_batch(1));
        assert_eq!(requests.keep_key_batches(), [batch]);
        assert_eq!((requests.message(batch), requests.message(1)), (Some(frame), None));
        assert!(requests.next_number() > batch, "numbers are not reused");
    }
}
