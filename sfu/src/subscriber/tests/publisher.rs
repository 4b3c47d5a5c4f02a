//! A publisher whose encodings have layers, and the path from it: packets are lost, late and reordered.

use super::random::Random;
use crate::{
    keys::EncodingKey,
    publisher::{
        numbering::{FramePlace, Numbering, Numbers},
        packet_store::PacketMeta,
        sender_clock::SenderClock,
    },
    subscriber::{rewriter::Packet, segment::bit, select::contained_in},
    wire::{
        dependency_descriptor::{
            Frame as Encoded, FrameSequence, MAX_TARGETS, ScalabilityMode, Structure as Templates,
        },
        rtcp::SenderInfo,
        vp8::{PictureId, Vp8Descriptor},
    },
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Milliseconds from one temporal unit to the next.
pub(super) const UNIT: u64 = 33;
/// Units after which nothing comes any more.
pub(super) const LATEST: u64 = 4;
/// Numbers of an encoding that are remembered.
const WINDOW: usize = 256;

/// What a publisher sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    /// One encoding of a mode, or three.
    Mode(ScalabilityMode, usize),
    /// Encodings without Dependency Descriptor.
    Plain(usize),
}

impl Structure {
    /// Each as often as there is something to see of it.
    pub(super) const ALL: [Self; 9] = [
        Self::Mode(ScalabilityMode::L1T1, 1),
        Self::Mode(ScalabilityMode::L1T3, 1),
        Self::Mode(ScalabilityMode::L3T3, 1),
        Self::Mode(ScalabilityMode::L3T3, 1),
        Self::Mode(ScalabilityMode::L3T3_KEY, 1),
        Self::Mode(ScalabilityMode::L3T3_KEY, 1),
        Self::Mode(ScalabilityMode::L1T3, 3),
        Self::Plain(1),
        Self::Plain(3),
    ];
}

/// What becomes of packets on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Perfect,
    /// Packets overtake each other, or are lost and come later by retransmission.
    Late,
    /// Some packets never come.
    Lossy,
}

/// A frame as it was encoded.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) unit: u64,
    pub(super) is_key: bool,
    /// Frames that it refers to.
    pub(super) refers_to: Vec<usize>,
    pub(super) targets: u16,
    /// A packet of it was lost or late.
    pub(super) is_damaged: bool,
}

/// A packet that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) meta: PacketMeta,
    pub(super) frame: usize,
    pub(super) arrived: bool,
}

/// One encoding of the publisher.
#[derive(Debug)]
pub(super) struct Encoding {
    pub(super) key: EncodingKey,
    frames: FrameSequence,
    mode: Option<ScalabilityMode>,
    numbers: Numbers,
    /// Of the structure that was received last, and of the one sent last.
    pub(super) structure: Option<Templates>,
    sent_structure: Option<Templates>,
    pub(super) clock: Option<SenderClock>,
    /// Timestamp at time 0.
    timestamp: u32,
    next_frame: u16,
    /// Difference between the numbers of the frame sequence and those sent.
    number_shift: u16,
    /// By frame number.
    by_number: BTreeMap<u16, usize>,
    next_index: u64,
    pub(super) packets: BTreeMap<u64, Sent>,
}

/// A publisher of one track.
#[derive(Debug)]
pub(super) struct Publisher {
    path: Path,
    pub(super) encodings: Vec<Encoding>,
    pub(super) frames: Vec<Frame>,
    /// Arrivals: unit, encoding, index.
    in_flight: Vec<(u64, usize, u64)>,
}

