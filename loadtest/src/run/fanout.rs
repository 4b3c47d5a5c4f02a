//! One publisher, or some voices, to many receivers through any server that forwards RTP, by the bots and threads of a run.
//!
//! ```text
//!   caller ── the server's own signaling ──► a server
//!     │ Route, SSRCs                           ▲ │
//!     ▼                                        │ ▼
//!   Fanout:   thread of the publishers ────────┘ └───► thread of the receivers
//! ```
//! [`crate::run`] needs a tacet server and measures all of a call; this measures forwarding alone, so that servers with
//! other signaling can be compared. Frames are sealed with the keys of a session that no server knows: receivers
//! authenticate every packet and open none, and nothing leaves without SRTP.

mod streams;

pub use streams::{Camera, CameraStreams, PublishedStream, Rate, ReceivedStream, VoiceStream, Voices};

use crate::{
    bots::{
        engine::{Engines, Started},
        feed::{Feed, Sealing},
        frame,
        path::Path,
        pattern::{AudioPattern, Pattern},
        receiver::Receiver,
        running::{BotId, Bots},
        sender::{EncodingStreams, ExtensionIds, Sender, TrackStreams},
        streams::camera,
    },
    measure::{
        accounting::{ReceiverAccounting, Window},
        clock::Time,
        send_log::{Class, RoomLog, TrackLog},
    },
    report::LayersReport,
    run::options::Threads,
    scenario::Audio,
};
use e2ee_frames::{Action, Codec, Event, EventError, Seat, SessionError, StreamId};
use rtc_client::{
    Credentials, Identity, IdentityError, RemoteParameters, RtcClient,
    srtp::{Profile, SrtpOpener, SrtpSealer},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use streams::stream_ssrcs;
use tacet_native::{keys::SharedKeys, link::RoomLink};
use tacet_proto::{CallId, RoomId, bytes::Fixed};
use tokio::time::{sleep, timeout};

/// How long a media path may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How a bot reaches the server.
#[derive(Debug)]
pub enum Route {
    /// By ICE, DTLS and SRTP.
    Negotiated {
        /// The bot's credentials, which the caller signals to the server.
        local: Credentials,
        /// The server's half; the first candidate is used.
        server: RemoteParameters,
    },
    /// By SRTP alone, with keys that both ends were given.
    Keyed {
        /// Where the server listens.
        server: SocketAddr,
        /// Opens packets of the server.
        opener: Box<SrtpOpener>,
        /// Seals packets to the server.
        sealer: Box<SrtpSealer>,
    },
}

/// A bot whose media path is coming up.
#[derive(Debug)]
pub struct Connecting(Started);

/// A receiving bot.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverId(BotId);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum FanoutError {
    /// A thread or socket of the generator.
    #[error("load generator: {0}")]
    Io(#[from] io::Error),
    /// The bots' certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keys of the frames.
    #[error(transparent)]
    Keys(#[from] SessionError),
    /// The keys of the frames.
    #[error(transparent)]
    KeyEvent(#[from] EventError),
    /// The server named no address.
    #[error("the server named no media address")]
    NoCandidate,
    /// The certificate was another's, the handshake failed, or it took too long.
    #[error("the media path of a bot did not come up")]
    NotConnected,
    /// A thread of the generator has ended.
    #[error("a bot thread has ended")]
    EngineEnded,
}

/// Delivery of the packets that were sent in the measured time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanoutReport {
    /// Packets sent, times receivers; of voices and layers, those that are owed to receivers.
    pub expected: u64,
    /// Distinct packets that arrived.
    pub delivered: u64,
    /// Copies of those.
    pub duplicates: u64,
    /// One-way latency in microseconds: half of the packets took no longer.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// None took longer.
    pub max_us: u64,
    /// SRTP protection profile of the receivers.
    pub profile: Option<String>,
    /// Packets that the publisher should have sent and did not.
    pub unsent: u64,
    /// How late the publisher's bursts left, 99 of 100, in microseconds.
    pub lag_p99_us: u64,
    /// Packets that receivers' sockets dropped: the generator's fault.
    pub receive_drops: u64,
    /// CPU time of wall time of the busier thread of the generator.
    pub generator_busy: f64,
    /// What receivers got of a camera in several encodings.
    #[serde(default)]
    pub layers: Option<LayersReport>,
}

impl FanoutReport {
    /// Part of the packets that did not come.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.expected.saturating_sub(self.delivered) as f64 / self.expected.max(1) as f64
    }
}

/// The bots: first the publisher and the receivers are added, then it is measured.
#[derive(Debug)]
pub struct Fanout {
    rate: Rate,
    identity: Identity,
    keys: SharedKeys,
    window: Arc<Window>,
    room: Arc<RoomLog>,
    engines: Engines,
    receivers: u64,
    /// Microphones that were added, and when the first of them was.
    microphones: usize,
    origin: Time,
    has_camera: bool,
}

impl Fanout {
    /// Starts the two threads, which run on the cores that the calling thread may use.
    ///
    /// # Errors
    /// [`FanoutError`]: threads, a certificate or keys could not be had.
    pub fn start(rate: Rate) -> Result<Self, FanoutError> {
        Ok(Self {
            rate,
            identity: Identity::generate()?,
            keys: own_keys(Seat(1))?,
            window: Arc::new(Window::closed()),
            room: Arc::new(RoomLog::default()),
            engines: Engines::start(Threads { send: 1, receive: 1 }, false)?,
            receivers: 0,
            microphones: 0,
            origin: Time::now(),
            has_camera: false,
        })
    }

    /// SHA-256 of the certificate that all bots have.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.identity.fingerprint()
    }

    /// Adds the publisher.
    ///
    /// # Errors
    /// [`FanoutError::NoCandidate`], a socket's error, or [`FanoutError::EngineEnded`].
    pub async fn publish(&self, route: Route, stream: PublishedStream) -> Result<Connecting, FanoutError> {
        let streams = TrackStreams {
            mid: String::new(),
            payload_type: stream.payload_type,
            rtx_payload_type: Some(stream.rtx_payload_type),
            extensions: ExtensionIds { transport_cc: stream.transport_cc, ..ExtensionIds::default() },
            encodings: vec![EncodingStreams { ssrc: stream.ssrc, rtx: Some(stream.rtx), rid: None }],
        };
        let Rate { pps, burst, size } = self.rate;
        let log = Arc::new(TrackLog::new(Class::Video, Feed::remembered(f64::from(pps))));
        let feed = Feed::new(
            self.keys.clone(),
            Sealing { stream: StreamId::CAMERA, codec: Codec::Vp8 },
            Pattern::packets(pps, burst, frame::contents_for_payload(size)),
            (self.room.clone(), log),
            self.window.clone(),
        );
        self.add(route, vec![Sender::new(feed, streams)], None).await
    }

    /// Adds a camera in three encodings.
    ///
    /// # Errors
    /// As [`Fanout::publish`].
    pub async fn publish_camera(
        &mut self,
        route: Route,
        traffic: Camera,
        streams: CameraStreams,
    ) -> Result<Connecting, FanoutError> {
        self.has_camera = true;
        let feed = camera(&traffic.video(), 1, 0).feed(self.keys.clone(), self.room.clone(), self.window.clone());
        self.add(route, vec![Sender::new(feed, streams.into())], None).await
    }

    /// Adds the next microphone, a bot with separate keys.
    ///
    /// # Errors
    /// As [`Fanout::publish`].
    pub async fn speak(
        &mut self,
        route: Route,
        voices: Voices,
        stream: VoiceStream,
    ) -> Result<Connecting, FanoutError> {
        let streams = TrackStreams {
            mid: String::new(),
            payload_type: stream.payload_type,
            rtx_payload_type: None,
            extensions: ExtensionIds {
                transport_cc: stream.transport_cc,
                audio_level: stream.audio_level,
                ..ExtensionIds::default()
            },
            encodings: vec![EncodingStreams { ssrc: stream.ssrc, rtx: None, rid: None }],
        };
        let Voices { microphones, talkers, bytes } = voices;
        let audio = Audio { bytes, silent_bytes: bytes, talkers, ..Audio::default() };
        let own = self.microphones;
        self.microphones += 1;
        let feed = Feed::new(
            own_keys(Seat(1 + own as u16))?,
            Sealing { stream: StreamId::MICROPHONE, codec: Codec::Opus },
            Pattern::Audio(Box::new(AudioPattern::new(&audio, microphones, own, self.origin, 1, 0))),
            (self.room.clone(), Arc::new(TrackLog::new(Class::Audio, Feed::remembered(50.0)))),
            self.window.clone(),
        );
        self.add(route, vec![Sender::new(feed, streams)], None).await
    }

    /// Adds a receiver; `transport_cc` is the id of the transport-wide sequence number, which it answers.
    ///
    /// # Errors
    /// As [`Fanout::publish`].
    pub async fn receive(
        &mut self,
        route: Route,
        streams: &[ReceivedStream],
        transport_cc: Option<u8>,
    ) -> Result<Connecting, FanoutError> {
        let accounting = ReceiverAccounting::new(self.room.clone(), self.window.clone());
        // Any SSRC that the server does not use; each receiver has its own transport.
        let mut receiver = Receiver::new(0x7a63_6574, transport_cc, None, accounting, None);
        receiver.add_streams(&stream_ssrcs(streams));
        self.receivers += 1;
        self.add(route, Vec::new(), Some(Box::new(receiver))).await
    }

    /// Streams that a receiver will get and that were not known before.
    pub fn add_streams(&self, receiver: ReceiverId, streams: &[ReceivedStream]) {
        let (ReceiverId(id), streams) = (receiver, stream_ssrcs(streams));
        if let Some(engine) = self.engines.pick(true) {
            engine.run(move |bots| bots.receiver(id).into_iter().for_each(|receiver| receiver.add_streams(&streams)));
        }
    }

    /// Starts the publisher before the measured time: some servers announce a stream only when they have seen a
    /// packet of it.
    pub fn start_sending(&self) {
        self.engines.each(Bots::start_all);
    }

    async fn add(
        &self,
        route: Route,
        senders: Vec<Sender>,
        receiver: Option<Box<Receiver>>,
    ) -> Result<Connecting, FanoutError> {
        let (address, path) = match route {
            Route::Negotiated { local, server } => {
                let address = *server.candidates.first().ok_or(FanoutError::NoCandidate)?;
                let transport = RtcClient::with_credentials(Instant::now(), &self.identity, local, server);
                (address, Path::Negotiated(Box::new(transport)))
            }
            Route::Keyed { server, opener, sealer } => (server, Path::Keyed(Box::new((*opener, *sealer)))),
        };
        let engine = self.engines.pick(receiver.is_some()).ok_or(FanoutError::EngineEnded)?;
        let started = engine.add(address, path, senders, receiver).await?;
        started.map(Connecting).ok_or(FanoutError::EngineEnded)
    }

    /// Statistics for `time` after `warmup`, and ends the bots. `mark` is called at both ends of the measured time.
    ///
    /// # Errors
    /// When a thread of the generator has failed.
    pub async fn measure<T>(
        self,
        warmup: Duration,
        time: Duration,
        mut mark: impl FnMut() -> T,
    ) -> Result<(FanoutReport, [T; 2]), FanoutError> {
        self.start_sending();
        sleep(warmup).await;
        self.engines.start_measuring(&self.window, time);
        let at_start = mark();
        sleep(time).await;
        let at_end = mark();
        self.engines.stop_measuring().await;
        let outcome = self.engines.finish()?;
        let has_voices = self.microphones > 0;
        let seen = outcome.statistics.of(if has_voices { Class::Audio } else { Class::Video });
        let sent = self.room.sent(Class::Video);
        let layers = &outcome.statistics.layers;
        let measured = FanoutReport {
            expected: if has_voices || self.has_camera { seen.counts.expected } else { sent.packets * self.receivers },
            delivered: seen.counts.delivered,
            duplicates: seen.counts.duplicates,
            p50_us: seen.latencies.quantile(0.50),
            p99_us: seen.latencies.quantile(0.99),
            max_us: seen.latencies.max(),
            profile: outcome.profile.map(|profile| profile_name(profile).to_owned()),
            unsent: outcome.skipped + outcome.send_errors,
            lag_p99_us: outcome.lag.quantile(0.99),
            receive_drops: outcome.receive_drops,
            generator_busy: outcome.busy,
            layers: self.has_camera.then(|| LayersReport::of(&Camera::HEIGHTS, &sent, layers)),
        };
        Ok((measured, [at_start, at_end]))
    }
}

