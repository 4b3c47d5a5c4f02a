//! The way from a room to one socket: bounded, and never waited for.
//!
//! ```text
//!   room, reader ──► queue of 256 ──► writer (numbers, encodes, writes) ──► socket
//!               └──► hints, dropped while the queue is half full
//!               └──► closing signal: the first reason wins, what is queued still goes out
//! ```

use std::sync::Arc;
use tacet_proto::{CloseCode, ServerMessage};
use tokio::sync::{mpsc, watch};

/// Messages that wait for a socket at most. A client that lets more pile up does not read, and is closed with 4408.
pub const QUEUE: usize = 256;

/// A message to a client, without its running number, which the writer gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A text frame.
    Message {
        /// Number of the request that it answers.
        re: Option<u32>,
        /// The message.
        message: ServerMessage,
    },
    /// A binary frame; the writer sets its number.
    Binary(Vec<u8>),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: CloseCode,
    /// For people.
    pub reason: &'static str,
}

/// The client does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read what it is sent")]
pub struct Overflow;

/// Sending half, shared by whoever has something to say to the client.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    closing: Arc<watch::Sender<Option<Closing>>>,
}

/// Receiving half.
#[derive(Debug)]
pub struct Outgoings {
    /// What is to be written.
    pub queue: mpsc::Receiver<Outgoing>,
    /// Set once the connection is to end.
    pub closing: watch::Receiver<Option<Closing>>,
}

/// Makes an outbox and its receiving half.
#[must_use]
pub fn outbox() -> (Outbox, Outgoings) {
    let (queue, queued) = mpsc::channel(QUEUE);
    let (closing, closed) = watch::channel(None);
    (Outbox { queue, closing: Arc::new(closing) }, Outgoings { queue: queued, closing: closed })
}

impl Outbox {
    /// Queues a message. To a connection that has ended it goes nowhere, which is no error.
    ///
    /// # Errors
    /// The queue is full; the caller closes the connection.
    pub fn send(&self, outgoing: Outgoing) -> Result<(), Overflow> {
        match self.queue.try_send(outgoing) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Overflow),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Queues a message that may be lost, such as who is loud right now.
    pub fn hint(&self, message: ServerMessage) {
        if self.queue.capacity() > QUEUE / 2 {
            let _ = self.queue.try_send(Outgoing::Message { re: None, message });
        }
    }

    /// Ends the connection once what is queued has gone out. The first call decides.
    pub fn close(&self, code: CloseCode, reason: &'static str) {
        self.closing.send_if_modified(|closing| {
            let first = closing.is_none();
            if first {
                *closing = Some(Closing { code, reason });
            }
            first
        });
    }

    /// Says when the connection is to end.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<Option<Closing>> {
        self.closing.subscribe()
    }
}

/// Waits until a connection is to end; `None` if nobody is left to say so.
pub async fn ended(closing: &mut watch::Receiver<Option<Closing>>) -> Option<Closing> {
    closing.wait_for(Option::is_some).await.ok().and_then(|closing| *closing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::{client::Ping, server::Speakers};

    fn pong() -> Outgoing {
        Outgoing::Message { re: None, message: ServerMessage::Pong(Ping { ms: 1 }) }
    }

    #[test]
    fn a_full_queue_is_told_and_hints_are_dropped_before() {
        let (outbox, mut outgoings) = outbox();
        for _ in 0..QUEUE / 2 {
            assert_eq!(outbox.send(pong()), Ok(()));
        }
        outbox.hint(ServerMessage::Speakers(Speakers { speakers: vec![] }));
        for _ in 0..QUEUE / 2 {
            assert_eq!(outbox.send(pong()), Ok(()));
        }
        assert_eq!(outbox.send(pong()), Err(Overflow));
        while let Ok(outgoing) = outgoings.queue.try_recv() {
            assert_eq!(outgoing, pong(), "the hint was dropped");
        }
    }

    #[test]
    fn the_first_reason_to_close_wins() {
        let (outbox, outgoings) = outbox();
        outbox.close(CloseCode::Rate, "flood");
        outbox.close(CloseCode::Normal, "bye");
        assert_eq!(*outgoings.closing.borrow(), Some(Closing { code: CloseCode::Rate, reason: "flood" }));
    }
}
