//! A track as it arrives from its publisher: which packets are new, which are missing, which are kept.

use super::{
    compaction::Compaction,
    gaps::{Arrival, Gaps, Verdict},
    key_frames::KeyFrameRequests,
    levels::Loudness,
    reception::Reception,
    rtt::Rtt,
    sender_reports::PublisherClock,
    store::{Insertion, PacketMeta, PacketStore, StoreLimits, StoredPacket},
};
use crate::{
    allowance::Allowance,
    command::Publication,
    ids::{ParticipantId, TrackId},
    limits::{REPAIR_BEFORE_KEY_FRAME, REPAIR_WAIT, SENDER_REPORTS, STORE_AUDIO_BYTES, STORE_VIDEO_BYTES},
    media::Kind,
    wire::{
        dependency_descriptor::Descriptor,
        extension::KnownExtensions,
        key_frame::starts_key_frame,
        rtp::RtpPacket,
        seq::{SeqNum, Unwrapper},
        vp8::Vp8Descriptor,
    },
};
use std::time::{Duration, Instant};

/// Pictures are asked for again for as long as a receiver would wait.
const VIDEO: StoreLimits = StoreLimits { window: 1_024, bytes: STORE_VIDEO_BYTES, age: REPAIR_WAIT };
/// Sound is not asked for again; the store only passes it on and tells duplicates.
const AUDIO: StoreLimits = StoreLimits { window: 128, bytes: STORE_AUDIO_BYTES, age: Duration::from_millis(100) };

/// Whether a packet came on the track's own stream or on the one of its retransmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Media,
    Retransmission,
}

/// Why a packet is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// A payload type that was not negotiated for the stream, or a retransmission too short to be one.
    Malformed,
    /// Padding only.
    Padding,
    /// Seen before.
    Duplicate,
    /// Older than what is remembered, or a repair that comes when nobody waits for it any more.
    TooLate,
}

/// The newest key frame: once it is under way, receivers soon stop waiting for what lies before.
#[derive(Clone, Copy, Debug)]
struct KeyFrame {
    /// Its first packet, by extended sequence number and by index.
    extended: u64,
    index: u64,
    at: Instant,
}

impl KeyFrame {
    fn has_replaced_earlier(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= REPAIR_BEFORE_KEY_FRAME
    }
}

/// State of one publication.
#[derive(Debug)]
pub(crate) struct PublishedTrack {
    pub(crate) track: TrackId,
    pub(crate) owner: ParticipantId,
    /// The owner's place in the room.
    pub(crate) owner_key: usize,
    /// Canonical name of the owner (RFC 3550 section 6.5.1): tells receivers whose sound belongs to whose picture.
    pub(crate) cname: String,
    pub(crate) publication: Publication,
    pub(crate) muted: bool,
    /// Slots that the track is in, by their places in the room, sorted by participant.
    pub(crate) subscribers: Vec<usize>,
    pub(crate) store: PacketStore,
    pub(crate) reception: Reception,
    pub(crate) key_frames: KeyFrameRequests,
    pub(crate) clock: Option<PublisherClock>,
    /// Sender reports that are passed on.
    pub(crate) reports: Allowance,
    pub(crate) loudness: Loudness,
    /// The SSRC of retransmissions was taken from a packet.
    pub(crate) retransmissions_learned: bool,
    numbers: Unwrapper,
    compaction: Compaction,
    gaps: Gaps,
    key_frame: Option<KeyFrame>,
}

impl PublishedTrack {
    /// A track from which nothing has arrived.
    pub(crate) fn new(track: TrackId, owner: ParticipantId, owner_key: usize, publication: Publication) -> Self {
        let limits = match publication.codec.entry().kind {
            Kind::Video => VIDEO,
            Kind::Audio => AUDIO,
        };
        Self {
            track,
            owner,
            owner_key,
            cname: owner.0.to_string(),
            publication,
            muted: false,
            subscribers: Vec::new(),
            store: PacketStore::new(limits),
            reception: Reception::default(),
            key_frames: KeyFrameRequests::default(),
            clock: None,
            reports: Allowance::new(SENDER_REPORTS),
            loudness: Loudness::default(),
            retransmissions_learned: false,
            numbers: Unwrapper::default(),
            compaction: Compaction::default(),
            gaps: Gaps::default(),
            key_frame: None,
        }
    }

    /// Whether anything has arrived on the media stream.
    pub(crate) fn has_begun(&self) -> bool {
        self.numbers.highest().is_some()
    }

    /// Whether the track is a picture: it has key frames, and its lost packets are asked for.
    pub(crate) fn is_video(&self) -> bool {
        self.publication.codec.entry().kind == Kind::Video
    }