impl Publisher {
    pub(super) fn new(
        random: &mut Random,
        structure: Structure,
        path: Path,
        start: Instant,
        keys: &[EncodingKey],
    ) -> Self {
        let (mode, count) = match structure {
            Structure::Mode(mode, count) => (Some(mode), count),
            Structure::Plain(count) => (None, count),
        };
        let reports = !random.once_in(4);
        let encodings = keys.iter().take(count).map(|&key| {
            let timestamp = random.below(1 << 32) as u32;
            // 1,000 seconds on the wall clock are the start.
            let info = SenderInfo { ntp: 1_000 << 32, timestamp, packets: 0, octets: 0 };
            let frames = FrameSequence::new(mode.unwrap_or(ScalabilityMode::L1T1), &[]);
            let mut encoding = Encoding {
                key,
                frames,
                mode,
                numbers: Numbers::new(WINDOW),
                structure: None,
                sent_structure: None,
                clock: reports.then(|| SenderClock::new(start, info)),
                timestamp,
                next_frame: 0,
                number_shift: random.below(1 << 16) as u16,
                by_number: BTreeMap::new(),
                next_index: 1_000 + random.below(100_000),
                packets: BTreeMap::new(),
            };
            encoding.next_frame = encoding.number_shift;
            encoding.sent_structure = encoding.mode.map(|_| encoding.frames.structure().clone());
            encoding
        });
        let encodings = encodings.collect();
        Self { path, encodings, frames: Vec::new(), in_flight: Vec::new() }
    }

    /// Whether sender reports have come.
    pub(super) fn reports(&self) -> bool {
        self.encodings.iter().all(|encoding| encoding.clock.is_some())
    }

    /// Goes on in another mode, with the next unit, which has to be a key one.
    pub(super) fn change_mode(&mut self, mode: ScalabilityMode) {
        for encoding in &mut self.encodings {
            encoding.mode = Some(mode);
            encoding.frames = FrameSequence::new(mode, &[]);
            encoding.number_shift = encoding.next_frame;
            encoding.sent_structure = encoding.mode.map(|_| encoding.frames.structure().clone());
        }
    }

    /// Sends the next temporal unit in every encoding.
    pub(super) fn send_unit(&mut self, random: &mut Random, unit: u64, is_key: bool) {
        for number in 0..self.encodings.len() {
            let encoded = self.encodings[number].frames.next_unit(is_key);
            let top = encoded.len() - 1;
            for (layer, frame) in encoded.iter().enumerate() {
                self.send_frame(random, (unit, is_key), number, frame, layer == top);
            }
        }
    }

    /// What arrives until the unit: encoding and index, batch order.
    pub(super) fn arrivals(&mut self, unit: u64) -> Vec<(usize, u64)> {
        let (mut arrived, later): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(|&(at, ..)| at <= unit);
        self.in_flight = later;
        arrived.sort_unstable_by_key(|&(_, encoding, index)| (encoding, index));
        arrived.into_iter().map(|(_, encoding, index)| (encoding, index)).collect()
    }

    /// Whether a packet is never to arrive.
    pub(super) fn is_lost(&self, encoding: usize, index: u64) -> bool {
        let in_flight = self.in_flight.iter().any(|&(_, of, other)| (of, other) == (encoding, index));
        !in_flight && self.encodings[encoding].packets.get(&index).is_some_and(|packet| !packet.arrived)
    }

    fn send_frame(
        &mut self,
        random: &mut Random,
        (unit, is_key): (u64, bool),
        number: usize,
        frame: &Encoded,
        is_top: bool,
    ) {
        let encoding = &mut self.encodings[number];
        let frame_number = frame.number.wrapping_add(encoding.number_shift);
        encoding.next_frame = frame_number.wrapping_add(1);
        let refers_to = frame
            .differences
            .iter()
            .filter_map(|difference| encoding.by_number.get(&frame_number.wrapping_sub(*difference)).copied());
        let id = self.frames.len();
        let mut encoded = Frame {
            unit,
            is_key: frame.structure,
            refers_to: refers_to.collect(),
            targets: if encoding.mode.is_some() { frame.targets() } else { 1 },
            is_damaged: false,
        };
        encoding.by_number.insert(frame_number, id);
        let packets = 1 + random.below(2) + u64::from(is_key) * random.below(2);
        for n in 0..packets {
            let (starts, ends) = (n == 0, n + 1 == packets);
            let meta = encoding.meta(unit, frame, frame_number, (starts, ends), is_top);
            let index = encoding.next_index;
            encoding.next_index += 1;
            encoding.packets.insert(index, Sent { meta, frame: id, arrived: false });
            let delay = match self.path {
                Path::Perfect => Some(0),
                _ if !random.once_in(12) => Some(0),
                Path::Lossy if random.once_in(3) => None,
                _ => Some(random.below(LATEST)),
            };
            encoded.is_damaged |= delay != Some(0);
            self.in_flight.extend(delay.map(|delay| (unit + delay, number, index)));
        }
        self.frames.push(encoded);
    }
}