impl Connecting {
    /// The bot's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The number of the bot, if it is a receiver's.
    #[must_use]
    pub fn receiver(&self) -> ReceiverId {
        ReceiverId(self.0.id)
    }

    /// Waits until the media path is up.
    ///
    /// # Errors
    /// [`FanoutError::NotConnected`].
    pub async fn connected(self) -> Result<(), FanoutError> {
        match timeout(CONNECT_TIMEOUT, self.0.connected).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(FanoutError::NotConnected),
        }
    }
}

/// The names of RFC 5764 and RFC 7714.
fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::Aes256Gcm => "AEAD_AES_256_GCM",
        Profile::Aes128Gcm => "AEAD_AES_128_GCM",
        Profile::Aes128CmSha1 => "AES128_CM_HMAC_SHA1_80",
    }
}

/// Keys of a session that has one member, in this seat.
fn own_keys(seat: Seat) -> Result<SharedKeys, FanoutError> {
    let mut invite = [0; 32];
    getrandom::fill(&mut invite).map_err(|error| io::Error::other(error.to_string()))?;
    let link = RoomLink::new(false, "127.0.0.1:1", RoomId(Fixed([0; 16])), invite);
    let keys = SharedKeys::new(&link, CallId(Fixed([0; 16])), "publisher")?;
    keys.handle(Event::Joined { seat })?;
    for stream in [StreamId::CAMERA, StreamId::MICROPHONE] {
        keys.handle(Event::StreamOpened(stream))?;
        while let Some(action) = keys.poll() {
            if matches!(action, Action::StreamReady { .. }) {
                break;
            }
        }
    }
    Ok(keys)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    const RATE: Rate = Rate { pps: 400, burst: 4, size: 1_000 };

    fn keys(profile: Profile, byte: u8) -> (Box<SrtpOpener>, Box<SrtpSealer>) {
        let (key, salt) = (vec![byte; profile.key_len()], vec![byte; profile.salt_len()]);
        let opener = SrtpOpener::new(profile, &key, &salt).unwrap();
        (Box::new(opener), Box::new(SrtpSealer::new(profile, &key, &salt).unwrap()))
    }

    /// Keys with the same bytes on both ends.
    fn route(server: SocketAddr) -> Route {
        let (opener, sealer) = keys(Profile::Aes256Gcm, 7);
        Route::Keyed { server, opener, sealer }
    }

    #[test]
    fn own_keys_seal() {
        let (mut sealed, mut contents) = ([0; 200], Vec::new());
        frame::write_contents(&[], 100, &mut contents);
        let key = e2ee_frames::FrameKind::Key;
        let length = own_keys(Seat(1))
            .unwrap()
            .seal(StreamId::CAMERA, e2ee_frames::Codec::Vp8, key, &contents, &mut sealed)
            .unwrap();
        assert!(frame::header(Codec::Vp8, &sealed[..length]).is_some());
        assert!(!sealed.windows(16).any(frame::is_ours), "sealed");
    }

    #[tokio::test]
    async fn forwarded_packets_are_counted_per_receiver() {
        let forwarder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = forwarder.local_addr().unwrap();
        let mut fanout = Fanout::start(RATE).unwrap();
        let stream = PublishedStream { ssrc: 5, rtx: 6, payload_type: 96, rtx_payload_type: 97, transport_cc: None };
        let publisher = fanout.publish(route(server), stream).await.unwrap();
        let mut addresses = Vec::new();
        for _ in 0..3 {
            let streams = [ReceivedStream { ssrc: 5, rtx: None, is_audio: false }];
            addresses.push(fanout.receive(route(server), &streams, None).await.unwrap().address());
        }
        publisher.connected().await.unwrap();
        forwarder.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // Its receivers share a key, so a copy of the datagram is a copy of the packet; each fifth is not passed on.
        std::thread::spawn(move || {
            let mut buffer = [0; 2_000];
            let mut count = 0u32;
            let mut started = false;
            loop {
                match forwarder.recv_from(&mut buffer) {
                    Ok((length, from)) if !addresses.contains(&from) => {
                        started = true;
                        count += 1;
                        for to in addresses.iter().filter(|_| !count.is_multiple_of(5)) {
                            let _ = forwarder.send_to(&buffer[..length], to);
                        }
                    }
                    Ok(_) => {}
                    Err(_) if started => return,
                    Err(_) => {}
                }
            }
        });
        let time = Duration::from_millis(500);
        let (measured, marks) = fanout.measure(Duration::from_millis(100), time, || 1).await.unwrap();
        assert_eq!(marks, [1, 1]);
        assert!(measured.expected > 0 && measured.expected.is_multiple_of(3), "{measured:?}");
        assert!((0.15..0.25).contains(&measured.loss()), "{measured:?}");
        assert_eq!(measured.profile.as_deref(), Some("AEAD_AES_256_GCM"));
    }
}