    /// Takes a packet in; gives the index under which it is in the store, new.
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
        let codec = self.publication.codec.entry();
        let (seq, payload) = match stream {
            Stream::Media if packet.payload_type == codec.pt => (packet.seq, packet.payload),
            Stream::Retransmission if Some(packet.payload_type) == codec.rtx_pt => {
                // RFC 4588 section 4: the original sequence number, then the original payload. Without either it is
                // a probe; before the first media packet there is nothing that it could repeat.
                let Some((&original, payload)) = packet.payload.split_first_chunk().filter(|_| self.has_begun()) else {
                    return Err(Dropped::Padding);
                };
                (SeqNum(u16::from_be_bytes(original)), payload)
            }
            _ => return Err(Dropped::Malformed),
        };

        let extended = self.numbers.peek(seq);
        if stream == Stream::Media {
            self.reception.on_packet(now, extended, packet.timestamp, codec.clock);
        }
        let newest = self.numbers.highest().is_none_or(|highest| extended > highest);
        if stream == Stream::Retransmission && !newest && !self.is_awaited(now, extended) {
            let taken = self.compaction.index_of(extended).is_some_and(|index| self.store.has_taken(index));
            if taken {
                return Err(Dropped::Duplicate);
            }
            if self.key_frame.is_none_or(|newest| extended > newest.extended) {
                // An answer to what was given up: the path is longer than was assumed.
                rtt.first_sample(REPAIR_WAIT);
            }
            return Err(Dropped::TooLate);
        }
        if self.is_video()
            && let Some(sample) = self.gaps.on_packet(now, extended, self.arrival(stream))
        {
            rtt.sample(sample);
        }
        if payload.is_empty() && newest {
            self.compaction.drop_number(extended);
            self.numbers.accept(extended);
            return Err(Dropped::Padding);
        }
        // Padding that arrives late has left a gap in what was forwarded, and fills it like any other packet.
        self.numbers.accept(extended);
        let index = self.compaction.index_of(extended).ok_or(Dropped::TooLate)?;
        let meta = self.meta(packet, extensions, payload);
        let dependency = extensions.dependency.filter(|value| value.len() <= 255).unwrap_or_default();
        match self.store.insert(now, index, meta, dependency, payload) {
            Insertion::New => {
                if meta.starts_key_frame && self.key_frame.is_none_or(|newest| newest.index < index) {
                    self.key_frame = Some(KeyFrame { extended, index, at: now });
                }
                Ok(index)
            }
            Insertion::Duplicate => Err(Dropped::Duplicate),
            Insertion::TooLate => Err(Dropped::TooLate),
        }
    }

    fn arrival(&self, stream: Stream) -> Arrival {
        match stream {
            Stream::Retransmission => Arrival::Answer,
            Stream::Media if self.publication.rtx.is_some() => Arrival::Original,
            Stream::Media => Arrival::Either,
        }
    }

    /// Whether a missing packet is still of use.
    fn is_awaited(&self, now: Instant, extended: u64) -> bool {
        let replaced = self.key_frame.filter(|newest| extended < newest.extended);
        self.gaps.is_missing(extended) && !replaced.is_some_and(|newest| newest.has_replaced_earlier(now))
    }

    /// A packet of the store, unless nobody waits for it any more when it reaches its receiver at `arrival`.
    pub(crate) fn repeatable(&mut self, arrival: Instant, index: u64) -> Option<&mut StoredPacket> {
        let replaced = self.key_frame.filter(|newest| index < newest.index);
        if replaced.is_some_and(|newest| newest.has_replaced_earlier(arrival)) {
            return None;
        }
        self.store.get_mut(index).filter(|packet| packet.age(arrival) < REPAIR_WAIT)
    }

    fn meta(&self, packet: &RtpPacket<'_>, extensions: &KnownExtensions<'_>, payload: &[u8]) -> PacketMeta {
        let codec = self.publication.codec;
        PacketMeta {
            marker: packet.marker,
            timestamp: packet.timestamp,
            audio_level: extensions.audio_level.filter(|_| !self.is_video()),
            frame_number: extensions.dependency.and_then(Descriptor::parse).map(|descriptor| descriptor.frame_number),
            vp8: (codec == crate::media::Codec::Vp8).then(|| Vp8Descriptor::parse(payload)).flatten(),
            starts_key_frame: starts_key_frame(codec, extensions.dependency, payload),
        }
    }

    /// Appends the sequence numbers to ask the publisher for now; a stream beyond repair asks for a key frame.
    pub(crate) fn due_repairs(&mut self, now: Instant, rtt: Duration, ask_for: &mut Vec<u64>) {
        if let Some(newest) = self.key_frame.filter(|newest| newest.has_replaced_earlier(now)) {
            self.gaps.forget_before(newest.extended);
        }
        if self.gaps.due(now, rtt, ask_for) == Verdict::Broken {
            self.key_frames.request();
        }
    }

    /// When repairs or key-frame requests are due.
    pub(crate) fn deadline(&self, now: Instant, rtt: Duration) -> Option<Instant> {
        self.gaps.deadline(now, rtt).into_iter().chain(self.key_frames.deadline(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{Mid, Ssrc},
        media::Codec,
        wire::header::{HeaderBuffer, HeaderExtensions, RtpHeader},
    };

    fn track(codec: Codec) -> PublishedTrack {
        let publication = Publication { codec, mid: Mid::new("v").unwrap(), ssrc: Ssrc(1), rtx: Some(Ssrc(2)) };
        PublishedTrack::new(TrackId(1), ParticipantId(1), 0, publication)
    }

    fn receive(track: &mut PublishedTrack, stream: Stream, pt: u8, seq: u16, payload: &[u8]) -> Result<u64, Dropped> {
        let mut buffer = HeaderBuffer::default();
        let header = RtpHeader { marker: false, payload_type: pt, seq: SeqNum(seq), timestamp: 0, ssrc: Ssrc(1) };
        buffer.build(header, HeaderExtensions::default());
        let bytes = [buffer.as_bytes(), payload].concat();
        let packet = RtpPacket::parse(&bytes).unwrap();
        let known = KnownExtensions::read(packet.extensions);
        track.receive(Instant::now(), stream, &packet, &known, &mut Rtt::default())
    }

    #[test]
    fn a_retransmission_and_its_original_are_one_packet() {
        let mut track = track(Codec::Vp8);
        let first = receive(&mut track, Stream::Media, 96, 10, b"a").unwrap();
        assert_eq!(receive(&mut track, Stream::Media, 96, 12, b"c"), Ok(first + 2));
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 500, &[0, 11, b'b']), Ok(first + 1));
        assert_eq!(receive(&mut track, Stream::Media, 96, 11, b"b"), Err(Dropped::Duplicate));
        let payload = track.store.get_mut(first + 1).unwrap().payload_mut();
        assert_eq!(payload, b"b");
    }

    #[test]
    fn a_repair_that_nobody_waits_for_is_dropped() {
        let mut track = track(Codec::Vp8);
        let later = |ms| Instant::now() + Duration::from_millis(ms);
        let first = receive(&mut track, Stream::Media, 96, 10, b"a").unwrap();
        receive(&mut track, Stream::Media, 96, 13, b"d").unwrap();
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 1, &[0, 10, b'a']), Err(Dropped::Duplicate));
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 2, &[0, 9, b'z']), Err(Dropped::TooLate));
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 3, &[0, 11, b'b']), Ok(first + 1));
        assert!(track.repeatable(later(0), first).is_some());
        assert!(track.repeatable(later(1_100), first).is_none());
        for at in [0, 1_100] {
            track.due_repairs(later(at), Duration::ZERO, &mut Vec::new());
        }
        assert_eq!(
            receive(&mut track, Stream::Retransmission, 97, 4, &[0, 12, b'c']),
            Err(Dropped::TooLate),
            "given up"
        );
    }

    #[test]
    fn nothing_before_a_key_frame_is_repaired_once_it_is_well_under_way() {
        let mut track = track(Codec::Vp8);
        let key = [0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 0, 0];
        let first = receive(&mut track, Stream::Media, 96, 10, b"a").unwrap();
        receive(&mut track, Stream::Media, 96, 12, &key).unwrap();
        let (soon, late) = (Instant::now(), Instant::now() + REPAIR_BEFORE_KEY_FRAME);
        assert!(track.repeatable(soon, first).is_some() && track.is_awaited(soon, 65_536 + 11));
        assert!(track.repeatable(late, first).is_none() && !track.is_awaited(late, 65_536 + 11));
        assert!(track.repeatable(late, first + 2).is_some(), "the key frame itself");
        let mut ask_for = Vec::new();
        track.due_repairs(late, Duration::ZERO, &mut ask_for);
        assert!(ask_for.is_empty());
        assert!(track.key_frames.deadline(late).is_none(), "and no other one is needed");
    }

    #[test]
    fn padding_takes_no_index_unless_its_gap_was_seen() {
        let mut track = track(Codec::Vp8);
        let first = receive(&mut track, Stream::Media, 96, 65_534, b"a").unwrap();
        assert_eq!(receive(&mut track, Stream::Media, 96, 65_535, b""), Err(Dropped::Padding));
        assert_eq!(receive(&mut track, Stream::Media, 96, 1, b"b"), Ok(first + 2), "0 is missing, 65,535 is not");
        assert_eq!(receive(&mut track, Stream::Media, 96, 0, b""), Ok(first + 1), "late padding");
    }

    #[test]
    fn probes_and_foreign_payload_types_are_dropped() {
        let mut track = track(Codec::Vp8);
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 1, &[0, 11, b'b']), Err(Dropped::Padding));
        receive(&mut track, Stream::Media, 96, 10, b"a").unwrap();
        assert_eq!(receive(&mut track, Stream::Retransmission, 97, 1, &[0]), Err(Dropped::Padding));
        assert_eq!(receive(&mut track, Stream::Media, 111, 11, b"a"), Err(Dropped::Malformed));
        assert_eq!(receive(&mut track, Stream::Retransmission, 96, 11, b"abc"), Err(Dropped::Malformed));
    }
}
