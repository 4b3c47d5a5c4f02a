//! Sockets that send to the server over the current route, and receive from it only.

use crate::media::MediaError;
use ::webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// The local address from which packets to the server are sent. Sends nothing.
pub(super) fn route_to(server: SocketAddr) -> Result<IpAddr, MediaError> {
    let any: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let probe = UdpSocket::bind((any, 0)).map_err(MediaError::NoRoute)?;
    probe.connect(server).map_err(MediaError::NoRoute)?;
    Ok(probe.local_addr().map_err(MediaError::NoRoute)?.ip())
}

/// A local address that is looked up whenever sockets are bound: at the start, and when ICE restarts.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteTo {
    server: SocketAddr,
    /// Used if there is no route at that moment.
    first: IpAddr,
}

impl RouteTo {
    pub(super) fn new(server: SocketAddr, first: IpAddr) -> Self {
        Self { server, first }
    }
}

impl ToSocketAddrs for RouteTo {
    type Iter = std::iter::Once<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(std::iter::once(SocketAddr::new(route_to(self.server).unwrap_or(self.first), 0)))
    }
}

/// The tokio runtime, except that UDP sockets are connected to the server: the kernel drops datagrams of others before
/// the crate keeps state for them.
#[derive(Debug)]
pub(super) struct ConnectedSockets {
    server: SocketAddr,
    inner: TokioRuntime,
}

impl ConnectedSockets {
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, inner: TokioRuntime }
    }
}

impl Runtime for ConnectedSockets {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        socket.connect(self.server)?;
        self.inner.wrap_udp_socket(socket)
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote_addr: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        self.inner.connect_tcp(remote_addr)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        self.inner.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.yield_now()
    }
}
