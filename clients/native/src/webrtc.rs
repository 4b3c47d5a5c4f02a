//! A media path on the `webrtc` crate. It shares no code with the server, so every use is also an interoperability
//! test.
//!
//! Pitfalls of that crate, each found by trial:
//! * An ICE-lite offer is answered with `setup:passive` unless the DTLS role is set; then nothing ever connects.
//! * The default list of SRTP profiles contains SHA-1.
//! * Packets with an SSRC that the SDP does not declare are dropped.
//! * RTX is unwrapped *after* the NACK generator, which therefore requests packets that have arrived
//!   (`interceptor::RtxUnwrapper`).
//! * RTCP reaches the application only if an interceptor marks it (`interceptor::RtcpForwarder`).
//! * Anyone who reaches the port can make the crate keep state per forged SSRC. The socket is therefore connected to
//!   the server, so that the kernel drops other datagrams (`socket::ConnectedSockets`).
//! * An ICE restart keeps the sockets unless it is configured to replace them; then their addresses are looked up again, so that
//!   a machine that has changed its network finds the server over the new one (`socket::RouteTo`).
//! * Dropping a connection without closing it leaks a task, two descriptors and 420 kB.

mod interceptor;
mod media_engine;
mod socket;

use self::{
    interceptor::{RtcpForwarder, RtxUnwrapper},
    media_engine::{codec, codec_kind, media_engine},
    socket::{ConnectedSockets, RouteTo, route_to},
};
use crate::{
    media::{Endpoint, Engine, IncomingPacket, MediaError, MediaEvent, OutgoingPacket, SendStream},
    sdp::{
        self, Offer, kind_of,
        parameters::{LEVEL_URI, MID_URI, RemoteTransport, Tables},
        sections::{Sections, SendSection},
    },
};
use ::webrtc::{
    media_stream::{
        track_local::{TrackLocal, TrackLocalEvent, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
        RTCSessionDescription, SettingEngineBuilder, SrtpProtectionProfile,
    },
    rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit},
};
use rtc::{
    interceptor::{Registry, Slot as ChainSlot},
    media_stream::MediaStreamTrack,
    peer_connection::{
        configuration::interceptor_registry::{configure_nack, configure_rtcp_reports, configure_twcc},
        transport::RTCDtlsRole,
    },
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp,
    rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tacet_proto::{
    client::ClientTransport,
    media::Slot,
    server::{ServerTransport, Welcome},
};
use tokio::sync::mpsc;

/// Capacity of the event queue. If it is full, events are dropped: late media is useless.
const EVENT_QUEUE: usize = 4_096;
/// Silence of the server after which the path counts as disconnected. Its answers to keepalives arrive meanwhile.
const SILENCE: Duration = Duration::from_millis(2_500);
/// Interval of ICE keepalives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(500);

/// A peer connection to the server.
pub struct WebrtcEndpoint {
    connection: Closing,
    local: ClientTransport,
    remote: RemoteTransport,
    tables: Tables,
    sections: Sections,
    version: u64,
    streams: HashMap<String, Sending>,
    received: Received,
    event_sender: mpsc::Sender<MediaEvent>,
    events: mpsc::Receiver<MediaEvent>,
}

/// Makes [`WebrtcEndpoint`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Webrtc;

impl Engine for Webrtc {
    type Path = WebrtcEndpoint;

    async fn start(
        &self,
        welcome: &Welcome,
        remote: ServerTransport,
        streams: &[SendStream],
    ) -> Result<WebrtcEndpoint, MediaError> {
        WebrtcEndpoint::start(welcome, remote, streams).await
    }
}

/// Remote tracks by SSRC, for feedback to their senders.
type Received = Arc<Mutex<HashMap<u32, Arc<dyn TrackRemote>>>>;

struct Sending {
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    payload_type: u8,
    mid_extension: Option<u8>,
    level_extension: Option<u8>,
}

impl std::fmt::Debug for WebrtcEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebrtcEndpoint").field("sections", &self.sections.len()).finish_non_exhaustive()
    }
}

/// Closes the connection when it is dropped, which the crate does not do.
struct Closing(Option<Arc<dyn PeerConnection>>);

impl Closing {
    fn get(&self) -> Result<&Arc<dyn PeerConnection>, MediaError> {
        self.0.as_ref().ok_or(MediaError::Closed)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let (Some(connection), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                let _ = connection.close().await;
            });
        }
    }
}

fn engine(error: impl std::fmt::Display) -> MediaError {
    MediaError::Engine(error.to_string())
}

