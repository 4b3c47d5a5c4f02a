//! A worker that has twice as much to send as it can, or more, in virtual time in which every packet takes the time that sending
//! it costs: audio goes on, video gets smaller, and pauses if even that is too much.

#![allow(clippy::unwrap_used)]

use rtc_client::Received;
use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Command, Event, Mid, ParticipantId, Rid, Ssrc, TrackId,
    command::{EncodingParams, Publication, Wish},
    event::LayerReason,
    media::Codec,
    metrics::{Counters, Gauge},
    transport::Outbox,
    worker::Worker,
};
use sfu_testing::{Network, datagram_from, opus_header, subscribe, worker};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    ops::ControlFlow,
    time::{Duration, Instant},
};

const CAMERAS: u32 = 5;
const LISTENERS: u32 = 80;
/// For these, the microphone and the lowest layers of all cameras are more than the worker can send.
const MANY_LISTENERS: u32 = 400;
/// Listeners that remain when there is no overload any more.
const REMAINING: u32 = 8;
/// The first, one in the middle and the last: what they receive is looked at.
const OBSERVED: [u32; 3] = [100, 140, 179];
/// What sending a packet costs: with it, 40,000 packets a second are possible.
const COST: Duration = Duration::from_micros(25);
/// As in the driver: how long it forwards before it reads the socket, and datagrams that it reads at once.
const TIME_SLICE: Duration = Duration::from_millis(2);
const READ: usize = 32;
/// Datagrams for which the socket has space: clients are checked all at once.
const SOCKET: usize = 600;

const IMAGE: Duration = Duration::from_millis(33);
const OPUS: Duration = Duration::from_millis(20);
const RIDS: [&str; 3] = ["q", "h", "f"];
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
/// Packets of an image, and bytes of each: 72, 192 and 576 kbit/s.
const PACKETS: [(usize, usize); 3] = [(1, 300), (2, 400), (6, 400)];

/// A camera in three encodings.
struct Camera {
    encodings: Vec<FrameSequence>,
    seqs: [u16; 3],
    timestamp: u32,
    active: Vec<bool>,
    key_frame_requested: bool,
}

/// What a listener gets of a video: lines and temporal layer, and why.
type Shown = (Option<u16>, Option<u8>, LayerReason);

/// A worker, its clients, and a driver whose packets take time.
struct Hall {
    network: Network<Worker>,
    listeners: u32,
    /// Arrivals that the driver has not read.
    socket: VecDeque<(SocketAddr, Vec<u8>)>,
    dropped: usize,
    cameras: Vec<Camera>,
    next_image: Instant,
    next_opus: Instant,
    opus_seq: u16,
    /// Of the camera with one layer.
    plain_seq: u16,
    /// Opus packets by sequence number: when each was sent.
    spoken: Vec<Instant>,
    /// For each observed listener RTP timestamps of Opus packets, and when each was sent to it.
    heard: HashMap<SocketAddr, Vec<(u32, Instant)>>,
    /// SSRC of the audio slots.
    audio: Vec<Ssrc>,
    /// What was last reported of each video slot.
    layers: HashMap<(ParticipantId, Mid), Shown>,
}

/// The track of a camera with one layer.
const PLAIN: TrackId = TrackId(2);

fn mid(camera: u32) -> Mid {
    Mid::new(&format!("v{camera}")).unwrap()
}

