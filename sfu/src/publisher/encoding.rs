//! An encoding: one RTP stream of a track and its RTX stream, from received packet to packet store.

use super::{
    layer_meter::LayerMeter,
    layers::{Layers, Unread},
    nack_generator::{ArrivedOn, NackGenerator, StreamState},
    numbering::{ALL_TARGETS, Numbers},
    packet_store::{Insertion, PacketMeta, PacketStore, StoreLimits, StoredPacket},
    receiver_statistics::ReceiverStatistics,
    sender_clock::SenderClock,
    sequence_compaction::SequenceCompaction,
    subscribers::Subscribers,
};
use crate::{
    allowance::Allowance,
    command::EncodingParams,
    congestion::rtt::Rtt,
    ids::{Rid, Ssrc},
    keys::TrackKey,
    limits::{
        AUDIO_STORE, REPAIR_BEFORE_KEY_FRAME, REPAIR_WAIT, SENDER_REPORTS, VIDEO_KEPT, VIDEO_KEPT_LONGER, VIDEO_STORE,
    },
    media::{Codec, Kind},
    units::DataSize,
    wire::{
        dependency_descriptor::Descriptor,
        extension::KnownExtensions,
        key_frame::starts_key_frame,
        rtcp::write as rtcp_write,
        rtp::RtpPacket,
        seq::{SeqNum, Unwrapper},
        vp8::Vp8Descriptor,
    },
};
use std::time::{Duration, Instant};

/// Video packets are retransmitted for as long as a receiver waits.
const VIDEO: StoreLimits =
    StoreLimits { window: 1_024, size: VIDEO_STORE, age: REPAIR_WAIT, little: (VIDEO_KEPT_LONGER, VIDEO_KEPT) };
/// Audio packets are not retransmitted: the store detects duplicates, and keeps them until the last receiver of a large room has
/// them, also on a machine that leaves the worker without a core for a while.
const AUDIO: StoreLimits = StoreLimits::new(128, AUDIO_STORE, Duration::from_millis(500));
/// Longest Dependency Descriptor that fits into a header extension, in bytes.
const MAX_DESCRIPTOR: usize = 255;

/// The stream of an encoding that a packet arrived on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Media,
    Rtx,
}

/// Why a packet is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The payload type was not negotiated for the stream, or a retransmission is too short to be one.
    Malformed,
    /// Contains only padding.
    Padding,
    /// Received before.
    Duplicate,
    /// Below the window of the store, or a retransmission that receivers no longer wait for.
    TooLate,
    /// Stored, and forwarded once the structure has come that its descriptor refers to.
    Held,
}

/// The newest key frame. Soon after it has begun, receivers no longer wait for packets before it.
#[derive(Clone, Copy, Debug)]
struct KeyFrame {
    /// Extended sequence number and index of its first packet.
    extended: u64,
    index: u64,
    at: Instant,
    timestamp: u32,
    /// Payload that has arrived of it.
    size: DataSize,
}

impl KeyFrame {
    fn has_replaced_earlier(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= REPAIR_BEFORE_KEY_FRAME
    }
}

/// State of one encoding.
#[derive(Debug)]
pub(crate) struct Encoding {
    pub(crate) track: TrackKey,
    /// Position among the encodings of the track, from the lowest quality to the highest.
    pub(crate) position: usize,
    pub(crate) codec: Codec,
    pub(crate) rid: Option<Rid>,
    /// SSRC of the media stream; none before it is known.
    pub(crate) ssrc: Option<Ssrc>,
    pub(crate) rtx: Option<Ssrc>,
    /// The SSRC of the RTX stream was learned from a packet.
    rtx_learned: bool,
    pub(crate) store: PacketStore,
    pub(crate) numbers: Numbers,
    pub(crate) layers: Layers,
    pub(crate) meter: LayerMeter,
    /// Lines that the publisher announced.
    pub(crate) height: Option<u16>,
    /// Bitrate that the publisher announced.
    pub(crate) max_kbps: Option<u32>,
    /// Slots that get packets of it, or will once they can switch to it.
    pub(crate) subscribers: Subscribers,
    pub(crate) statistics: ReceiverStatistics,
    pub(crate) clock: Option<SenderClock>,
    /// Sender reports that are forwarded.
    pub(crate) sender_reports: Allowance,
    sequence: Unwrapper,
    compaction: SequenceCompaction,
    nack_generator: NackGenerator,
    key_frame: Option<KeyFrame>,
    /// Held packets that can be forwarded.
    released: Vec<u64>,
}