impl WebrtcEndpoint {
    /// Starts a connection that answers the server's offer. It connects once the server has received
    /// [`Endpoint::local`].
    ///
    /// # Errors
    /// [`MediaError`].
    pub async fn start(welcome: &Welcome, remote: ServerTransport, streams: &[SendStream]) -> Result<Self, MediaError> {
        let remote = RemoteTransport::try_from(&remote)?;
        let tables = Tables::new(&welcome.codecs, &welcome.hdrext)?;
        let server = server_address(&remote)?;
        let local_ip = route_to(server)?;
        let (event_sender, events) = mpsc::channel(EVENT_QUEUE);
        let received = Received::default();
        let handler = Handler { events: event_sender.clone(), received: received.clone() };
        let mut media_engine = media_engine(&tables)?;
        let registry = Registry::new();
        let registry = configure_nack(registry, &mut media_engine);
        let registry = configure_twcc(registry, &mut media_engine).map_err(engine)?;
        let registry = configure_rtcp_reports(registry)
            .with(ChainSlot::from(RtxUnwrapper::SLOT), RtxUnwrapper::default())
            .with(ChainSlot::from(RtcpForwarder::SLOT), RtcpForwarder::default());
        let settings = SettingEngineBuilder::new()
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ])
            .with_answering_dtls_role(RTCDtlsRole::Client)
            .with_include_loopback_candidate(local_ip.is_loopback())
            .with_discard_local_candidates_during_ice_restart(true)
            // A path never fails for good: the client restarts ICE until it works.
            .with_ice_timeouts(Some(SILENCE), Some(Duration::ZERO), Some(KEEPALIVE_INTERVAL))
            .build();
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media_engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(handler))
            .with_runtime(Arc::new(ConnectedSockets::new(server)))
            .with_udp_addrs(vec![RouteTo::new(server, local_ip)])
            .build()
            .await
            .map_err(engine)?;
        let mut endpoint = Self {
            connection: Closing(Some(Arc::new(connection))),
            local: ClientTransport {
                ice: tacet_proto::media::ClientIce { ufrag: String::new(), pwd: String::new() },
                dtls: tacet_proto::media::Dtls { fingerprint: tacet_proto::bytes::Fixed([0; 32]) },
            },
            remote,
            sections: Sections::new(&tables),
            tables,
            version: 0,
            streams: HashMap::new(),
            received,
            event_sender,
            events,
        };
        for stream in streams {
            endpoint.append_stream(stream).await?;
        }
        let answer = endpoint.negotiate().await?;
        let (ice, dtls) = sdp::local_parameters(&answer).map_err(engine)?;
        endpoint.local = ClientTransport { ice, dtls };
        Ok(endpoint)
    }

    /// Adds a stream, which is negotiated with the next offer.
    async fn append_stream(&mut self, stream: &SendStream) -> Result<(), MediaError> {
        let entry = self.tables.codecs().iter().find(|c| c.codec == stream.codec);
        let entry = entry.ok_or_else(|| engine("the server does not support this codec"))?;
        let kind = kind_of(stream.codec);
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(stream.ssrc),
                rtx: stream.rtx.map(|ssrc| RTCRtpRtxParameters { ssrc }),
                ..Default::default()
            },
            active: true,
            codec: codec(entry),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "tacet".to_owned(),
            stream.mid.clone(),
            stream.mid.clone(),
            codec_kind(kind),
            vec![coding],
        );
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        let local: Arc<dyn TrackLocal> = track.clone();
        self.connection.get()?.add_transceiver_from_track(local, Some(init)).await.map_err(engine)?;
        let extension =
            |uri: &str| self.tables.extensions().iter().find(|e| e.uri == uri && e.kinds.contains(&kind)).map(|e| e.id);
        let sending = Sending {
            track: track.clone(),
            ssrc: stream.ssrc,
            payload_type: entry.pt,
            mid_extension: extension(MID_URI),
            level_extension: extension(LEVEL_URI),
        };
        self.streams.insert(stream.mid.clone(), sending);
        let SendStream { mid, ssrc, rtx, .. } = stream.clone();
        self.sections.add_sending(SendSection { mid, kind, ssrc, rtx });
        tokio::spawn(watch_feedback(track, stream.mid.clone(), self.event_sender.clone()));
        Ok(())
    }

    /// Applies an offer of the current state and answers it. Returns the answer.
    async fn negotiate(&mut self) -> Result<String, MediaError> {
        self.version += 1;
        let offer =
            Offer { transport: &self.remote, tables: &self.tables, sections: &self.sections, version: self.version };
        let offer = RTCSessionDescription::offer(offer.to_sdp()).map_err(engine)?;
        let connection = self.connection.get()?;
        connection.set_remote_description(offer).await.map_err(engine)?;
        let answer = connection.create_answer(None).await.map_err(engine)?;
        let sdp = answer.sdp.clone();
        connection.set_local_description(answer).await.map_err(engine)?;
        Ok(sdp)
    }
}

