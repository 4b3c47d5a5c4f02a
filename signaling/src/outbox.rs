//! The outbox of a session: its messages, numbered and encoded, on their way to one socket after another.
//!
//! ```text
//!   room ──► number, encode ──► queue ──► writer ──► socket
//!                                 ▲          │
//!               resume(last_seq)  └── kept ◄─┘   until the client acknowledges them
//! ```
//!
//! A session outlives its connections, so its messages are numbered and encoded here and not by whatever writes to a
//! socket. A numbered message is kept after the writer has taken it, until the client acknowledges it: a connection that
//! continues the session gets it again, with the same number and bytes.
//!
//! Passing messages are not numbered: they carry 0, concern the connection more than the session, and are lost with it.
//! These are `challenge`, `welcome`, `pong`, `bye`, the active speakers, and what a connection itself refuses.
//!
//! A connection begins before it is known which session it continues, so its writer starts on a separate outbox, which
//! is [handed over](Outbox::hand_over) to that of the session.

use axum::body::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tacet_proto::{
    CloseCode, ErrorCode, ServerEnvelope, ServerMessage, binary::PREFIX_BYTES, limits::MAX_MESSAGE_BYTES,
};
use tokio::sync::{Notify, watch};
use tungstenite::Utf8Bytes;

/// Maximum number of messages that wait for a socket. A client that lets more pile up does not read, and is closed with
/// 4408. Messages that are sent again do not count.
pub const CAPACITY: usize = 256;
/// Maximum number of messages that are kept for a client to acknowledge. A client acknowledges every 16 messages.
pub const KEPT: usize = 512;
/// Maximum number of bytes that are kept for a client to acknowledge.
pub const KEPT_BYTES: usize = 256 << 10;

/// A message to a client, before it is numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame.
    Message {
        /// Number of the request that it answers.
        re: Option<u32>,
        /// The message.
        message: ServerMessage,
    },
    /// A binary frame, with space for its number.
    Binary(Vec<u8>),
}

/// A message as it goes to the socket. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Its number; 0 for a passing message.
    pub seq: u32,
    /// The frame.
    pub frame: Frame,
    /// The code, if the message is an error.
    pub error: Option<ErrorCode>,
}

/// A data frame of the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// JSON.
    Text(Utf8Bytes),
    /// Key traffic.
    Binary(Bytes),
}

impl Encoded {
    fn bytes(&self) -> usize {
        match &self.frame {
            Frame::Text(text) => text.len(),
            Frame::Binary(bytes) => bytes.len(),
        }
    }
}

