//! One speaker, silent microphones and some listeners around a room, on seeded paths.

use rtp_wire::{
    header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    rtcp::{self, ReportBlock, Rtcp},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Room, RoomId, SPEAKERS, SlotSource, Ssrc, TrackId,
    command::Publication,
    congestion::PathState,
    egress::{Egress, TransportKey},
    media::Codec,
};
use slotmap::{Key, KeyData};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Link};
use tacet_native::audio::{
    Channels, DelayBounds, Encoder, EncoderOptions, FRAME_SAMPLES, Level, Playout, SAMPLE_RATE, has_in_band_fec,
};

pub(crate) const BLOCK: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(5);
const TICKS_PER_BLOCK: u32 = 4;
/// IP, UDP, SRTP.
const OVERHEAD: usize = 20 + 8 + 16;
const SPEAKER: ParticipantId = ParticipantId(1);

/// What a listener without any loss hears of this, sent with these options.
pub(crate) fn decoded(options: &EncoderOptions, samples: &[f32]) -> Vec<f32> {
    let mut encoder = Encoder::new(options).unwrap();
    let mut decoder = opus::Decoder::new(SAMPLE_RATE, opus::Channels::Mono).unwrap();
    let mut block = vec![0.0; FRAME_SAMPLES];
    let decoded = samples.chunks_exact(FRAME_SAMPLES).flat_map(|samples| {
        decoder.decode_float(&encoder.encode(samples).unwrap().unwrap(), &mut block, false).unwrap();
        block.clone()
    });
    decoded.collect()
}

/// Who is in a call.
pub(crate) struct Options {
    pub(crate) encoder: EncoderOptions,
    /// Whether the speaker's encoder learns what receiver reports say.
    pub(crate) adapts: bool,
    /// Microphones of others, which send silence.
    pub(crate) others: u32,
    /// The paths to the listeners.
    pub(crate) listeners: Vec<Impairment>,
}

impl Default for Options {
    fn default() -> Self {
        Self { encoder: EncoderOptions::default(), adapts: true, others: 0, listeners: Vec::new() }
    }
}

/// Collects what leaves the room.
#[derive(Default)]
struct Outbox {
    paths: HashMap<TransportKey, PathState>,
    rtp: Vec<(ParticipantId, Vec<u8>)>,
    rtcp: Vec<(ParticipantId, Vec<u8>)>,
}

fn transport(participant: ParticipantId) -> TransportKey {
    KeyData::from_ffi(u64::from(participant.0) | 1 << 32).into()
}

fn participant(transport: TransportKey) -> ParticipantId {
    ParticipantId((transport.data().as_ffi() & u64::from(u32::MAX)) as u32)
}

impl Egress for Outbox {
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        Some(self.paths.entry(of).or_default())
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.rtp.push((participant(to), [header, payload].concat()));
    }

    fn rtcp(&mut self, to: TransportKey, packet: &[u8]) {
        self.rtcp.push((participant(to), packet.to_vec()));
    }
}

/// A microphone, as RTP.
struct Microphone {
    of: ParticipantId,
    sequence: u16,
}

impl Microphone {
    fn ssrc(&self) -> Ssrc {
        Ssrc(1_000 + self.of.0)
    }

    fn packet(&mut self, timestamp: u32, level: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = HeaderBuffer::default();
        let (marker, payload_type, seq) = (false, Codec::Opus.entry().pt, SeqNum(self.sequence));
        let fields = RtpHeader { marker, payload_type, seq, timestamp, ssrc: self.ssrc() };
        header.build(fields, HeaderExtensions { audio_level: Some(level), ..HeaderExtensions::default() });
        self.sequence = self.sequence.wrapping_add(1);
        [header.as_bytes(), payload].concat()
    }
}

/// A listener: the slots of the loudest, of which one is ever used.
pub(crate) struct Listener {
    id: ParticipantId,
    downlink: Link<Vec<u8>>,
    pub(crate) playout: Playout,
    pub(crate) audio: Vec<f32>,
    received: u32,
    reported: (u32, u32),
    first: Option<u16>,
    highest: u16,
    slot: Ssrc,
}

impl Listener {
    fn receive(&mut self, now: Instant, packet: &[u8]) {
        let packet = RtpPacket::parse(packet).unwrap();
        self.slot = packet.ssrc;
        self.received += 1;
        let number = packet.seq.0;
        self.first.get_or_insert(number);
        if number.wrapping_sub(self.highest).cast_signed() > 0 || self.received == 1 {
            self.highest = number;
        }
        self.playout.push(now, number, packet.timestamp, packet.payload);
    }

    /// A receiver report on its slot (RFC 3550 section 6.4.1).
    fn report(&mut self) -> Option<Vec<u8>> {
        let expected = u32::from(self.highest.wrapping_sub(self.first?)) + 1;
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, self.received));
        let expected = expected - expected_before;
        let lost = expected.saturating_sub(self.received - received_before);
        let block = ReportBlock {
            ssrc: self.slot,
            fraction_lost: u8::try_from((lost << 8).checked_div(expected).unwrap_or(0)).unwrap_or(u8::MAX),
            cumulative_lost: 0,
            highest_seq: self.highest.into(),
            jitter: 0,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        let mut packet = Vec::new();
        rtcp::write::receiver_report(&mut packet, Ssrc(1), &[block]);
        Some(packet)
    }
}