impl Endpoint for WebrtcEndpoint {
    fn local(&self) -> &ClientTransport {
        &self.local
    }

    async fn restart_ice(&mut self, remote: ServerTransport) -> Result<(), MediaError> {
        let remote = RemoteTransport::try_from(&remote)?;
        if remote.dtls() != self.remote.dtls() {
            return Err(engine("the server has changed its certificate"));
        }
        // Without a route there is no socket to replace the current one.
        route_to(server_address(&self.remote)?)?;
        self.remote = self.remote.clone().with_credentials_of(remote);
        let answer = self.negotiate().await?;
        let (ice, dtls) = sdp::local_parameters(&answer).map_err(engine)?;
        self.local = ClientTransport { ice, dtls };
        Ok(())
    }

    async fn add_stream(&mut self, stream: &SendStream) -> Result<(), MediaError> {
        self.append_stream(stream).await?;
        self.negotiate().await.map(|_| ())
    }

    async fn add_slots(&mut self, slots: &[Slot]) -> Result<(), MediaError> {
        if slots.is_empty() {
            return Ok(());
        }
        for slot in slots {
            self.sections.add_slot(slot)?;
        }
        self.negotiate().await.map(|_| ())
    }

    async fn send(&mut self, mid: &str, packet: OutgoingPacket) -> Result<(), MediaError> {
        let stream = self.streams.get(mid).ok_or_else(|| MediaError::NoStream(mid.to_owned()))?;
        let mut header = rtp::header::Header {
            version: 2,
            marker: packet.marker,
            payload_type: stream.payload_type,
            sequence_number: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: stream.ssrc,
            ..Default::default()
        };
        if let Some(id) = stream.mid_extension {
            header.set_extension(id, bytes::Bytes::copy_from_slice(mid.as_bytes())).map_err(engine)?;
        }
        if let (Some(id), Some(level)) = (stream.level_extension, packet.level) {
            // The highest bit would tell the server whether the block contains speech; it stays zero.
            header.set_extension(id, bytes::Bytes::copy_from_slice(&[level.min(127)])).map_err(engine)?;
        }
        stream.track.write_rtp(rtp::Packet { header, payload: packet.payload }).await.map_err(engine)
    }

    async fn request_key_frame(&mut self, ssrc: u32) -> Result<(), MediaError> {
        let track = self.received.lock().unwrap_or_else(PoisonError::into_inner).get(&ssrc).cloned();
        let Some(track) = track else { return Ok(()) };
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        track.write_rtcp(vec![Box::new(request)]).await.map_err(engine)
    }

    async fn next(&mut self) -> Option<MediaEvent> {
        self.events.recv().await
    }

    async fn close(mut self) {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if let Some(connection) = self.connection.0.take() {
            let _ = connection.close().await;
        }
    }
}

/// Turns the crate's callbacks into events.
struct Handler {
    events: mpsc::Sender<MediaEvent>,
    received: Received,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => MediaEvent::Connected,
            RTCPeerConnectionState::Disconnected => MediaEvent::Disconnected,
            RTCPeerConnectionState::Failed => MediaEvent::Failed,
            _ => return,
        };
        let _ = self.events.send(event).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        for ssrc in track.ssrcs().await {
            self.received.lock().unwrap_or_else(PoisonError::into_inner).insert(ssrc, track.clone());
        }
        tokio::spawn(read_track(track, self.events.clone()));
    }
}

/// Passes on the packets of a received track until the connection closes.
async fn read_track(track: Arc<dyn TrackRemote>, events: mpsc::Sender<MediaEvent>) {
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        let packet = IncomingPacket {
            ssrc: packet.header.ssrc,
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            payload: packet.payload,
            arrived: Instant::now(),
        };
        // A full queue means that the application is behind: late media is useless.
        if let Err(mpsc::error::TrySendError::Closed(_)) = events.try_send(MediaEvent::Packet(packet)) {
            return;
        }
    }
}

/// Passes on key frame requests and receiver reports for a sent track until the connection closes.
async fn watch_feedback(track: Arc<TrackLocalStaticRTP>, mid: String, events: mpsc::Sender<MediaEvent>) {
    while let Some(TrackLocalEvent::OnRtcpPacket(packets)) = track.poll().await {
        if packets.iter().any(interceptor::is_key_frame_request) {
            let _ = events.try_send(MediaEvent::KeyFrameRequested { mid: mid.clone() });
        }
        for report in packets.iter().flat_map(interceptor::reports) {
            let _ = events.try_send(report);
        }
    }
}