impl Hall {
    fn new(listeners: u32) -> Self {
        let mut network = Network::new(worker(1_000));
        (1..=CAMERAS).chain(100..100 + listeners).for_each(|participant| network.join(1, participant));
        network.connect();
        let microphone = Publication::single(Codec::Opus, Mid::new("sa").unwrap(), Ssrc(1), None);
        network.command(Command::Publish { participant: ParticipantId(1), track: TrackId(1), publication: microphone });
        for camera in 1..=CAMERAS {
            let encodings = RIDS.into_iter().zip(SIZES).map(|(rid, (_, lines))| EncodingParams {
                height: Some(lines),
                ..EncodingParams::named(Rid::new(rid).unwrap())
            });
            let mid = Mid::new("sv").unwrap();
            let publication = Publication { codec: Codec::Vp9, mid, encodings: encodings.collect(), screen: false };
            let (participant, track) = (ParticipantId(camera), TrackId(10 + camera));
            network.command(Command::Publish { participant, track, publication });
        }
        let plain = Publication::single(Codec::Vp8, Mid::new("sp").unwrap(), Ssrc(2), None);
        network.command(Command::Publish { participant: ParticipantId(1), track: PLAIN, publication: plain });
        network.events.clear();
        for listener in (100..100 + listeners).map(ParticipantId) {
            let commands = subscribe(listener, Mid::new("a0").unwrap(), Codec::Opus, TrackId(1));
            commands.into_iter().for_each(|command| network.command(command));
            for camera in 1..=CAMERAS {
                let commands = subscribe(listener, mid(camera), Codec::Vp9, TrackId(10 + camera));
                commands.into_iter().for_each(|command| network.command(command));
            }
            let commands = subscribe(listener, Mid::new("p0").unwrap(), Codec::Vp8, PLAIN);
            commands.into_iter().for_each(|command| network.command(command));
            let wish = |camera| Wish { mid: mid(camera), height: 720, pinned: false, paused: false };
            let wishes = (1..=CAMERAS).map(wish).collect();
            network.command(Command::SetWishes { participant: listener, wishes });
        }
        let is_audio = |event: &Event| match event {
            Event::SlotAdded { mid, ssrc, .. } if *mid == Mid::new("a0").unwrap() => Some(*ssrc),
            _ => None,
        };
        let audio = network.events.iter().filter_map(is_audio).collect();
        let camera = |n: u32| Camera {
            encodings: SIZES.map(|size| FrameSequence::new(ScalabilityMode::L1T3, &[size])).into(),
            seqs: [0; 3],
            timestamp: n << 16,
            active: vec![true; 3],
            key_frame_requested: true,
        };
        let start = network.now;
        Self {
            listeners,
            socket: VecDeque::new(),
            dropped: 0,
            cameras: (1..=CAMERAS).map(camera).collect(),
            next_image: start,
            next_opus: start,
            opus_seq: 0,
            plain_seq: 0,
            spoken: Vec::new(),
            heard: OBSERVED.iter().map(|listener| (network.client(*listener).address, Vec::new())).collect(),
            audio,
            layers: HashMap::new(),
            network,
        }
    }

    fn arrive(&mut self, (from, datagram): (SocketAddr, Vec<u8>)) {
        if self.socket.len() < SOCKET {
            self.socket.push_back((from, datagram));
        } else {
            self.dropped += 1;
        }
    }

    /// Puts into the socket what was sent until now.
    fn send_due(&mut self) {
        let now = self.network.now;
        while self.next_opus <= now {
            let header = opus_header(1, self.opus_seq);
            let sealed = self.network.seal(1, &header, &[7; 80]);
            self.spoken.push(self.next_opus);
            self.opus_seq += 1;
            self.next_opus += OPUS;
            self.arrive(sealed);
        }
        while self.next_image <= now {
            self.next_image += IMAGE;
            let plain = self.encode_plain();
            self.arrive(plain);
            for n in 0..self.cameras.len() {
                for (header, length) in self.cameras[n].encode(n as u32) {
                    let sealed = self.network.seal(1 + n as u32, header.as_bytes(), &vec![7; length]);
                    self.arrive(sealed);
                }
            }
        }
        let mut sent = Vec::new();
        for client in &mut self.network.clients {
            sent.extend(client.transmits(now).into_iter().map(|datagram| (client.address, datagram)));
        }
        sent.into_iter().for_each(|datagram| self.arrive(datagram));
    }

    /// An image of the camera with one layer: each is a key frame in one packet.
    fn encode_plain(&mut self) -> (SocketAddr, Vec<u8>) {
        self.plain_seq += 1;
        let fields = RtpHeader {
            marker: true,
            payload_type: Codec::Vp8.entry().pt,
            seq: SeqNum(self.plain_seq),
            timestamp: 2_970 * u32::from(self.plain_seq),
            ssrc: Ssrc(2),
        };
        let mut header = HeaderBuffer::default();
        header.build(fields, HeaderExtensions { mid: Some(b"sp"), ..HeaderExtensions::default() });
        let mut image = [7; 300];
        image[..3].copy_from_slice(&[0x10, 0x10, 0]);
        self.network.seal(1, header.as_bytes(), &image)
    }

