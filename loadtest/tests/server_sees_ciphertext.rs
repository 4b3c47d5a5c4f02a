//! The SFU never sees plaintext.
//!
//! Two devices with real sessions talk through a worker in memory. What stands behind SRTP at a receiver is what the
//! SFU had in its hands, as it forwards payloads as they are: each is recorded and must be exactly descriptor, constant
//! envelope, SFrame header, ciphertext and tag, open under the sender's key with no byte left over, and hold no run of
//! eight bytes of what was said. A build of the same test that sends unsealed frames fails every one of these checks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use e2ee_frames::{
    Action, Clock, Codec, Event, FrameKind, MonotonicTime, ParticipantId, Seat, Session, SessionConfig, StreamId,
    WallTime, codec, sframe::header,
};
use rtc_client::{ClientState, Identity, Received, RtcClient};
use sfu::{
    Command, Mid, RoomId, SPEAKERS, Ssrc, TrackId,
    command::Publication,
    limits::VIDEO_RATE,
    media::Codec as SfuCodec,
    transport::{Datagram, Tuple},
    worker::{Worker, WorkerConfig},
};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};
use tacet_native::video::{Assembler, split_vp8, vp8_payloads};
use tacet_proto::binary;

/// Address of the worker's socket.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3_478);
const TAG_BYTES: usize = 16;
/// Both clocks of a device, `now` milliseconds after the start.
fn clock_at(now: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(1_800_000_000_000 + now) }
}

/// Bytes without structure, different for each seed, so that no run of eight appears elsewhere by chance.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn device(name: &str, seed: u64) -> Session {
    let mut round = seed;
    let random = move |buffer: &mut [u8]| {
        round += 1;
        buffer.copy_from_slice(&noise(round << 8 | seed, buffer.len()));
    };
    Session::new(SessionConfig::new([1; 16], [2; 16], [3; 32], name), random, clock_at(0)).unwrap()
}

/// Alice and Bob, whose server passes everything on at once.
struct Keys {
    devices: [Session; 2],
    now: u64,
}

impl Keys {
    /// Both have joined, and Bob has Alice's key.
    fn exchanged() -> Self {
        let mut keys = Self { devices: [device("alice", 11), device("bob", 22)], now: 0 };
        let announces = keys.devices.each_mut().map(|device| match device.poll().unwrap() {
            Action::SendAnnounce { announce, display, .. } => (announce, display),
            other => panic!("{other:?}"),
        });
        for at in 0..2 {
            keys.event(at, Event::Joined { seat: Seat(at as u16) });
            let other = 1 - at;
            let (announce, display) = &announces[other];
            let entry = binary::AnnounceEntry {
                participant: tacet_proto::ParticipantId(other as u32),
                seat: tacet_proto::Seat(other as u16),
                announce,
                display,
            };
            keys.event(at, Event::Announces(&binary::announces(1, &[entry])[binary::PREFIX_BYTES..]));
        }
        keys.event(0, Event::StreamOpened(StreamId::CAMERA));
        keys.event(0, Event::StreamOpened(StreamId::MICROPHONE));
        let mut installed = HashSet::new();
        while !installed.contains(&(1, ParticipantId(0))) {
            keys.now += 50;
            assert!(keys.now < 10_000, "no key after ten seconds");
            for at in 0..2 {
                keys.event(at, Event::Tick);
                while let Some(action) = keys.devices[at].poll() {
                    match action {
                        Action::SendKeyBatch { number, body } => {
                            keys.deliver(&body);
                            keys.event(at, Event::KeyBatchAccepted { number });
                        }
                        Action::KeyInstalled { participant, .. } => drop(installed.insert((at, participant))),
                        Action::Problem { problem, .. } => panic!("{problem:?}"),
                        _ => {}
                    }
                }
            }
        }
        keys
    }

    fn event(&mut self, at: usize, event: Event<'_>) {
        self.devices[at].handle(clock_at(self.now), event).unwrap();
    }