impl Outgoing {
    /// Numbers and encodes the message.
    fn encode(self, seq: u32) -> Encoded {
        match self {
            Self::Message { re, message } => {
                let error = match &message {
                    ServerMessage::Error(error) => Some(error.code),
                    _ => None,
                };
                let text = ServerEnvelope { seq, re, message }.to_json();
                debug_assert!(text.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", text.len());
                Encoded { seq, frame: Frame::Text(text.into()), error }
            }
            Self::Binary(mut bytes) => {
                debug_assert!(bytes.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", bytes.len());
                if let Some(number) = bytes.get_mut(1..PREFIX_BYTES) {
                    number.copy_from_slice(&seq.to_be_bytes());
                }
                Encoded { seq, frame: Frame::Binary(bytes.into()), error: None }
            }
        }
    }
}

/// The client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read what it is sent")]
pub struct Overflow;

/// The messages that a client lacks are not kept any more, or it claims some that were never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the messages that the client lacks are gone")]
pub struct NotKept;

#[derive(Debug, Default)]
struct Ring {
    /// Number of the last message.
    seq: u32,
    /// Numbered messages that the current writer, if any, has taken, oldest first.
    kept: VecDeque<Encoded>,
    /// Bytes of all numbered messages in `kept` and `queue`.
    bytes: usize,
    /// Messages that no writer has taken.
    queue: VecDeque<Encoded>,
    /// How many of the first messages of the queue are sent again.
    again: usize,
    /// Writers so far; the last one may take messages.
    writers: u64,
    /// Whether that writer still runs.
    attached: bool,
    /// Where the writer goes on once the queue is empty.
    next: Option<Outgoings>,
}

impl Ring {
    fn push(&mut self, outgoing: Outgoing) {
        self.seq = self.seq.saturating_add(1);
        let encoded = outgoing.encode(self.seq);
        self.bytes = self.bytes.saturating_add(encoded.bytes());
        self.queue.push_back(encoded);
    }

    fn take(&mut self) -> Option<Encoded> {
        let encoded = self.queue.pop_front()?;
        self.again = self.again.saturating_sub(1);
        if encoded.seq != 0 {
            self.kept.push_back(encoded.clone());
            self.trim();
        }
        Some(encoded)
    }

    /// Forgets the oldest messages beyond what is kept. Those that wait for a writer that runs are not touched.
    fn trim(&mut self) {
        let numbered = |ring: &Self| ring.kept.len().saturating_add(ring.queue.len());
        while numbered(self) > KEPT || self.bytes > KEPT_BYTES {
            let oldest = match self.kept.pop_front() {
                None if !self.attached => self.queue.pop_front(),
                kept => kept,
            };
            let Some(oldest) = oldest else { return };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
    }

    /// Forgets what the client has.
    fn forget(&mut self, seq: u32) {
        while let Some(oldest) = self.kept.pop_front_if(|oldest| oldest.seq <= seq) {
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
    }

    fn detach(&mut self) {
        self.attached = false;
        self.again = 0;
        self.queue.retain(|encoded| encoded.seq != 0);
        self.trim();
    }

    /// The number of the oldest message that is kept, or that of the next one.
    fn oldest(&self) -> u32 {
        let oldest = self.kept.front().or_else(|| self.queue.iter().find(|encoded| encoded.seq != 0));
        oldest.map_or(self.seq.saturating_add(1), |oldest| oldest.seq)
    }

    fn covers(&self, last_seq: u32) -> bool {
        last_seq <= self.seq && self.oldest() <= last_seq.saturating_add(1)
    }
}

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    /// The queue has messages, or a place to go on.
    filled: Notify,
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A panic while encoding leaves the ring without that message, and otherwise whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sending half. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Shared>);

/// Receiving half, which the writer of one connection has.
#[derive(Debug)]
pub struct Outgoings {
    shared: Arc<Shared>,
    writer: u64,
}

impl Outbox {
    /// An outbox without a writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a message. Without a writer it is kept for the next one, as long as there is space.
    ///
    /// # Errors
    /// The outbox is full; the caller closes the connection.
    pub fn send(&self, outgoing: Outgoing) -> Result<(), Overflow> {
        let mut ring = self.0.ring();
        if ring.attached && ring.queue.len().saturating_sub(ring.again) >= CAPACITY {
            return Err(Overflow);
        }
        ring.push(outgoing);
        if !ring.attached {
            ring.trim();
        }
        drop(ring);
        self.0.filled.notify_waiters();
        Ok(())
    }

    /// Queues a passing message, which is lost with the connection.
    ///
    /// # Errors
    /// The outbox is full; the caller closes the connection.
    pub fn pass(&self, re: Option<u32>, message: ServerMessage) -> Result<(), Overflow> {
        self.put_passing(re, message, CAPACITY)
    }

    /// Queues a passing message that may be lost even on a connection that lasts, such as the active speakers.
    pub fn hint(&self, message: ServerMessage) {
        let _ = self.put_passing(None, message, CAPACITY / 2);
    }

    fn put_passing(&self, re: Option<u32>, message: ServerMessage, capacity: usize) -> Result<(), Overflow> {
        let mut ring = self.0.ring();
        if !ring.attached {
            return Ok(());
        }
        if ring.queue.len().saturating_sub(ring.again) >= capacity {
            return Err(Overflow);
        }
        ring.queue.push_back(Outgoing::Message { re, message }.encode(0));
        drop(ring);
        self.0.filled.notify_waiters();
        Ok(())
    }

    /// The client has received all messages up to this number. A number that was never used is ignored.
    pub fn acknowledge(&self, seq: u32) {
        self.0.ring().forget(seq);
    }

    /// Whether a client that has all messages up to this number can be sent all later ones.
    #[must_use]
    pub fn covers(&self, last_seq: u32) -> bool {
        self.0.ring().covers(last_seq)
    }

    /// Attaches a writer in place of any earlier one. It first gets all messages after `last_seq`.
    ///
    /// # Errors
    /// Some of those messages are not kept.
    pub fn attach(&self, last_seq: u32) -> Result<Outgoings, NotKept> {
        let mut ring = self.0.ring();
        if !ring.covers(last_seq) {
            return Err(NotKept);
        }
        ring.detach();
        ring.forget(last_seq);
        // What was queued but never taken may be acknowledged too, if an earlier writer took it and it was queued again.
        while let Some(known) = ring.queue.pop_front_if(|queued| queued.seq <= last_seq) {
            ring.bytes = ring.bytes.saturating_sub(known.bytes());
        }
        let mut queue = std::mem::take(&mut ring.kept);
        queue.append(&mut ring.queue);
        ring.again = queue.len();
        ring.queue = queue;
        ring.writers = ring.writers.saturating_add(1);
        ring.attached = true;
        let writer = ring.writers;
        drop(ring);
        self.0.filled.notify_waiters();
        Ok(Outgoings { shared: Arc::clone(&self.0), writer })
    }

    /// Sends the writer of this outbox on to another one, once it has taken everything here.
    pub fn hand_over(&self, next: Outgoings) {
        self.0.ring().next = Some(next);
        self.0.filled.notify_waiters();
    }
}

impl Outgoings {
    /// Waits for the next message and takes it. Cancelling loses no message.
    pub async fn recv(&mut self) -> Encoded {
        loop {
            let shared = Arc::clone(&self.shared);
            // From here on every change is noticed.
            let filled = shared.filled.notified();
            if let Some(encoded) = self.try_recv() {
                return encoded;
            }
            if Arc::ptr_eq(&shared, &self.shared) {
                filled.await;
            }
        }
    }

    /// Takes the next message, if there is one. A writer that was replaced gets none.
    pub fn try_recv(&mut self) -> Option<Encoded> {
        loop {
            let next = {
                let mut ring = self.shared.ring();
                if ring.writers != self.writer {
                    return None;
                }
                match ring.take() {
                    Some(encoded) => return Some(encoded),
                    None => ring.next.take()?,
                }
            };
            *self = next;
        }
    }
}

impl Drop for Outgoings {
    fn drop(&mut self) {
        let mut ring = self.shared.ring();
        if ring.writers == self.writer {
            ring.detach();
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: CloseCode,
    /// Human-readable reason.
    pub reason: &'static str,
}

/// Ends one connection. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Closer(Arc<watch::Sender<Option<Closing>>>);

impl Default for Closer {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Closer {
    /// Ends the connection once all queued messages are sent. The first call decides.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        self.0.send_if_modified(|closing| {
            let first = closing.is_none();
            if first {
                *closing = Some(Closing { code, reason });
            }
            first
        });
    }

    /// Reports when the connection is to end.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<Option<Closing>> {
        self.0.subscribe()
    }
}

/// Waits until a connection is to end; returns `None` if nothing can end it any more.
pub async fn ended(closing: &mut watch::Receiver<Option<Closing>>) -> Option<Closing> {
    closing.wait_for(Option::is_some).await.ok().and_then(|closing| *closing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tacet_proto::{
        binary,
        server::{Ok as OkMessage, Pong, Speakers},
    };

    fn ok(re: u32) -> Outgoing {
        Outgoing::Message { re: Some(re), message: ServerMessage::Ok(OkMessage {}) }
    }

    fn pong() -> ServerMessage {
        ServerMessage::Pong(Pong { ms: 1, tokens: None })
    }

    fn numbers(outgoings: &mut Outgoings) -> Vec<u32> {
        std::iter::from_fn(|| outgoings.try_recv()).map(|encoded| encoded.seq).collect()
    }

    #[test]
    fn full_outbox_is_an_error_and_hints_are_dropped_before() {
        let outbox = Outbox::new();
        let mut outgoings = outbox.attach(0).unwrap();
        for _ in 0..CAPACITY / 2 {
            assert_eq!(outbox.send(ok(1)), Ok(()));
        }
        outbox.hint(ServerMessage::Speakers(Speakers { speakers: vec![] }));
        for _ in 0..CAPACITY / 2 {
            assert_eq!(outbox.send(ok(1)), Ok(()));
        }
        assert_eq!((outbox.send(ok(1)), outbox.pass(None, pong())), (Err(Overflow), Err(Overflow)));
        assert_eq!(numbers(&mut outgoings), (1..=CAPACITY as u32).collect::<Vec<_>>(), "the hint was dropped");
    }

    #[test]
    fn numbered_messages_share_one_sequence_and_passing_ones_have_none() {
        let outbox = Outbox::new();
        let mut outgoings = outbox.attach(0).unwrap();
        outbox.send(ok(1)).unwrap();
        outbox.pass(Some(9), pong()).unwrap();
        outbox.send(Outgoing::Binary(binary::key_request(0, &[0; binary::WANTED_KEY_BYTES]))).unwrap();
        let Some(Encoded { frame: Frame::Text(text), .. }) = outgoings.try_recv() else { panic!("no text") };
        assert_eq!(ServerEnvelope::parse(&text).unwrap().seq, 1);
        let Some(Encoded { frame: Frame::Text(text), .. }) = outgoings.try_recv() else { panic!("no text") };
        assert_eq!(ServerEnvelope::parse(&text).unwrap(), ServerEnvelope { seq: 0, re: Some(9), message: pong() });
        let Some(Encoded { frame: Frame::Binary(bytes), .. }) = outgoings.try_recv() else { panic!("no binary") };
        assert_eq!(bytes[1..PREFIX_BYTES], 2u32.to_be_bytes());
    }

    #[test]
    fn next_writer_gets_what_the_client_lacks_in_the_same_bytes() {
        let outbox = Outbox::new();
        let mut first = outbox.attach(0).unwrap();
        for re in 1..=3 {
            outbox.send(ok(re)).unwrap();
        }
        let sent: Vec<_> = std::iter::from_fn(|| first.try_recv()).collect();
        outbox.send(ok(4)).unwrap();
        outbox.pass(None, pong()).unwrap();
        drop(first);
        outbox.pass(None, pong()).unwrap();
        outbox.send(Outgoing::Binary(binary::key_request(0, &[0; binary::WANTED_KEY_BYTES]))).unwrap();
        let mut second = outbox.attach(1).unwrap();
        outbox.send(ok(6)).unwrap();
        let again: Vec<_> = std::iter::from_fn(|| second.try_recv()).collect();
        assert_eq!(again.iter().map(|encoded| encoded.seq).collect::<Vec<_>>(), [2, 3, 4, 5, 6], "no passing ones");
        assert_eq!(again[..2], sent[1..]);
    }

    #[test]
    fn replaced_writer_gets_nothing_and_takes_nothing_along() {
        let outbox = Outbox::new();
        let mut first = outbox.attach(0).unwrap();
        let mut second = outbox.attach(0).unwrap();
        outbox.send(ok(1)).unwrap();
        assert_eq!(first.try_recv(), None);
        drop(first);
        outbox.pass(None, pong()).unwrap();
        assert_eq!(numbers(&mut second), [1, 0], "still attached");
    }

    #[test]
    fn acknowledged_messages_are_not_kept() {
        let outbox = Outbox::new();
        let mut outgoings = outbox.attach(0).unwrap();
        for re in 1..=3 {
            outbox.send(ok(re)).unwrap();
        }
        numbers(&mut outgoings);
        outbox.acknowledge(2);
        assert!(!outbox.covers(1) && outbox.covers(2) && outbox.covers(3) && !outbox.covers(4));
        assert_eq!(outbox.attach(1).unwrap_err(), NotKept);
        assert_eq!(numbers(&mut outbox.attach(2).unwrap()), [3]);
    }

    #[test]
    fn detached_outbox_is_bounded() {
        let outbox = Outbox::new();
        drop(outbox.attach(0).unwrap());
        for re in 1..=KEPT as u32 {
            outbox.send(ok(re)).unwrap();
        }
        assert!(outbox.covers(0));
        outbox.send(ok(0)).unwrap();
        assert!(!outbox.covers(0) && outbox.covers(1), "the oldest is gone");
        for _ in 0..100 {
            outbox.send(Outgoing::Binary(vec![1; MAX_MESSAGE_BYTES])).unwrap();
        }
        let mut outgoings = outbox.attach(KEPT as u32 + 101 - 16).unwrap();
        assert_eq!(numbers(&mut outgoings).len(), KEPT_BYTES / MAX_MESSAGE_BYTES);
    }

    #[test]
    fn messages_that_are_sent_again_do_not_fill_the_outbox() {
        let outbox = Outbox::new();
        drop(outbox.attach(0).unwrap());
        for re in 1..=KEPT as u32 {
            outbox.send(ok(re)).unwrap();
        }
        let _unread = outbox.attach(0).unwrap();
        for re in 0..CAPACITY as u32 {
            outbox.send(ok(re)).unwrap();
        }
        assert_eq!(outbox.send(ok(0)), Err(Overflow));
    }

    #[test]
    fn handed_over_writer_takes_what_is_left_first() {
        let (own, session) = (Outbox::new(), Outbox::new());
        let mut outgoings = own.attach(0).unwrap();
        own.pass(None, pong()).unwrap();
        session.send(ok(1)).unwrap();
        own.hand_over(session.attach(0).unwrap());
        assert_eq!(numbers(&mut outgoings), [0, 1]);
        session.send(ok(2)).unwrap();
        assert_eq!(numbers(&mut outgoings), [2]);
    }

    #[test]
    fn first_reason_to_close_wins() {
        let closer = Closer::default();
        closer.close(CloseCode::Rate, "flood");
        closer.close(CloseCode::Normal, "bye");
        assert_eq!(*closer.closing().borrow(), Some(Closing { code: CloseCode::Rate, reason: "flood" }));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send,
        Pass,
        Take(usize),
        /// Acknowledges what was taken.
        Acknowledge,
        /// The connection is lost, with this many of the last messages that were taken.
        Lose(usize),
        Return,
    }

    proptest! {
        /// Whatever is lost and whenever the client returns, it receives every number once and in order, or learns that
        /// it cannot.
        #[test]
        fn client_receives_each_message_once(steps in proptest::collection::vec(prop_oneof![
            4 => Just(Step::Send),
            1 => Just(Step::Pass),
            4 => (0usize..8).prop_map(Step::Take),
            1 => Just(Step::Acknowledge),
            1 => (0usize..8).prop_map(Step::Lose),
            2 => Just(Step::Return),
        ], 1..200)) {
            let outbox = Outbox::new();
            let mut writer = Some(outbox.attach(0).unwrap());
            // Numbers on their way, and the last one that arrived.
            let (mut flying, mut last) = (Vec::new(), 0);
            let arrive = |flying: &mut Vec<u32>, last: &mut u32| {
                for seq in flying.drain(..).filter(|seq| *seq != 0) {
                    prop_assert_eq!(seq, *last + 1);
                    *last = seq;
                }
                Ok(())
            };
            for step in steps {
                match step {
                    Step::Send => outbox.send(ok(1)).unwrap(),
                    Step::Pass => outbox.pass(None, pong()).unwrap(),
                    Step::Take(count) => {
                        arrive(&mut flying, &mut last)?;
                        if let Some(writer) = &mut writer {
                            flying.extend(std::iter::from_fn(|| writer.try_recv()).take(count).map(|taken| taken.seq));
                        }
                    }
                    Step::Acknowledge => outbox.acknowledge(last),
                    Step::Lose(count) => {
                        flying.truncate(flying.len().saturating_sub(count));
                        arrive(&mut flying, &mut last)?;
                        writer = None;
                    }
                    Step::Return => {
                        // Nothing that flies is taken for arrived by a connection that replaces another.
                        flying.clear();
                        writer = Some(outbox.attach(last).unwrap());
                    }
                }
            }
        }
    }
}
