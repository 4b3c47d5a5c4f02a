//! A TCP proxy that can cut the signaling connection, or hold up what it carries.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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
    /// Whether nothing is carried. It arrives later, as from a process that stood still.
    frozen: bool,
}

impl TcpProxy {
    /// A proxy to this server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State { cuts: 0, server: Some(server), frozen: false });
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
        self.state.send_modify(|state| *state = State { cuts: state.cuts + 1, server, ..*state });
    }

    /// Holds up everything, or lets it go on. Connections are accepted meanwhile.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.state.send_modify(|state| state.frozen = frozen);
    }
}

async fn carry(client: TcpStream, mut watched: watch::Receiver<State>) {
    let State { cuts, server, .. } = *watched.borrow();
    let Some(server) = server else { return };
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = pass(from_client, to_server, watched.clone());
    let down = pass(from_server, to_client, watched.clone());
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        _ = watched.wait_for(|state| state.cuts != cuts) => {}
    }
}

/// Passes on what is read, while nothing is held up.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut watched: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        let length = from.read(&mut buffer).await?;
        let _ = watched.wait_for(|state| !state.frozen).await;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}