/// A call.
pub(crate) struct Call {
    room: Room,
    outbox: Outbox,
    start: Instant,
    encoder: Encoder,
    adapts: bool,
    microphones: Vec<Microphone>,
    pub(crate) listeners: Vec<Listener>,
    /// Packets of the speaker, and their sizes.
    pub(crate) sent: usize,
    pub(crate) sizes: BTreeSet<usize>,
    /// When the speaker first sent in-band FEC.
    pub(crate) first_fec: Option<Duration>,
}

impl Call {
    pub(crate) fn new(options: &Options) -> Self {
        let start = Instant::now();
        let (mut room, mut outbox) = (Room::new(RoomId(1)), Outbox::default());
        let microphones: Vec<Microphone> =
            (0..=options.others).map(|n| Microphone { of: ParticipantId(SPEAKER.0 + n), sequence: 1_000 }).collect();
        for microphone in &microphones {
            let (of, mid) = (microphone.of, Mid::new("sa").unwrap());
            room.add_participant(of, transport(of)).unwrap();
            let publication = Publication::single(Codec::Opus, mid, microphone.ssrc(), None);
            room.publish(start, of, TrackId(of.0), publication).unwrap();
        }
        let mut listeners = Vec::new();
        for (n, path) in options.listeners.iter().enumerate() {
            let id = ParticipantId(1_000 + n as u32);
            room.add_participant(id, transport(id)).unwrap();
            for position in 0..SPEAKERS {
                let mid = Mid::new(&position.to_string()).unwrap();
                room.add_slot(id, mid, Codec::Opus).unwrap();
                room.activate_slot(start, id, mid, &mut outbox).unwrap();
                room.set_slot(start, id, mid, Some(SlotSource::Speaker(position)), &mut outbox).unwrap();
            }
            listeners.push(Listener {
                id,
                downlink: Link::new(path.clone(), n as u64 + 1, start),
                playout: Playout::new(Channels::Mono, DelayBounds::default()).unwrap(),
                audio: Vec::new(),
                received: 0,
                reported: (0, 0),
                first: None,
                highest: 0,
                slot: Ssrc(0),
            });
        }
        Self {
            room,
            outbox,
            start,
            encoder: Encoder::new(&options.encoder).unwrap(),
            adapts: options.adapts,
            microphones,
            listeners,
            sent: 0,
            sizes: BTreeSet::new(),
            first_fec: None,
        }
    }

    /// The speaker says this, and the listeners hear it.
    pub(crate) fn play(&mut self, samples: &[f32]) {
        let blocks: Vec<&[f32]> = samples.chunks_exact(FRAME_SAMPLES).collect();
        for tick in 0..(blocks.len() as u32 + 25) * TICKS_PER_BLOCK {
            let now = self.start + TICK * tick;
            if tick.is_multiple_of(TICKS_PER_BLOCK) {
                let block = tick / TICKS_PER_BLOCK;
                self.send(now, block, blocks.get(block as usize).copied());
            }
            self.room.tick(now, &mut self.outbox);
            self.deliver(now);
            if tick % TICKS_PER_BLOCK == 1 {
                for listener in &mut self.listeners {
                    listener.audio.extend_from_slice(listener.playout.pull(now).samples);
                }
            }
            if tick.is_multiple_of(50 * TICKS_PER_BLOCK) {
                for listener in &mut self.listeners {
                    let Some(report) = listener.report() else { continue };
                    self.room.receive_rtcp(now, listener.id, &report, &mut self.outbox);
                }
            }
        }
    }

    /// A block of the speaker, and silence of the others.
    fn send(&mut self, now: Instant, block: u32, samples: Option<&[f32]>) {
        let timestamp = block * FRAME_SAMPLES as u32;
        let (speaker, others) = self.microphones.split_first_mut().unwrap();
        if let Some(samples) = samples
            && let Some(frame) = self.encoder.encode(samples).unwrap()
        {
            self.sent += 1;
            self.sizes.insert(frame.len());
            if has_in_band_fec(&frame) {
                self.first_fec.get_or_insert(now - self.start);
            }
            let packet = speaker.packet(timestamp, Level::measure(samples).dbov(), &frame);
            self.room.receive_rtp(now, speaker.of, &packet, &mut self.outbox);
        }
        for other in others {
            let packet = other.packet(timestamp, 100, &[0; 10]);
            self.room.receive_rtp(now, other.of, &packet, &mut self.outbox);
        }
    }

    fn deliver(&mut self, now: Instant) {
        for (to, packet) in self.outbox.rtp.drain(..) {
            let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == to) else { continue };
            listener.downlink.send(now, OVERHEAD + packet.len(), packet);
        }
        for listener in &mut self.listeners {
            let arrived: Vec<Vec<u8>> = listener.downlink.arrived(now).collect();
            for packet in arrived {
                listener.receive(now, &packet);
            }
        }
        for (to, packet) in self.outbox.rtcp.drain(..).filter(|(to, _)| self.adapts && *to == SPEAKER) {
            for part in rtcp::parse(&packet) {
                let Rtcp::ReceiverReport { blocks, .. } = part else { continue };
                blocks.for_each(|block| {
                    self.encoder.adapt_to_loss(f32::from(block.fraction_lost) / 256.0).unwrap();
                });
                assert_eq!(to, SPEAKER);
            }
        }
    }
}
