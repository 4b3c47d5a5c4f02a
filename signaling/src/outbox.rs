//! The outbox of a participant: its messages, numbered and encoded, on their way to the socket.
//!
//! ```text
//!   room, reader ──► number, encode ──► ring of 256 ──► writer ──► socket
//!               └──► hints, dropped while the ring is half full
//!               └──► closing signal: the first reason wins, and the ring is still sent
//! ```
//!
//! Messages are numbered and encoded here, by the participant's outbox, and not by whatever writes to its socket: the
//! order and the bytes of what a client receives belong to the participant. A message leaves the ring when the writer
//! takes it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tacet_proto::{
    CloseCode, ErrorCode, ServerEnvelope, ServerMessage, binary::PREFIX_BYTES, limits::MAX_MESSAGE_BYTES,
};
use tokio::sync::{Notify, watch};

/// Maximum number of messages in an outbox. A client that lets more pile up does not read, and is closed with 4408.
pub const CAPACITY: usize = 256;

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

/// A numbered message as it goes to the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The frame.
    pub frame: Frame,
    /// The code, if the message is an error.
    pub error: Option<ErrorCode>,
}

/// A data frame of the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// JSON.
    Text(String),
    /// Key traffic.
    Binary(Vec<u8>),
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
                Encoded { frame: Frame::Text(text), error }
            }
            Self::Binary(mut bytes) => {
                debug_assert!(bytes.len() <= MAX_MESSAGE_BYTES, "a message of {} bytes", bytes.len());
                if let Some(number) = bytes.get_mut(1..PREFIX_BYTES) {
                    number.copy_from_slice(&seq.to_be_bytes());
                }
                Encoded { frame: Frame::Binary(bytes), error: None }
            }
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

/// The client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read what it is sent")]
pub struct Overflow;

#[derive(Debug, Default)]
struct Ring {
    /// Number of the last message.
    seq: u32,
    messages: VecDeque<Encoded>,
    /// The writer has ended: what is sent now goes nowhere.
    ended: bool,
}

impl Ring {
    fn push(&mut self, outgoing: Outgoing) {
        self.seq = self.seq.wrapping_add(1);
        self.messages.push_back(outgoing.encode(self.seq));
    }
}

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    /// The ring has messages.
    filled: Notify,
}

impl Shared {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        // A panic while encoding leaves the ring without that message, and otherwise whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sending half, shared by the room and the reader.
#[derive(Clone, Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
    closing: Arc<watch::Sender<Option<Closing>>>,
}

/// Receiving half, which the writer has.
#[derive(Debug)]
pub struct Outgoings {
    shared: Arc<Shared>,
    closing: watch::Receiver<Option<Closing>>,
}

/// Creates an outbox and its receiving half.
#[must_use]
pub fn outbox() -> (Outbox, Outgoings) {
    let shared = Arc::new(Shared::default());
    let (closing, closed) = watch::channel(None);
    (Outbox { shared: Arc::clone(&shared), closing: Arc::new(closing) }, Outgoings { shared, closing: closed })
}

impl Outbox {
    /// Queues a message. To a connection that has ended it goes nowhere, which is no error.
    ///
    /// # Errors
    /// The outbox is full; the caller closes the connection.
    pub fn send(&self, outgoing: Outgoing) -> Result<(), Overflow> {
        self.put(outgoing, CAPACITY)
    }

    /// Queues a message that may be lost, such as the active speakers.
    pub fn hint(&self, message: ServerMessage) {
        let _ = self.put(Outgoing::Message { re: None, message }, CAPACITY / 2);
    }

    fn put(&self, outgoing: Outgoing, capacity: usize) -> Result<(), Overflow> {
        let mut ring = self.shared.ring();
        if ring.ended {
            return Ok(());
        }
        if ring.messages.len() >= capacity {
            return Err(Overflow);
        }
        ring.push(outgoing);
        drop(ring);
        self.shared.filled.notify_one();
        Ok(())
    }

    /// Ends the connection once all queued messages are sent. The first call decides.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        self.closing.send_if_modified(|closing| {
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
        self.closing.subscribe()
    }
}

impl Outgoings {
    /// Waits for the next message and takes it. Cancelling loses no message.
    pub async fn recv(&mut self) -> Encoded {
        loop {
            if let Some(encoded) = self.try_recv() {
                return encoded;
            }
            self.shared.filled.notified().await;
        }
    }

    /// Takes the next message, if there is one.
    pub fn try_recv(&mut self) -> Option<Encoded> {
        self.shared.ring().messages.pop_front()
    }

    /// Reports when the connection is to end.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<Option<Closing>> {
        self.closing.clone()
    }
}

impl Drop for Outgoings {
    fn drop(&mut self) {
        let mut ring = self.shared.ring();
        ring.ended = true;
        ring.messages = VecDeque::new();
    }
}

/// Waits until a connection is to end; returns `None` if its outbox is gone.
pub async fn ended(closing: &mut watch::Receiver<Option<Closing>>) -> Option<Closing> {
    closing.wait_for(Option::is_some).await.ok().and_then(|closing| *closing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{
        binary,
        server::{Pong, Speakers},
    };

    fn pong() -> Outgoing {
        Outgoing::Message { re: None, message: ServerMessage::Pong(Pong { ms: 1, tokens: None }) }
    }

    #[test]
    fn full_outbox_is_an_error_and_hints_are_dropped_before() {
        let (outbox, mut outgoings) = outbox();
        for _ in 0..CAPACITY / 2 {
            assert_eq!(outbox.send(pong()), Ok(()));
        }
        outbox.hint(ServerMessage::Speakers(Speakers { speakers: vec![] }));
        for _ in 0..CAPACITY / 2 {
            assert_eq!(outbox.send(pong()), Ok(()));
        }
        assert_eq!(outbox.send(pong()), Err(Overflow));
        for seq in 1..=CAPACITY as u32 {
            assert_eq!(outgoings.try_recv(), Some(pong().encode(seq)), "the hint was dropped, and has no number");
        }
        assert_eq!(outgoings.try_recv(), None);
    }

    #[test]
    fn messages_are_numbered_in_one_sequence() {
        let (outbox, mut outgoings) = outbox();
        outbox.send(pong()).unwrap();
        outbox.send(Outgoing::Binary(binary::key_request(0, &[0; binary::WANTED_KEY_BYTES]))).unwrap();
        let Some(Encoded { frame: Frame::Text(text), .. }) = outgoings.try_recv() else { panic!("no text") };
        assert_eq!(ServerEnvelope::parse(&text).unwrap().seq, 1);
        let Some(Encoded { frame: Frame::Binary(bytes), .. }) = outgoings.try_recv() else { panic!("no binary") };
        assert_eq!(bytes[1..PREFIX_BYTES], 2u32.to_be_bytes());
    }

    #[test]
    fn ended_connection_takes_messages_without_keeping_them() {
        let (outbox, outgoings) = outbox();
        drop(outgoings);
        for _ in 0..2 * CAPACITY {
            assert_eq!(outbox.send(pong()), Ok(()));
        }
        assert!(outbox.shared.ring().messages.is_empty());
    }

    #[test]
    fn first_reason_to_close_wins() {
        let (outbox, outgoings) = outbox();
        outbox.close(CloseCode::Rate, "flood");
        outbox.close(CloseCode::Normal, "bye");
        assert_eq!(*outgoings.closing().borrow(), Some(Closing { code: CloseCode::Rate, reason: "flood" }));
    }
}