/// The first address of the server.
fn server_address(remote: &RemoteTransport) -> Result<SocketAddr, MediaError> {
    remote.candidates().first().copied().ok_or(MediaError::NoCandidate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use tacet_proto::{
        CallId, ParticipantId, SessionId,
        bytes::{Base64, Fixed},
        media::Codec,
        resume::{Continues, Tokens},
        server::Limits,
    };

    fn welcome() -> Welcome {
        let (codecs, hdrext) = sdp::tests::tables();
        Welcome {
            participant: ParticipantId(1),
            call: CallId(Fixed([1; 16])),
            session: SessionId(Fixed([2; 16])),
            continues: Continues::Nothing,
            role: tacet_proto::Role::Speaker,
            capabilities: tacet_proto::Role::Speaker.capabilities(),
            tokens: Tokens { session: Base64(vec![]), reload: Base64(vec![]) },
            time: 0,
            limits: Limits { rate: 30, bytes: 16_384 },
            codecs,
            hdrext,
            features: vec![],
        }
    }

    fn streams() -> Vec<SendStream> {
        vec![
            SendStream { mid: "sa".to_owned(), codec: Codec::Opus, ssrc: 1, rtx: None },
            SendStream { mid: "sv".to_owned(), codec: Codec::Vp8, ssrc: 2, rtx: Some(3) },
        ]
    }

    #[tokio::test]
    async fn endpoint_answers_generated_offers() {
        let silent_server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = sdp::tests::transport(silent_server.local_addr().unwrap().port());
        let mut endpoint = WebrtcEndpoint::start(&welcome(), remote, &streams()).await.unwrap();
        assert!(endpoint.local().ice.pwd.len() >= 22, "RFC 8445 asks for 128 bits");
        assert_ne!(endpoint.local().dtls.fingerprint.0, [0; 32]);
        endpoint.add_slots(&sdp::tests::slots()).await.unwrap();
        let connection = endpoint.connection.get().unwrap();
        let answer = connection.local_description().await.unwrap().sdp;
        assert_eq!(answer.matches("m=").count(), 4);
        assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
        assert_eq!(answer.matches("a=sendonly").count(), 2, "{answer}");
        assert!(answer.contains("a=setup:active") && !answer.contains("a=setup:passive"));
        assert!(!answer.lines().any(|line| line.starts_with("m=") && line.contains(" 0 ")), "a section was refused");
        let payload = bytes::Bytes::new();
        let packet = OutgoingPacket { sequence: 1, timestamp: 1, marker: true, level: None, payload };
        assert!(matches!(endpoint.send("no", packet).await, Err(MediaError::NoStream(_))));
        endpoint.close().await;
    }

    #[tokio::test]
    async fn stream_can_be_added_after_slots() {
        let silent_server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = sdp::tests::transport(silent_server.local_addr().unwrap().port());
        let [microphone, camera] = [streams().remove(0), streams().remove(1)];
        let mut endpoint = WebrtcEndpoint::start(&welcome(), remote, &[microphone]).await.unwrap();
        endpoint.add_slots(&sdp::tests::slots()).await.unwrap();
        endpoint.add_stream(&camera).await.unwrap();
        let answer = endpoint.connection.get().unwrap().local_description().await.unwrap().sdp;
        assert!(answer.contains("a=group:BUNDLE sa a0 v0 sv"), "{answer}");
        assert_eq!(answer.matches("a=sendonly").count(), 2, "{answer}");
        endpoint.close().await;
    }

    #[tokio::test]
    async fn missing_candidate_is_an_error() {
        let mut remote = sdp::tests::transport(1);
        remote.ice.candidates.clear();
        let refused = WebrtcEndpoint::start(&welcome(), remote, &streams()).await;
        assert!(matches!(refused, Err(MediaError::NoCandidate)));
    }

    #[tokio::test]
    async fn unchecked_values_of_the_server_do_not_reach_the_engine() {
        let silent_server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let remote = sdp::tests::transport(silent_server.local_addr().unwrap().port());
        let mut capture_time = welcome();
        capture_time.hdrext[0].uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time".to_owned();
        let refused = WebrtcEndpoint::start(&capture_time, remote.clone(), &streams()).await;
        assert!(matches!(refused, Err(MediaError::Server(_))));
        let mut injected = remote.clone();
        injected.ice.pwd.push_str("\r\na=injected:1");
        let refused = WebrtcEndpoint::start(&welcome(), injected.clone(), &streams()).await;
        assert!(matches!(refused, Err(MediaError::Server(_))));
        let mut endpoint = WebrtcEndpoint::start(&welcome(), remote, &streams()).await.unwrap();
        assert!(matches!(endpoint.restart_ice(injected).await, Err(MediaError::Server(_))));
        let mut slots = sdp::tests::slots();
        slots[1].mid.push_str("\r\na=injected:1");
        assert!(matches!(endpoint.add_slots(&slots).await, Err(MediaError::Server(_))));
        endpoint.close().await;
    }
}
