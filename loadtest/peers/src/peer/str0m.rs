//! The plain SFU on `str0m`: [`crate::str0m_sfu`] in its own process.

use super::{Peer, PeerError, Setup, credentials, ssrcs, start_own};
use crate::{
    child::ChildServer,
    str0m_sfu::{Half, Order, RTX, TRANSPORT_CC, VP8},
};
use loadtest::{
    Usage,
    fanout::{Connecting, Fanout, PublishedStream, ReceivedStream, Route},
};
use rtc_client::RemoteParameters;

/// The plain SFU.
#[derive(Debug)]
pub(crate) struct Str0m {
    child: ChildServer,
    subscribers: u32,
}

impl Str0m {
    async fn enter(&mut self, fanout: &Fanout, publishes: bool, ssrc: u32, rtx: u32) -> Result<Route, PeerError> {
        let local = credentials()?;
        let client = Half {
            ufrag: local.ufrag.clone(),
            pwd: local.pwd.clone(),
            fingerprint: fanout.fingerprint().to_vec(),
            address: None,
        };
        let server: Half = self.child.ask(&Order { publishes, ssrc, rtx, client }).await?;
        let fingerprint = server.fingerprint.try_into();
        let server = RemoteParameters {
            ufrag: server.ufrag,
            pwd: server.pwd,
            fingerprint: fingerprint.map_err(|_| PeerError::Answer("a fingerprint of another length".to_owned()))?,
            candidates: server.address.into_iter().collect(),
        };
        Ok(Route::Negotiated { local, server })
    }
}

impl Peer for Str0m {
    async fn start(setup: &Setup) -> Result<Self, PeerError> {
        Ok(Self { child: start_own(setup, &["str0m"])?, subscribers: 0 })
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let (ssrc, rtx) = ssrcs(0);
        let route = self.enter(fanout, true, ssrc, rtx).await?;
        let transport_cc = Some(TRANSPORT_CC);
        let stream = PublishedStream { ssrc, rtx, payload_type: VP8, rtx_payload_type: RTX, transport_cc };
        Ok(fanout.publish(route, stream).await?)
    }

    async fn subscribe(&mut self, fanout: &mut Fanout, _: Option<u16>) -> Result<Connecting, PeerError> {
        self.subscribers += 1;
        let (ssrc, rtx) = ssrcs(self.subscribers);
        let route = self.enter(fanout, false, ssrc, rtx).await?;
        Ok(fanout
            .receive(route, &[ReceivedStream { ssrc, rtx: Some(rtx), is_audio: false }], Some(TRANSPORT_CC))
            .await?)
    }

    fn usage(&self) -> Usage {
        self.child.usage()
    }

    async fn stop(self) {
        self.child.stop().await;
    }
}