impl Encoding {
    /// Receives a packet: it gets its number.
    pub(super) fn receive(&mut self, index: u64) {
        let Some(packet) = self.packets.get_mut(&index) else { return };
        let meta = &mut packet.meta;
        let place = self.mode.is_some().then(|| FramePlace {
            number: meta.frame_number.unwrap_or(0),
            targets: meta.targets,
            spatial: 0,
            starts: meta.starts_frame,
            ends: meta.ends_frame,
        });
        let numbering = self.numbers.number(index, meta.targets, place);
        meta.numbering = numbering.unwrap();
        packet.arrived = true;
        if meta.starts_key_frame {
            self.structure.clone_from(&self.sent_structure);
        }
    }

    /// Whether one target contains another.
    pub(super) fn contains(&self, target: u8, other: u8) -> bool {
        contained_in(target, self.structure.as_ref()) & bit(other) != 0
    }

    pub(super) fn numbering(&self, index: u64) -> Option<Numbering> {
        self.numbers.of(index)
    }

    pub(super) fn newest(&self) -> u64 {
        self.packets.iter().rev().find(|(_, packet)| packet.arrived).map_or(0, |(index, _)| *index)
    }

    /// The packet as slots see it.
    pub(super) fn packet<'a>(&'a self, index: u64, meta: &'a PacketMeta) -> Packet<'a> {
        Packet {
            encoding: self.key,
            index,
            meta,
            structure: self.structure.as_ref(),
            clock: self.clock.as_ref(),
            lead: Duration::ZERO,
        }
    }

    /// Number of targets.
    pub(super) fn targets(&self) -> u8 {
        self.mode.map_or(1, |mode| mode.spatial() * mode.temporal())
    }

    /// The timestamp of a unit.
    pub(super) fn timestamp(&self, unit: u64) -> u32 {
        self.timestamp.wrapping_add((unit * UNIT * 90) as u32)
    }

    fn meta(
        &self,
        unit: u64,
        frame: &Encoded,
        frame_number: u16,
        (starts, ends): (bool, bool),
        is_top: bool,
    ) -> PacketMeta {
        let timestamp = self.timestamp(unit);
        let marker = ends && is_top;
        let starts_key_frame = frame.structure && starts;
        let Some(mode) = self.mode else {
            let vp8 = Vp8Descriptor {
                start_of_partition: starts,
                partition: 0,
                picture_id: Some(PictureId { value: frame_number & 0x7fff, long: true }),
                tl0_pic_idx: Some((frame_number & 0xff) as u8),
                length: 5,
            };
            return PacketMeta {
                marker,
                timestamp,
                vp8: Some(vp8),
                starts_key_frame,
                targets: 1,
                last_of: u16::from(marker),
                starts_frame: true,
                ends_frame: marker,
                ..PacketMeta::default()
            };
        };
        let structure = self.frames.structure();
        let mut chain = [0; MAX_TARGETS];
        let mut last_of = 0;
        for target in 0..mode.spatial() * mode.temporal() {
            let of = structure.chain_of(target).and_then(|chain| frame.chain_differences.get(usize::from(chain)));
            chain[usize::from(target)] = of.copied().unwrap_or(0);
            let is_last = ends && structure.spatial_of(target) == frame.spatial;
            last_of |= if is_last || marker { bit(target) & frame.targets() } else { 0 };
        }
        PacketMeta {
            marker,
            timestamp,
            frame_number: Some(frame_number),
            starts_key_frame,
            targets: frame.targets(),
            last_of,
            switch: frame.switch(),
            starts_frame: starts,
            ends_frame: ends,
            chain,
            ..PacketMeta::default()
        }
    }
}
