//! A UDP relay that can block one client's media.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
};
use tokio::net::UdpSocket;

/// A UDP relay for one client at a time: the one that sent last.
pub(crate) struct UdpRelay {
    pub(crate) address: SocketAddr,
    open: Arc<AtomicBool>,
    media_port: Arc<AtomicU16>,
}

impl UdpRelay {
    /// A relay to the server's media port on loopback.
    pub(crate) async fn to(media_port: u16) -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0");
        let (near, mut far) = (bind().await.unwrap(), bind().await.unwrap());
        let address = near.local_addr().unwrap();
        let open = Arc::new(AtomicBool::new(true));
        let media_port = Arc::new(AtomicU16::new(media_port));
        let (passes, port) = (open.clone(), media_port.clone());
        tokio::spawn(async move {
            let (mut up, mut down) = ([0; 2_048], [0; 2_048]);
            let mut client = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        if client != Some(from) {
                            // The server must see another client as another address.
                            (client, far) = (Some(from), bind().await.unwrap());
                        }
                        if passes.load(Ordering::Relaxed) {
                            let _ = far.send_to(&up[..length], ("127.0.0.1", port.load(Ordering::Relaxed))).await;
                        }
                    }
                    Ok((length, _)) = far.recv_from(&mut down) => {
                        if let Some(client) = client && passes.load(Ordering::Relaxed) {
                            let _ = near.send_to(&down[..length], client).await;
                        }
                    }
                }
            }
        });
        Self { address, open, media_port }
    }

    /// Forwards to another port of the server.
    pub(crate) fn redirect(&self, media_port: u16) {
        self.media_port.store(media_port, Ordering::Relaxed);
    }

    /// Forwards everything, or nothing.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }
}