impl Encoding {
    /// An encoding of which no packet has arrived.
    pub(crate) fn new(track: TrackKey, position: usize, codec: Codec, params: &EncodingParams) -> Self {
        let limits = match codec.entry().kind {
            Kind::Video => VIDEO,
            Kind::Audio => AUDIO,
        };
        Self {
            track,
            position,
            codec,
            rid: params.rid,
            ssrc: params.ssrc,
            rtx: params.rtx,
            rtx_learned: false,
            store: PacketStore::new(limits),
            numbers: Numbers::new(limits.window),
            layers: Layers::default(),
            meter: LayerMeter::default(),
            height: params.height,
            max_kbps: params.max_kbps,
            subscribers: Subscribers::default(),
            statistics: ReceiverStatistics::default(),
            clock: None,
            sender_reports: Allowance::new(SENDER_REPORTS),
            sequence: Unwrapper::default(),
            compaction: SequenceCompaction::default(),
            nack_generator: NackGenerator::default(),
            key_frame: None,
            released: Vec::new(),
        }
    }

    /// Whether key frames and lost packets are requested from the publisher.
    pub(crate) fn is_video(&self) -> bool {
        self.codec.entry().kind == Kind::Video
    }

    /// Learns the SSRC of a packet of this encoding. Returns the stream, and the SSRC that it replaces.
    ///
    /// Each SSRC is learned at most once: a signaled one was not used before, and is not valid afterwards.
    pub(crate) fn learn(&mut self, packet: &RtpPacket<'_>) -> Option<(Stream, Option<Ssrc>)> {
        let codec = self.codec.entry();
        if packet.payload_type == codec.pt && !self.has_begun() {
            Some((Stream::Media, self.ssrc.replace(packet.ssrc)))
        } else if Some(packet.payload_type) == codec.rtx_pt && !self.rtx_learned {
            self.rtx_learned = true;
            Some((Stream::Rtx, self.rtx.replace(packet.ssrc)))
        } else {
            None
        }
    }

    /// The SSRC of one of its streams; none before it is known.
    pub(crate) const fn ssrc_mut(&mut self, stream: Stream) -> &mut Option<Ssrc> {
        match stream {
            Stream::Media => &mut self.ssrc,
            Stream::Rtx => &mut self.rtx,
        }
    }

