//! The floor: [`crate::floor`] in its own process.

use super::{Peer, PeerError, Setup, ssrcs, start_own};
use crate::{
    child::ChildServer,
    floor::{Key, Listening, Order, TRANSPORT_CC},
};
use loadtest::{
    Usage,
    fanout::{Connecting, Fanout, PublishedStream, ReceivedStream, Route, Voices},
};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// The floor with runs of `SEGMENTS` packets.
#[derive(Debug)]
pub(crate) struct Floor<const SEGMENTS: usize> {
    child: ChildServer,
    server: SocketAddr,
    subscribers: u32,
}

impl<const SEGMENTS: usize> Peer for Floor<SEGMENTS> {
    async fn start(setup: &Setup) -> Result<Self, PeerError> {
        let child = start_own(setup, &["floor", "--segments", &SEGMENTS.to_string()])?;
        Ok(Self { child, server: (Ipv4Addr::LOCALHOST, 0).into(), subscribers: 0 })
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let key = Key::random()?;
        let Listening { address } = self.child.ask(&Order::Publisher(key.clone())).await?;
        self.server = address;
        let (ssrc, rtx) = ssrcs(0);
        let stream = PublishedStream { ssrc, rtx, payload_type: 96, rtx_payload_type: 97, transport_cc: None };
        let route = Route::Keyed { server: address, opener: key.opener()?, sealer: key.sealer()? };
        Ok(fanout.publish(route, stream).await?)
    }

    /// One stream with the packets of all who talk: the floor does not care whose they are.
    async fn publish_voices(&mut self, fanout: &mut Fanout, _: Voices) -> Result<Vec<Connecting>, PeerError> {
        Ok(vec![self.publish(fanout).await?])
    }

    async fn subscribe(&mut self, fanout: &mut Fanout, _: Option<u16>) -> Result<Connecting, PeerError> {
        let key = Key::random()?;
        self.subscribers += 1;
        let (ssrc, _) = ssrcs(self.subscribers);
        let route = Route::Keyed { server: self.server, opener: key.opener()?, sealer: key.sealer()? };
        let stream = ReceivedStream { ssrc, rtx: None, is_audio: false };
        let connecting = fanout.receive(route, &[stream], Some(TRANSPORT_CC)).await?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, connecting.address().port());
        let Listening { .. } = self.child.ask(&Order::Subscriber { address, ssrc, key }).await?;
        Ok(connecting)
    }

    fn usage(&self) -> Usage {
        self.child.usage()
    }

    async fn stop(self) {
        self.child.stop().await;
    }
}