    fn deliver(&mut self, body: &[u8]) {
        let message = binary::key_batch(1, body);
        let Ok((_, binary::ClientBinary::KeyBatch(batch))) = binary::parse_client(&message) else { panic!() };
        for entry in &batch.entries {
            let keys = binary::keys(1, [(&batch.header, entry)].into_iter());
            self.event(usize::from(entry.recipient().0), Event::Keys(&keys[binary::PREFIX_BYTES..]));
        }
    }

    fn seal(&mut self, stream: StreamId, codec: Codec, kind: FrameKind, frame: &[u8]) -> Vec<u8> {
        let mut out = vec![0; codec::max_sealed_bytes(codec, frame.len())];
        let length = self.devices[0].seal(clock_at(self.now), stream, codec, kind, frame, &mut out).unwrap();
        out.truncate(length);
        out
    }
}

/// A client of the worker, in memory.
struct Client {
    address: SocketAddr,
    transport: RtcClient,
    /// RTP packets as they stood behind SRTP.
    recorded: Vec<Vec<u8>>,
}

/// A worker with two clients; datagrams take no time.
struct Network {
    now: Instant,
    worker: Worker,
    clients: Vec<Client>,
}

impl Network {
    fn new() -> Self {
        let candidates = vec![SERVER];
        let config = WorkerConfig {
            identity: Identity::generate().unwrap(),
            candidates,
            max_participants: 10,
            max_video_rate: VIDEO_RATE,
            adapt_video: false,
            speakers: SPEAKERS,
        };
        let mut network = Self { now: Instant::now(), worker: Worker::new(config), clients: Vec::new() };
        let identity = Identity::generate().unwrap();
        for number in 1..=2 {
            let participant = sfu::ParticipantId(number);
            network.command(Command::AddParticipant { room: RoomId(1), participant });
            let Some(sfu::Event::Transport { local, .. }) = network.worker.poll_output().event() else { panic!() };
            let transport = RtcClient::new(network.now, &identity, &local).unwrap();
            network.command(Command::Connect { participant, remote: transport.local().into() });
            let address = ([198, 51, 100, number as u8], 5_000).into();
            network.clients.push(Client { address, transport, recorded: Vec::new() });
        }
        while network.clients.iter().any(|client| client.transport.state() != ClientState::Connected) {
            network.step();
        }
        network
    }

    fn command(&mut self, command: Command) {
        self.worker.command(self.now, command);
    }

    /// Carries everything that waits, then lets ten milliseconds pass.
    fn step(&mut self) {
        loop {
            let mut quiet = true;
            for client in &mut self.clients {
                client.transport.tick(self.now);
                while let Some(mut datagram) = client.transport.poll_transmit() {
                    self.worker.receive(self.now, Datagram::new(Tuple::udp(SERVER, client.address), &mut datagram));
                    quiet = false;
                }
            }
            self.worker.tick(self.now);
            let sent: Vec<_> = (self.worker.outbox().runs())
                .flat_map(|run| run.segments().map(|segment| (run.to().remote, segment.to_vec())).collect::<Vec<_>>())
                .collect();
            self.worker.outbox().clear();
            for (to, mut datagram) in sent {
                quiet = false;
                let Some(client) = self.clients.iter_mut().find(|client| client.address == to) else { continue };
                if let Ok(Received::Rtp(packet)) = client.transport.handle(self.now, &mut datagram) {
                    client.recorded.push(packet.to_vec());
                }
            }
            if quiet {
                break;
            }
        }
        self.now += Duration::from_millis(10);
    }

    fn send(&mut self, header: &[u8], payload: &[u8]) {
        let mut datagram = Vec::new();
        let client = &mut self.clients[0];
        client.transport.seal_rtp(header, payload, &mut datagram).unwrap();
        self.worker.receive(self.now, Datagram::new(Tuple::udp(SERVER, client.address), &mut datagram));
        self.step();
    }

