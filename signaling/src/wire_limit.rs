//! A limit on the bytes of a WebSocket that become no message.
//!
//! The codec hands out whole messages, and messages are counted. A fragment that is never continued, and an empty one, would
//! count nowhere, although each costs work. So bytes are counted under the codec: in any second, and since the last message.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tacet_proto::limits::{MAX_MESSAGE_BYTES, MESSAGES_PER_WINDOW};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::Instant,
};

/// Maximum number of bytes in a second: as many messages as are accepted, of the largest size, with generous frames.
pub(crate) const BYTES_PER_SECOND: usize = MESSAGES_PER_WINDOW * (MAX_MESSAGE_BYTES + 1_024);
/// Maximum number of bytes without a complete message: one of the largest size in fragments of a single byte, each of which
/// has a header of six bytes (RFC 6455 section 5.2), and the frame that is read with it.
pub(crate) const BYTES_PER_MESSAGE: usize = MAX_MESSAGE_BYTES * 7 + 2 * MAX_MESSAGE_BYTES;

const SECOND: Duration = Duration::from_secs(1);

/// A peer sends more bytes than messages need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// More than [`BYTES_PER_SECOND`].
    Rate,
    /// More than [`BYTES_PER_MESSAGE`].
    Fragments,
}

/// What the reader of messages and the meter of bytes tell each other.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    /// Bytes since the last message.
    unfinished: Arc<AtomicUsize>,
    excess: Arc<watch::Sender<Option<Excess>>>,
}

impl Meter {
    /// A message is complete.
    pub(crate) fn message(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }

    /// Reports an excess, when there is one.
    pub(crate) fn excess(&self) -> watch::Receiver<Option<Excess>> {
        self.excess.subscribe()
    }
}

/// A connection whose bytes are counted as they are read. After an excess no more of them are handed out, and the rest is read
/// and dropped, because unread bytes would make the kernel send a reset instead of what the peer is still to be sent.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    /// Start of the current second, and the bytes in it.
    second: (Instant, usize),
    meter: Meter,
}

impl<S> Metered<S> {
    /// Counts the bytes of a connection.
    pub(crate) fn new(inner: S) -> Self {
        let meter = Meter { unfinished: Arc::default(), excess: Arc::new(watch::channel(None).0) };
        Self { inner, second: (Instant::now(), 0), meter }
    }

    pub(crate) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    fn count(&mut self, bytes: usize) -> Option<Excess> {
        let now = Instant::now();
        let (start, counted) = &mut self.second;
        if now.saturating_duration_since(*start) >= SECOND {
            (*start, *counted) = (now, 0);
        }
        *counted = counted.saturating_add(bytes);
        let unfinished = self.meter.unfinished.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if *counted > BYTES_PER_SECOND {
            Some(Excess::Rate)
        } else {
            (unfinished > BYTES_PER_MESSAGE).then_some(Excess::Fragments)
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let start = buf.filled().len();
            ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
            let read = buf.filled().len().saturating_sub(start);
            if read == 0 {
                return Poll::Ready(Ok(()));
            }
            if self.meter.excess.borrow().is_none() {
                let Some(excess) = self.count(read) else { return Poll::Ready(Ok(())) };
                self.meter.excess.send_replace(Some(excess));
            }
            buf.set_filled(start);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn bytes_without_a_message_are_limited() {
        let sent = vec![0; BYTES_PER_MESSAGE + 1];
        let mut metered = Metered::new(&sent[..]);
        let excess = metered.meter().excess();
        let mut bytes = vec![0; BYTES_PER_MESSAGE];
        metered.read_exact(&mut bytes).await.unwrap();
        assert_eq!(*excess.borrow(), None);
        assert!(metered.read_u8().await.is_err(), "the rest is dropped, to the end");
        assert_eq!(*excess.borrow(), Some(Excess::Fragments));
    }

    #[tokio::test]
    async fn bytes_in_a_second_are_limited_although_messages_complete() {
        let sent = vec![0; BYTES_PER_SECOND + 1_024];
        let mut metered = Metered::new(&sent[..]);
        let (meter, excess) = (metered.meter(), metered.meter().excess());
        let mut bytes = vec![0; 1_024];
        while metered.read_exact(&mut bytes).await.is_ok() {
            meter.message();
            // However slow the machine, all of it is one second.
            metered.second.0 = Instant::now();
        }
        assert_eq!(*excess.borrow(), Some(Excess::Rate));
    }
}