    /// Stores a packet. Returns its index, which is new.
    ///
    /// # Errors
    /// [`Dropped`] if it is not to be forwarded.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        stream: Stream,
        packet: &RtpPacket<'_>,
        extensions: &KnownExtensions<'_>,
        rtt: &mut Rtt,
    ) -> Result<u64, Dropped> {
        let codec = self.codec.entry();
        let (seq, payload) = match stream {
            Stream::Media if packet.payload_type == codec.pt => (packet.seq, packet.payload),
            Stream::Rtx if Some(packet.payload_type) == codec.rtx_pt => {
                // RFC 4588 section 4: the original sequence number, then the original payload. Without either it is a
                // probe; before the first media packet there is nothing that it could repeat.
                let Some((&original, payload)) = packet.payload.split_first_chunk().filter(|_| self.has_begun()) else {
                    return Err(Dropped::Padding);
                };
                (SeqNum(u16::from_be_bytes(original)), payload)
            }
            _ => return Err(Dropped::Malformed),
        };

        let extended = self.sequence.peek(seq);
        if stream == Stream::Media {
            self.statistics.on_packet(now, extended, packet.timestamp, codec.clock);
        }
        let newest = self.sequence.highest().is_none_or(|highest| extended > highest);
        if stream == Stream::Rtx && !newest && !self.is_awaited(now, extended) {
            let stored = self.compaction.index_of(extended).is_some_and(|index| self.store.was_stored(index));
            if stored {
                return Err(Dropped::Duplicate);
            }
            if self.key_frame.is_none_or(|newest| extended > newest.extended) {
                // The answer to a NACK for a packet that was given up: the round trip is longer than was assumed.
                rtt.first_sample(REPAIR_WAIT);
            }
            return Err(Dropped::TooLate);
        }
        if self.is_video()
            && let Some(sample) = self.nack_generator.on_packet(now, extended, self.arrived_on(stream))
        {
            rtt.sample(sample);
        }
        if payload.is_empty() && newest {
            self.compaction.drop_number(extended);
            self.sequence.accept(extended);
            return Err(Dropped::Padding);
        }
        // Late padding has left a gap in the forwarded stream, and fills it like any other packet.
        self.sequence.accept(extended);
        let index = self.compaction.index_of(extended).ok_or(Dropped::TooLate)?;
        let mut meta = self.meta(packet, extensions, payload);
        let place = self.layers.read(index, extensions.dependency, &mut meta);
        let counted = if meta.unread.is_some() { ALL_TARGETS } else { meta.targets };
        meta.numbering = self.numbers.number(index, counted, place).ok_or(Dropped::TooLate)?;
        let descriptor = extensions.dependency.filter(|value| value.len() <= MAX_DESCRIPTOR).unwrap_or_default();
        match self.store.insert(now, index, &meta, descriptor, payload) {
            Insertion::New => {
                if extensions.dependency.and_then(Descriptor::parse).is_some_and(|descriptor| descriptor.structure) {
                    self.read_again(index);
                }
                if meta.starts_key_frame && self.key_frame.is_none_or(|newest| newest.index < index) {
                    let (timestamp, size) = (meta.timestamp, DataSize::ZERO);
                    self.key_frame = Some(KeyFrame { extended, index, at: now, timestamp, size });
                }
                let key_frame = self.key_frame.as_mut().filter(|newest| newest.timestamp == meta.timestamp);
                let (spatial, is_key) = (place.map_or(0, |place| place.spatial), key_frame.is_some());
                self.meter.on_packet(meta.targets, spatial, payload.len(), is_key);
                if let Some(newest) = key_frame {
                    newest.size += DataSize::from_len(payload.len());
                }
                if meta.unread == Some(Unread::OtherStructure) { Err(Dropped::Held) } else { Ok(index) }
            }
            Insertion::Duplicate => Err(Dropped::Duplicate),
            Insertion::TooLate => Err(Dropped::TooLate),
        }
    }

    /// Payload of the newest key frame.
    pub(crate) fn key_frame_size(&self) -> DataSize {
        self.key_frame.map_or(DataSize::ZERO, |newest| newest.size)
    }

    /// Takes the indices of held packets that can be forwarded now.
    pub(crate) fn pop_released(&mut self) -> Option<u64> {
        self.released.pop()
    }

    /// Reads the descriptors of packets that came before the structure of the packet at `index`.
    fn read_again(&mut self, index: u64) {
        for index in index + 1..=self.store.highest() {
            let Some(packet) = self.store.get_mut(index) else { continue };
            let Some(unread) = packet.meta.unread else { continue };
            let mut meta = packet.meta;
            self.layers.read(index, packet.dependency(), &mut meta);
            if meta.unread.is_none() && unread == Unread::OtherStructure {
                self.released.push(index);
            }
            packet.meta = meta;
        }
    }

    /// A stored packet, unless its receiver no longer waits for it at `arrival`, when a retransmission reaches it. `paced`: it may have
    /// left late.
    pub(crate) fn repairable(&mut self, arrival: Instant, index: u64, paced: bool) -> Option<&mut StoredPacket> {
        let replaced = self.key_frame.filter(|newest| index < newest.index);
        if replaced.is_some_and(|newest| newest.has_replaced_earlier(arrival)) {
            return None;
        }
        let is_held = |packet: &StoredPacket| packet.meta.unread == Some(Unread::OtherStructure);
        let longest = if paced { VIDEO_KEPT } else { REPAIR_WAIT };
        self.store.get_mut(index).filter(|packet| packet.age(arrival) < longest && !is_held(packet))
    }

    /// Appends the NACK that is due now, from `sender`. The buffer `nack` is overwritten with the extended sequence numbers
    /// that it requests.
    pub(crate) fn write_nack(
        &mut self,
        now: Instant,
        rtt: Duration,
        sender: Ssrc,
        nack: &mut Vec<u64>,
        rtcp: &mut Vec<u8>,
    ) -> StreamState {
        nack.clear();
        let state = self.poll_nacks(now, rtt, nack);
        if let Some(ssrc) = self.ssrc {
            rtcp_write::nack(rtcp, sender, ssrc, nack);
        }
        state
    }

    /// Whether no packet is missing that a NACK could request.
    pub(crate) fn is_complete(&self) -> bool {
        self.nack_generator.is_idle()
    }

    /// When a NACK is due next.
    pub(crate) fn nack_deadline(&self, now: Instant, rtt: Duration) -> Option<Instant> {
        self.nack_generator.deadline(now, rtt)
    }

    /// Appends the extended sequence numbers to request now.
    fn poll_nacks(&mut self, now: Instant, rtt: Duration, nack: &mut Vec<u64>) -> StreamState {
        if let Some(newest) = self.key_frame.filter(|newest| newest.has_replaced_earlier(now)) {
            self.nack_generator.forget_before(newest.extended);
        }
        self.nack_generator.poll(now, rtt, nack)
    }

    /// Whether any packet has arrived on the media stream.
    pub(crate) fn has_begun(&self) -> bool {
        self.sequence.highest().is_some()
    }

    /// Whether a packet is missing that receivers still wait for.
    fn is_awaited(&self, now: Instant, extended: u64) -> bool {
        let replaced = self.key_frame.filter(|newest| extended < newest.extended);
        self.nack_generator.is_missing(extended) && !replaced.is_some_and(|newest| newest.has_replaced_earlier(now))
    }

    fn arrived_on(&self, stream: Stream) -> ArrivedOn {
        match stream {
            Stream::Rtx => ArrivedOn::Rtx,
            Stream::Media if self.rtx.is_some() => ArrivedOn::Media,
            Stream::Media => ArrivedOn::Shared,
        }
    }

    fn meta(&self, packet: &RtpPacket<'_>, extensions: &KnownExtensions<'_>, payload: &[u8]) -> PacketMeta {
        PacketMeta {
            marker: packet.marker,
            timestamp: packet.timestamp,
            audio_level: extensions.audio_level.filter(|_| !self.is_video()),
            frame_number: extensions.dependency.and_then(Descriptor::parse).map(|descriptor| descriptor.frame_number),
            vp8: (self.codec == Codec::Vp8).then(|| Vp8Descriptor::parse(payload)).flatten(),
            starts_key_frame: starts_key_frame(self.codec, extensions.dependency, payload),
            ..PacketMeta::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        dependency_descriptor::{Frame, FrameSequence, ScalabilityMode, Structure, write},
        header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    };

    fn encoding(codec: Codec) -> Encoding {
        let params = EncodingParams { ssrc: Some(Ssrc(1)), rtx: Some(Ssrc(2)), ..EncodingParams::default() };
        Encoding::new(TrackKey::default(), 0, codec, &params)
    }

    fn receive(encoding: &mut Encoding, stream: Stream, pt: u8, seq: u16, payload: &[u8]) -> Result<u64, Dropped> {
        let mut buffer = HeaderBuffer::default();
        let header = RtpHeader { marker: false, payload_type: pt, seq: SeqNum(seq), timestamp: 0, ssrc: Ssrc(1) };
        buffer.build(header, HeaderExtensions::default());
        let bytes = [buffer.as_bytes(), payload].concat();
        let packet = RtpPacket::parse(&bytes).unwrap();
        let known = KnownExtensions::read(packet.extensions);
        encoding.receive(Instant::now(), stream, &packet, &known, &mut Rtt::default())
    }

    #[test]
    fn retransmission_and_original_have_one_index() {
        let mut encoding = encoding(Codec::Vp8);
        let first = receive(&mut encoding, Stream::Media, 96, 10, b"a").unwrap();
        assert_eq!(receive(&mut encoding, Stream::Media, 96, 12, b"c"), Ok(first + 2));
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 500, &[0, 11, b'b']), Ok(first + 1));
        assert_eq!(receive(&mut encoding, Stream::Media, 96, 11, b"b"), Err(Dropped::Duplicate));
        let payload = encoding.store.get_mut(first + 1).unwrap().payload_mut();
        assert_eq!(payload, b"b");
    }

    #[test]
    fn unawaited_retransmission_is_dropped() {
        let mut encoding = encoding(Codec::Vp8);
        let later = |ms| Instant::now() + Duration::from_millis(ms);
        let first = receive(&mut encoding, Stream::Media, 96, 10, b"a").unwrap();
        receive(&mut encoding, Stream::Media, 96, 13, b"d").unwrap();
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 1, &[0, 10, b'a']), Err(Dropped::Duplicate));
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 2, &[0, 9, b'z']), Err(Dropped::TooLate));
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 3, &[0, 11, b'b']), Ok(first + 1));
        assert!(encoding.repairable(later(0), first, false).is_some());
        assert!(encoding.repairable(later(1_100), first, false).is_none());
        for at in [0, 1_100] {
            let _ = encoding.poll_nacks(later(at), Duration::ZERO, &mut Vec::new());
        }
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 4, &[0, 12, b'c']), Err(Dropped::TooLate), "given up");
    }

    #[test]
    fn key_frame_ends_the_repair_of_earlier_packets() {
        let mut encoding = encoding(Codec::Vp8);
        let key = [0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
        let first = receive(&mut encoding, Stream::Media, 96, 10, b"a").unwrap();
        receive(&mut encoding, Stream::Media, 96, 12, &key).unwrap();
        let (soon, late) = (Instant::now(), Instant::now() + REPAIR_BEFORE_KEY_FRAME);
        assert!(encoding.repairable(soon, first, false).is_some() && encoding.is_awaited(soon, 65_536 + 11));
        assert!(encoding.repairable(late, first, false).is_none() && !encoding.is_awaited(late, 65_536 + 11));
        assert!(encoding.repairable(late, first + 2, false).is_some(), "the key frame itself");
        let mut nack = Vec::new();
        let state = encoding.poll_nacks(late, Duration::ZERO, &mut nack);
        assert_eq!((nack, state), (Vec::new(), StreamState::Repairable), "no other key frame is needed");
    }

    #[test]
    fn padding_has_no_index_unless_its_gap_was_seen() {
        let mut encoding = encoding(Codec::Vp8);
        let first = receive(&mut encoding, Stream::Media, 96, 65_534, b"a").unwrap();
        assert_eq!(receive(&mut encoding, Stream::Media, 96, 65_535, b""), Err(Dropped::Padding));
        assert_eq!(receive(&mut encoding, Stream::Media, 96, 1, b"b"), Ok(first + 2), "0 is missing, 65,535 is not");
        assert_eq!(receive(&mut encoding, Stream::Media, 96, 0, b""), Ok(first + 1), "late padding");
    }

    #[test]
    fn probes_and_foreign_payload_types_are_dropped() {
        let mut encoding = encoding(Codec::Vp8);
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 1, &[0, 11, b'b']), Err(Dropped::Padding));
        receive(&mut encoding, Stream::Media, 96, 10, b"a").unwrap();
        assert_eq!(receive(&mut encoding, Stream::Rtx, 97, 1, &[0]), Err(Dropped::Padding));
        assert_eq!(receive(&mut encoding, Stream::Media, 111, 11, b"a"), Err(Dropped::Malformed));
        assert_eq!(receive(&mut encoding, Stream::Rtx, 96, 11, b"abc"), Err(Dropped::Malformed));
    }

    /// A whole frame in one packet, with its descriptor.
    fn receive_frame(encoding: &mut Encoding, seq: u16, frame: &Frame, structure: &Structure) -> Result<u64, Dropped> {
        let (mut buffer, mut descriptor) = (HeaderBuffer::default(), Vec::new());
        write(&mut descriptor, frame, structure).unwrap();
        let header = RtpHeader { marker: true, payload_type: 98, seq: SeqNum(seq), timestamp: 0, ssrc: Ssrc(1) };
        buffer.build(header, HeaderExtensions { dependency: Some(&descriptor), ..HeaderExtensions::default() });
        let bytes = [buffer.as_bytes(), b"frame"].concat();
        let packet = RtpPacket::parse(&bytes).unwrap();
        let known = KnownExtensions::read(packet.extensions);
        encoding.receive(Instant::now(), Stream::Media, &packet, &known, &mut Rtt::default())
    }

    /// The second packet of a key frame with a new structure arrives first: it is held, and released by the first.
    #[test]
    fn packet_that_overtakes_its_structure_is_held() {
        let mut encoding = encoding(Codec::Vp9);
        let mut old = FrameSequence::new(ScalabilityMode::L1T1, &[]);
        receive_frame(&mut encoding, 1, &old.next_unit(true)[0], old.structure()).unwrap();
        // Its templates follow those of the old structure, as an encoder numbers them.
        let mut parts = FrameSequence::new(ScalabilityMode::L1T3, &[]).structure().parts().clone();
        parts.template_id_offset = 20;
        let new = Structure::new(parts).unwrap();
        let mut frames = FrameSequence::new(ScalabilityMode::L1T3, &[]);
        let (key, delta) = (frames.next_unit(true)[0], frames.next_unit(false)[0]);
        assert_eq!(receive_frame(&mut encoding, 3, &delta, &new), Err(Dropped::Held));
        let first = receive_frame(&mut encoding, 2, &key, &new).unwrap();
        assert_eq!([encoding.pop_released(), encoding.pop_released()], [Some(first + 1), None]);
        let meta = encoding.store.get_mut(first + 1).unwrap().meta;
        assert_eq!((meta.targets, meta.unread), (delta.targets(), None));
    }

    /// A target counts its own packets, whatever the encoding contains besides, and a gap until it is filled.
    #[test]
    fn packets_are_numbered_in_each_target() {
        let mut encoding = encoding(Codec::Vp9);
        let mut frames = FrameSequence::new(ScalabilityMode::L1T3, &[]);
        let lost = 3;
        let mut numbered = Vec::new();
        for seq in 0..9 {
            let unit = frames.next_unit(seq == 0);
            if seq != lost {
                let index = receive_frame(&mut encoding, seq, &unit[0], frames.structure()).unwrap();
                let meta = encoding.store.get_mut(index).unwrap().meta;
                numbered.push((seq, meta.targets & 1 != 0, meta.numbering.ordinals[0]));
            }
        }
        let of_base: Vec<_> =
            numbered.into_iter().filter(|(_, contained, _)| *contained).map(|(seq, _, n)| (seq, n)).collect();
        assert_eq!(of_base, [(0, 0), (4, 2), (8, 3)], "the lost one, 3, may have been of the base layer");
    }
}