    /// Alice's track of this codec, in a slot of Bob's; returns the slot's SSRC.
    fn forward(&mut self, codec: SfuCodec, ssrc: u32, track: u32, slot: &str) -> u32 {
        let (alice, bob) = (sfu::ParticipantId(1), sfu::ParticipantId(2));
        let (track, mid) = (TrackId(track), Mid::new(slot).unwrap());
        let publication = Publication::single(codec, mid, Ssrc(ssrc), None);
        self.command(Command::Publish { participant: alice, track, publication });
        self.command(Command::AddSlot { participant: bob, mid, codec });
        let slot_ssrc = std::iter::from_fn(|| self.worker.poll_output().event()).find_map(|event| match event {
            sfu::Event::SlotAdded { ssrc, .. } => Some(ssrc.0),
            sfu::Event::Refused { error, .. } => panic!("{error}"),
            _ => None,
        });
        self.command(Command::ActivateSlot { participant: bob, mid });
        self.command(Command::SetSlot { participant: bob, mid, source: Some(track.into()) });
        self.step();
        slot_ssrc.unwrap()
    }
}

fn rtp_header(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut header = vec![0x80, payload_type | u8::from(marker) << 7];
    header.extend_from_slice(&sequence.to_be_bytes());
    header.extend_from_slice(&timestamp.to_be_bytes());
    header.extend_from_slice(&ssrc.to_be_bytes());
    header
}

/// What a recorded packet says: SSRC, sequence number, marker, payload.
fn read_rtp(packet: &[u8]) -> (u32, u16, bool, &[u8]) {
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
    let mut start = 12 + 4 * usize::from(packet[0] & 0xf);
    if packet[0] & 0x10 != 0 {
        start += 4 + 4 * usize::from(u16::from_be_bytes(packet[start + 2..start + 4].try_into().unwrap()));
    }
    (ssrc, u16::from_be_bytes([packet[2], packet[3]]), packet[1] & 0x80 != 0, &packet[start..])
}

/// What is wrong with what the SFU had in its hands.
#[derive(Debug, PartialEq, Eq)]
enum Leak {
    /// Eight bytes in a row of what was said.
    Plaintext,
    /// Not an envelope of the codec.
    Envelope,
    /// No SFrame header, or an impossible length.
    Shape,
    /// Does not open, or opens to something else.
    Unauthentic,
    /// Bytes outside of header, ciphertext and tag.
    LeftOver,
}

/// The constant bytes in front of a ciphertext.
fn envelope(codec: Codec, kind: FrameKind) -> &'static [u8] {
    match (codec, kind) {
        (Codec::Vp8, FrameKind::Key) => &[0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0],
        (Codec::Vp8, FrameKind::Delta) => &[0x11],
        _ => &[],
    }
}

/// Whether bytes of a payload are bytes of what was said.
fn shows(payload: &[u8], said: &[u8]) -> bool {
    let runs: HashSet<&[u8]> = said.windows(8).collect();
    payload.windows(8).any(|run| runs.contains(run))
}

/// Checks a whole sealed frame, put together from payloads.
fn check(keys: &mut Keys, codec: Codec, frame: &[u8], said: &[u8]) -> Result<(), Leak> {
    let located = codec::locate(codec, frame).map_err(|_| Leak::Envelope)?;
    let prefix = envelope(codec, located.kind);
    if located.range != (prefix.len()..frame.len()) || !frame.starts_with(prefix) {
        return Err(Leak::Envelope);
    }
    let (_, header_length) = header::parse(&frame[located.range.clone()]).map_err(|_| Leak::Shape)?;
    if frame.len() != prefix.len() + header_length + said.len() + TAG_BYTES {
        return Err(Leak::Shape);
    }
    let mut buffer = frame.to_vec();
    let opened = keys.devices[1].open(clock_at(keys.now), codec, &mut buffer).map_err(|_| Leak::Unauthentic)?;
    if buffer[opened.range.clone()] != *said || opened.participant != ParticipantId(0) {
        return Err(Leak::Unauthentic);
    }
    let around = prefix.len() + header_length;
    if opened.range.start != around || opened.range.end + TAG_BYTES != frame.len() {
        return Err(Leak::LeftOver);
    }
    if shows(frame, said) { Err(Leak::Plaintext) } else { Ok(()) }
}

/// How Alice treats a frame before she sends it. The product has the first way only.
type Treat = fn(&mut Keys, StreamId, Codec, FrameKind, &[u8]) -> Vec<u8>;

