//! A TCP connection that ends when its place is revoked, whatever is reading or writing it then.

use super::{Place, Ticket};
use std::{
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The stream, with its place.
#[derive(Debug)]
pub(crate) struct WatchedStream {
    // Closed before the place is free.
    tcp: TcpStream,
    place: Place,
}

impl WatchedStream {
    pub(crate) fn new(tcp: TcpStream, place: Place) -> Self {
        Self { tcp, place }
    }

    /// What says what the connection is doing.
    pub(crate) fn ticket(&self) -> Ticket {
        self.place.ticket()
    }

    fn check(&self) -> io::Result<()> {
        if self.place.state.revoked.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed by the server"));
        }
        Ok(())
    }

    fn check_writing(&self, cx: &Context<'_>) -> io::Result<()> {
        // Registered before the flag is read, so that a revocation in between wakes.
        self.place.state.writer.register(cx.waker());
        self.check()
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.place.state.wrote.store(true, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.place.state.reader.register(cx.waker());
        self.check()?;
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_writing(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_writing(cx)?;
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_writing(cx)?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_writing(cx)?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
