//! A TCP proxy that can cut the signaling connection.

use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A TCP proxy.
pub(crate) struct TcpProxy {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy)]
struct State {
    cuts: u32,
    /// Where connections are forwarded to; `None` refuses them.
    server: Option<SocketAddr>,
}

impl TcpProxy {
    /// A proxy to this server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State { cuts: 0, server: Some(server) });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, watched.clone()));
            }
        });
        Self { address, state }
    }

    /// Closes all connections without a Close frame.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Closes all connections, and forwards the next ones elsewhere, or refuses them.
    pub(crate) fn redirect(&self, server: Option<SocketAddr>) {
        self.state.send_modify(|state| *state = State { cuts: state.cuts + 1, server });
    }
}

async fn carry(mut client: TcpStream, mut watched: watch::Receiver<State>) {
    let State { cuts, server } = *watched.borrow();
    let Some(server) = server else { return };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = watched.wait_for(|state| state.cuts != cuts) => {}
    }
}