fn seal(keys: &mut Keys, stream: StreamId, codec: Codec, kind: FrameKind, frame: &[u8]) -> Vec<u8> {
    keys.seal(stream, codec, kind, frame)
}

/// The envelope without the encryption: what a client without sealing would send.
fn do_not_seal(_: &mut Keys, _: StreamId, codec: Codec, kind: FrameKind, frame: &[u8]) -> Vec<u8> {
    [envelope(codec, kind), frame].concat()
}

/// Sends frames of both kinds through the SFU and checks all that was recorded: one verdict a frame, and whether any
/// payload showed eight bytes of any frame.
fn call(treat: Treat) -> (Vec<Result<(), Leak>>, bool) {
    let (mut keys, mut network) = (Keys::exchanged(), Network::new());
    let video = network.forward(SfuCodec::Vp8, 100, 1, "v0");
    let audio = network.forward(SfuCodec::Opus, 200, 2, "a0");
    let (mut said, mut sequence) = (Vec::new(), [40_000u16, 50_000]);
    for n in 0..12u32 {
        // Video frames of several packets and of one, key frames and others; audio frames of a few bytes.
        let kind = if n % 5 == 0 { FrameKind::Key } else { FrameKind::Delta };
        let video = noise(1_000 + u64::from(n), if n % 5 == 0 { 4_000 } else { 300 });
        let audio = noise(2_000 + u64::from(n), 80);
        let sealed = treat(&mut keys, StreamId::CAMERA, Codec::Vp8, kind, &video);
        for (marker, payload) in vp8_payloads(&sealed, n as u16, 1_100) {
            network.send(&rtp_header(96, marker, sequence[0], 3_000 * n, 100), &payload);
            sequence[0] += 1;
        }
        let sealed = treat(&mut keys, StreamId::MICROPHONE, Codec::Opus, FrameKind::Delta, &audio);
        network.send(&rtp_header(111, false, sequence[1], 960 * n, 200), &sealed);
        sequence[1] += 1;
        said.push((video, audio));
    }
    let recorded = std::mem::take(&mut network.clients[1].recorded);
    let shown = recorded.iter().any(|packet| {
        let (_, _, _, payload) = read_rtp(packet);
        said.iter().any(|(video, audio)| shows(payload, video) || shows(payload, audio))
    });
    let (mut videos, mut audios, mut assembler) = (said.iter(), said.iter(), Assembler::new(Codec::Vp8));
    let mut verdicts = Vec::new();
    for packet in &recorded {
        let (ssrc, packet_sequence, marker, payload) = read_rtp(packet);
        if ssrc == audio {
            verdicts.push(check(&mut keys, Codec::Opus, payload, &audios.next().unwrap().1));
        } else if ssrc == video {
            assert!(split_vp8(payload).is_some());
            if let Some(frame) = assembler.push(packet_sequence, marker, payload) {
                verdicts.push(check(&mut keys, Codec::Vp8, &frame.bytes, &videos.next().unwrap().0));
            }
        }
    }
    (verdicts, shown)
}

#[test]
fn payloads_are_sealed() {
    let (verdicts, shown) = call(seal);
    assert_eq!(verdicts, (0..24).map(|_| Ok(())).collect::<Vec<_>>());
    assert!(!shown);
}

#[test]
fn check_fails_without_sealing() {
    let (verdicts, shown) = call(do_not_seal);
    assert_eq!(verdicts.len(), 24, "the SFU forwards what it does not read");
    assert!(verdicts.iter().all(Result::is_err), "{verdicts:?}");
    assert!(shown);
}

#[test]
fn check_fails_with_one_extra_byte() {
    let mut keys = Keys::exchanged();
    let said = noise(5, 200);
    let sealed = keys.seal(StreamId::CAMERA, Codec::Vp8, FrameKind::Key, &said);
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(check(&mut keys, Codec::Vp8, &longer, &said), Err(Leak::Shape));
    let leaking = [&sealed[..], &said[50..58]].concat();
    assert!(shows(&leaking, &said) && !shows(&sealed, &said));
    assert_eq!(check(&mut keys, Codec::Vp8, &sealed, &said), Ok(()));
}