    /// One round of the driver.
    fn step(&mut self) {
        self.send_due();
        for _ in 0..8 {
            for (from, mut bytes) in (0..READ).map_while(|_| self.socket.pop_front()) {
                self.network.worker.receive(self.network.now, datagram_from(from, &mut bytes));
            }
            if !self.network.worker.is_interrupted() {
                self.forward();
            }
            if self.socket.is_empty() {
                break;
            }
        }
        if self.network.worker.is_interrupted() {
            self.forward();
        }
        self.network.worker.tick(self.network.now);
        self.flush();
        while let Some(event) = self.network.worker.poll_output().event() {
            match event {
                Event::Layer { participant, mid, height, temporal, reason } => {
                    self.layers.insert((participant, mid), (height, temporal, reason));
                }
                Event::LayersWanted { participant, active, .. } => {
                    let camera = &mut self.cameras[participant.0 as usize - 1];
                    camera.key_frame_requested |= camera.active != active;
                    camera.active = active;
                }
                _ => {}
            }
        }
        let next = self.next_opus.min(self.next_image);
        if !self.network.worker.is_interrupted() && self.network.now < next {
            self.network.worker.on_poll(next - self.network.now);
            self.network.now = next;
        }
    }

    fn forward(&mut self) {
        let began = self.network.now;
        let (mut now, mut sent) = (began, Vec::new());
        self.network.worker.forward(began, |outbox: &Outbox, _: &mut Counters| {
            now += COST * u32::try_from(outbox.packets()).unwrap();
            collect(outbox, now, &mut sent);
            if now - began < TIME_SLICE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.network.now = now;
        self.deliver(sent);
        self.flush();
    }

    fn flush(&mut self) {
        let outbox = self.network.worker.outbox();
        let packets = u32::try_from(outbox.packets()).unwrap();
        self.network.now += COST * packets;
        let mut sent = Vec::new();
        collect(outbox, self.network.now, &mut sent);
        outbox.clear();
        self.deliver(sent);
    }

    /// Delivers what publishers and observed listeners receive, and what keeps the others connected.
    fn deliver(&mut self, sent: Vec<(Instant, SocketAddr, Vec<u8>)>) {
        for (at, to, mut datagram) in sent {
            let client = self.network.clients.iter_mut().find(|client| client.address == to).unwrap();
            match client.transport.handle(at, &mut datagram) {
                Ok(Received::Rtp(packet)) => {
                    let packet = RtpPacket::parse(packet).unwrap();
                    if let Some(heard) = self.heard.get_mut(&to).filter(|_| self.audio.contains(&packet.ssrc)) {
                        heard.push((packet.timestamp, at));
                    }
                }
                Ok(Received::Rtcp(packet)) => {
                    let asks = rtcp::parse(packet).any(|part| matches!(part, Rtcp::Pli { .. }));
                    if let Some(camera) = self.cameras.get_mut(client.participant.0 as usize - 1) {
                        camera.key_frame_requested |= asks;
                    }
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.network.now + time;
        while self.network.now < end {
            self.step();
        }
    }

    /// Of how many slots of the first listeners the video has all lines and the highest frame rate.
    fn at_full_size(&self, listeners: u32) -> usize {
        let is_full = |slot: &(ParticipantId, Mid), shown: &Shown| {
            slot.0.0 < 100 + listeners && matches!(shown, (Some(720), Some(2), _))
        };
        self.layers.iter().filter(|(slot, shown)| is_full(slot, shown)).count()
    }

    /// Of how many slots of the first listeners nothing is sent of the video, because the worker is overloaded.
    fn paused(&self, listeners: u32) -> usize {
        let of_these = self.layers.iter().filter(|(slot, _)| slot.0.0 < 100 + listeners);
        of_these.filter(|(_, shown)| **shown == (None, None, LayerReason::Server)).count()
    }

    /// All audio has arrived, and in time; nothing was dropped before it was read.
    fn assert_audio_goes_first(&self) {
        assert_eq!(self.dropped, 0, "the socket is read in time");
        for heard in self.heard.values() {
            let (sent, arrived) = (self.spoken.len(), heard.len());
            assert!(arrived + 2 >= sent, "{arrived} of {sent} Opus packets");
            let spoken = |timestamp: u32| self.spoken[(timestamp.wrapping_sub(heard[0].0) / 960) as usize];
            let mut delays: Vec<_> = heard.iter().map(|(timestamp, at)| *at - spoken(*timestamp)).collect();
            delays.sort();
            let p99 = delays[arrived * 99 / 100];
            assert!(p99 < Duration::from_millis(20), "{p99:?}");
        }
    }

    /// All but the first listeners leave, and these get everything.
    fn assert_recovers(&mut self, within: Duration) {
        for participant in (100 + REMAINING..100 + self.listeners).map(ParticipantId) {
            self.network.command(Command::RemoveParticipant { participant });
        }
        self.run(within);
        let gauges = [Gauge::Overloaded, Gauge::VideoLimit, Gauge::PausedVideos].map(|gauge| self.gauge(gauge));
        assert_eq!(gauges, [0; 3]);
        let videos = (self.at_full_size(REMAINING), self.paused(REMAINING));
        assert_eq!((videos, self.dropped), (((CAMERAS * REMAINING) as usize, 0), 0), "{:?}", self.layers);
    }

    fn gauge(&self, gauge: Gauge) -> u64 {
        self.network.worker.gauges().get(gauge)
    }
}

/// Datagrams to those whose packets are looked at, and all that are no media.
fn collect(outbox: &Outbox, now: Instant, sent: &mut Vec<(Instant, SocketAddr, Vec<u8>)>) {
    for run in outbox.runs() {
        let to = run.to().remote;
        let participant = u32::from(to.port()) - 10_000;
        let is_observed = OBSERVED.contains(&participant) || participant <= CAMERAS;
        let wanted = run.segments().filter(|bytes| is_observed || bytes.first().is_some_and(|first| *first < 128));
        sent.extend(wanted.map(|bytes| (now, to, bytes.to_vec())));
    }
}

impl Camera {
    /// Headers of the packets of the next image, and lengths of their payloads.
    fn encode(&mut self, number: u32) -> Vec<(HeaderBuffer, usize)> {
        let key = std::mem::take(&mut self.key_frame_requested);
        self.timestamp = self.timestamp.wrapping_add(2_970);
        let mut packets = Vec::new();
        for encoding in 0..3 {
            let frame = self.encodings[encoding].next_unit(key)[0];
            if !self.active[encoding] {
                continue;
            }
            let (count, length) = PACKETS[encoding];
            for n in 0..count {
                let part = dependency_descriptor::Frame {
                    starts: n == 0,
                    ends: n + 1 == count,
                    structure: frame.structure && n == 0,
                    ..frame
                };
                let mut descriptor = Vec::new();
                dependency_descriptor::write(&mut descriptor, &part, self.encodings[encoding].structure()).unwrap();
                self.seqs[encoding] += 1;
                let fields = RtpHeader {
                    marker: n + 1 == count,
                    payload_type: Codec::Vp9.entry().pt,
                    seq: SeqNum(self.seqs[encoding]),
                    timestamp: self.timestamp,
                    ssrc: Ssrc(1_000 + 3 * number + encoding as u32),
                };
                let extensions = HeaderExtensions {
                    mid: Some(b"sv"),
                    rid: Some(RIDS[encoding].as_bytes()),
                    dependency: Some(&descriptor),
                    ..HeaderExtensions::default()
                };
                let mut header = HeaderBuffer::default();
                header.build(fields, extensions);
                packets.push((header, length));
            }
        }
        packets
    }
}

/// What a listener wishes is 980 packets a second, so 78,000 for all.
#[test]
fn overloaded_worker_sends_all_audio_and_less_video() {
    let mut hall = Hall::new(LISTENERS);
    hall.run(Duration::from_secs(10));
    assert!(hall.gauge(Gauge::VideoLimit) > 0);
    hall.assert_audio_goes_first();
    let (full, all) = (hall.at_full_size(LISTENERS), hall.layers.len());
    assert!(full < all / 2, "{full} of {all} videos at full size");
    hall.assert_recovers(Duration::from_secs(15));
}

/// Audio is 20,000 packets a second of the 40,000 that are possible, and the lowest layers are 27,000.
#[test]
fn video_pauses_where_the_lowest_layers_are_too_many() {
    let mut hall = Hall::new(MANY_LISTENERS);
    hall.run(Duration::from_secs(10));
    hall.assert_audio_goes_first();
    let (paused, videos) = (hall.paused(MANY_LISTENERS), ((CAMERAS + 1) * MANY_LISTENERS) as usize);
    assert!((videos / 10..videos).contains(&paused), "{paused} of {videos} videos paused");
    assert!(hall.gauge(Gauge::PausedVideos).abs_diff(paused as u64) <= u64::from(MANY_LISTENERS));
    assert!(hall.layers.values().all(|shown| shown.2 != LayerReason::Network), "no network is to blame");
    hall.assert_recovers(Duration::from_secs(15));
}
