//! The packets of one published track: frames by a pattern, sealed with the keys of a real call, split for RTP, logged.
//!
//! A frame is sealed whole and split afterwards, as every client does. The frames of all encodings are sealed with one
//! counter. Without a key nothing comes out: there is no plaintext path, not even here.

use crate::measure::clock::Time;
use crate::{
    bots::frame::{self, MAX_PAYLOAD_BYTES},
    bots::image::Image,
    bots::pattern::{Frame, Pattern},
    measure::accounting::Window,
    measure::send_log::{KeyLog, RoomLog, StreamLog, TrackLog},
    scenario::Video,
};
use e2ee_frames::{Codec, FrameKind, StreamId, codec};
use rtp_wire::dependency_descriptor;
use std::time::Duration;
use std::{collections::VecDeque, sync::Arc};
use tacet_native::{
    keys::SharedKeys,
    video::{vp8_payloads, vp9_payloads},
};

/// Number of keys whose frames may still be in flight.
const KEYS: usize = 4;
/// Seconds of packets that a log remembers.
const REMEMBERED_S: f64 = 4.0;

/// How frames of a track are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealing {
    pub(crate) stream: StreamId,
    pub(crate) codec: Codec,
}

/// A packet of the track.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Index of its encoding.
    pub(crate) encoding: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// Whether a frame ends here.
    pub(crate) marker: bool,
    /// Audio level in -dBov.
    pub(crate) level: Option<u8>,
    /// Dependency Descriptor; empty if it has none.
    pub(crate) descriptor: Vec<u8>,
    /// RTP payload.
    pub(crate) payload: Vec<u8>,
}

/// A packet that was made and not sent yet.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// KID and CTR, if a frame begins here.
    frame: Option<(u64, u64)>,
    encoding: u8,
    layer: u8,
    timestamp: u32,
    bytes: usize,
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    encoding: usize,
    timestamp: u32,
    /// Whether no other frame of its image follows in the encoding.
    ends_image: bool,
}

/// Makes the packets of a track as they become due.
#[derive(Debug)]
pub(crate) struct Feed {
    keys: SharedKeys,
    sealing: Sealing,
    pattern: Pattern,
    room: Arc<RoomLog>,
    log: Arc<TrackLog>,
    window: Arc<Window>,
    logged_keys: VecDeque<Arc<KeyLog>>,
    /// With which the frames of each encoding begin.
    images: [Image; Video::MAX_ENCODINGS],
    contents: Vec<u8>,
    sealed: Vec<u8>,
    made: Vec<Made>,
    /// Picture id of the next frame of each encoding (RFC 7741).
    picture_ids: [u16; Video::MAX_ENCODINGS],
    /// Which encodings are sent.
    active: [bool; Video::MAX_ENCODINGS],
    key_frame_wanted: bool,
    started_at: Time,
    /// Frames that were due and not sent.
    pub(crate) skipped: u64,
}

impl Feed {
    /// Number of packets that the log of a stream at this rate must remember.
    pub(crate) fn remembered(packets_per_second: f64) -> usize {
        (packets_per_second * REMEMBERED_S) as usize + 64
    }

    pub(crate) fn new(
        keys: SharedKeys,
        sealing: Sealing,
        pattern: Pattern,
        (room, log): (Arc<RoomLog>, Arc<TrackLog>),
        window: Arc<Window>,
    ) -> Self {
        room.add_track(log.clone());
        let images = std::array::from_fn(|encoding| match sealing.codec {
            Codec::Vp8 => pattern.lines(encoding).and_then(Image::of_lines).unwrap_or_default(),
            _ => Image::default(),
        });
        Self {
            keys,
            sealing,
            pattern,
            room,
            log,
            window,
            logged_keys: VecDeque::new(),
            images,
            contents: Vec::new(),
            sealed: Vec::new(),
            made: Vec::new(),
            picture_ids: [0; Video::MAX_ENCODINGS],
            active: [true; Video::MAX_ENCODINGS],
            key_frame_wanted: true,
            started_at: Time::default(),
            skipped: 0,
        }
    }

    /// Number of packets that the log remembers of an encoding, a power of two.
    pub(crate) fn remembers(&self, encoding: usize) -> usize {
        self.log.encodings.get(encoding).map_or(0, StreamLog::remembers)
    }

    /// Starts the pattern.
    pub(crate) fn start(&mut self, now: Time) {
        self.started_at = now;
        let _ = self.log.begun_at.set(now);
        self.pattern.start(now);
    }

    /// Stops the pattern.
    pub(crate) fn stop(&mut self) {
        self.skipped += self.pattern.stop();
    }

    /// Resets the count of frames that were due and not sent.
    pub(crate) fn forget_skipped(&mut self) {
        self.skipped = 0;
        self.pattern.forget_skipped();
    }

    /// When the next packets are due; `None` while it is stopped.
    pub(crate) fn due_at(&self) -> Option<Time> {
        self.pattern.due_at()
    }

    /// Makes the next frame a key frame, if the codec has them.
    pub(crate) fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// Sends these encodings from now on, and not the others. Every change begins with a key frame of all, as in browsers.
    pub(crate) fn set_active(&mut self, active: &[bool]) {
        let before = self.active;
        self.active.iter_mut().zip(active).for_each(|(is_active, wanted)| *is_active = *wanted);
        self.key_frame_wanted |= self.active != before;
    }

    /// RTP timestamp of a time.
    pub(crate) fn timestamp(&self, at: Time) -> u32 {
        let elapsed = at.since(self.started_at).as_nanos();
        (elapsed * u128::from(self.pattern.clock()) / 1_000_000_000) as u32
    }

    /// Makes what is due and passes the packets to `packet`, in order. [`Feed::leaving`] must follow, just before they are sent.
    /// Returns how late it is; `None` when nothing was due.
    pub(crate) fn make(&mut self, now: Time, mut packet: impl FnMut(Packet)) -> Option<Duration> {
        let due = self.pattern.take(now)?;
        self.made.clear();
        for n in 0..due.images {
            let (key_wanted, mut has_key, mut is_sealed) = (self.key_frame_wanted, false, true);
            for encoding in 0..self.pattern.encodings() {
                let frames = self.pattern.frames(&due, encoding, key_wanted);
                if !self.active.get(encoding).is_some_and(|active| *active) {
                    continue;
                }
                let timestamp = self.timestamp(due.nominal + due.spacing * n);
                for (at, frame) in frames.iter().enumerate() {
                    let place = Place { encoding, timestamp, ends_image: at + 1 == frames.len() };
                    has_key |= frame.key;
                    if self.frame(frame, place, &mut packet).is_none() {
                        is_sealed = false;
                        self.skipped += 1;
                    }
                }
                if let Some(picture_id) = self.picture_ids.get_mut(encoding) {
                    *picture_id = picture_id.wrapping_add(1);
                }
            }
            self.key_frame_wanted &= !(has_key && is_sealed);
        }
        Some(due.lag)
    }

    fn frame(&mut self, wanted: &Frame, place: Place, packet: &mut impl FnMut(Packet)) -> Option<()> {
        let Place { encoding, timestamp, ends_image } = place;
        let Sealing { stream, codec } = self.sealing;
        let kind = if wanted.key { FrameKind::Key } else { FrameKind::Delta };
        let image = self.images.get(encoding).copied().unwrap_or_default();
        frame::write_contents(image.frame(kind), wanted.bytes, &mut self.contents);
        self.sealed.resize(codec::max_sealed_bytes(codec, self.contents.len()), 0);
        let length = self.keys.seal(stream, codec, kind, &self.contents, &mut self.sealed).ok()?;
        self.sealed.truncate(length);
        let header = frame::header(codec, &self.sealed)?;

        let payloads: Vec<Vec<u8>> = match codec {
            Codec::Opus => vec![self.sealed.clone()],
            Codec::Vp9 => vp9_payloads(&self.sealed, kind, self.picture_id(encoding)?, MAX_PAYLOAD_BYTES),
            _ => {
                let payloads = vp8_payloads(&self.sealed, self.picture_id(encoding)?, MAX_PAYLOAD_BYTES);
                payloads.map(|(_, payload)| payload).collect()
            }
        };
        let next = self.log.encodings.get(encoding)?.next();
        let earlier = self.made.iter().filter(|made| usize::from(made.encoding) == encoding).count();
        let last = payloads.len().saturating_sub(1);
        for (n, payload) in payloads.into_iter().enumerate() {
            let frame = (n == 0).then_some((header.kid, header.ctr));
            let (encoding, layer, bytes) = (encoding as u8, wanted.layer, payload.len());
            self.made.push(Made { frame, encoding, layer, timestamp, bytes });
            packet(Packet {
                encoding,
                sequence: (next + (earlier + n) as u64) as u16,
                timestamp,
                marker: codec != Codec::Opus && n == last && ends_image,
                level: wanted.level,
                descriptor: self.descriptor(wanted, usize::from(encoding), n == 0, n == last),
                payload,
            });
        }
        Some(())
    }

    /// The picture id of an encoding's present image.
    fn picture_id(&self, encoding: usize) -> Option<u16> {
        self.picture_ids.get(encoding).map(|id| id & 0x7fff)
    }

    /// The Dependency Descriptor of a packet of a frame; empty if the pattern has none.
    fn descriptor(&self, frame: &Frame, encoding: usize, starts: bool, ends: bool) -> Vec<u8> {
        let mut written = Vec::new();
        if let Some((unit, structure)) = frame.descriptor.zip(self.pattern.structure(encoding)) {
            let unit = dependency_descriptor::Frame {
                starts,
                ends,
                structure: unit.structure && starts,
                active_targets: unit.active_targets.filter(|_| starts),
                ..unit
            };
            // The frames are those of the structure.
            let _ = dependency_descriptor::write(&mut written, &unit, structure);
        }
        written
    }

    /// Logs the packets that were made: they are about to be sent.
    pub(crate) fn leaving(&mut self, now: Time) {
        let measured = self.window.contains(now);
        let log = self.log.clone();
        for Made { frame, encoding, layer, timestamp, bytes } in std::mem::take(&mut self.made) {
            let Some(stream) = log.encodings.get(usize::from(encoding)) else { continue };
            if let Some((kid, ctr)) = frame {
                self.key(kid).record(ctr, encoding, stream.next());
            }
            stream.record(now, timestamp, layer, bytes, measured);
        }
    }

    /// The log of the key in use.
    fn key(&mut self, kid: u64) -> Arc<KeyLog> {
        if let Some(known) = self.logged_keys.iter().rev().find(|key| key.kid == kid) {
            return known.clone();
        }
        // As many frames as packets at most.
        let frames = self.log.encodings.iter().map(StreamLog::remembers).sum();
        let key = Arc::new(KeyLog::new(kid, self.log.clone(), frames));
        self.room.add_key(key.clone());
        self.logged_keys.push_back(key.clone());
        if self.logged_keys.len() > KEYS
            && let Some(old) = self.logged_keys.pop_front()
        {
            self.room.remove_key(&old);
        }
        key
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.logged_keys.iter().for_each(|key| self.room.remove_key(key));
        self.room.remove_track(&self.log);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        bots::pattern::{LayeredEncoding, LayersPattern, VideoPattern, layers},
        measure::send_log::Class,
    };
    use e2ee_frames::{Action, Event, Seat};
    use rtp_wire::dependency_descriptor::ScalabilityMode;
    use tacet_native::{link::RoomLink, video::Assembler};
    use tacet_proto::{CallId, RoomId, bytes::Fixed};

    /// Keys of a device that is alone in a call.
    pub(crate) fn keys(streams: &[StreamId]) -> SharedKeys {
        let link = RoomLink::new(false, "127.0.0.1:1", RoomId(Fixed([1; 16])), [2; 32]);
        let keys = SharedKeys::new(&link, CallId(Fixed([3; 16])), "test").unwrap();
        keys.handle(Event::Joined { seat: Seat(1) }).unwrap();
        for stream in streams {
            keys.handle(Event::StreamOpened(*stream)).unwrap();
        }
        let mut ready = 0;
        while ready < streams.len() {
            ready += usize::from(matches!(keys.poll().unwrap(), Action::StreamReady { .. }));
        }
        keys
    }

    fn feed(sealing: Sealing, pattern: Pattern, opened: &[StreamId]) -> (Feed, Arc<RoomLog>, Arc<TrackLog>) {
        let (room, window) = (Arc::new(RoomLog::default()), Arc::new(Window::closed()));
        let encodings = (0..pattern.encodings()).map(|_| StreamLog::new(&layers(ScalabilityMode::L1T3), 4_096));
        let log = Arc::new(TrackLog { encodings: encodings.collect(), ..TrackLog::new(Class::Video, 64) });
        window.set(Time::default(), Time::from_nanos(u64::MAX));
        let feed = Feed::new(keys(opened), sealing, pattern, (room.clone(), log.clone()), window);
        (feed, room, log)
    }

    const CAMERA: Sealing = Sealing { stream: StreamId::CAMERA, codec: Codec::Vp8 };

    #[test]
    fn large_frame_is_split() {
        let (mut feed, room, log) = feed(CAMERA, Pattern::packets(10, 1, 5_000), &[StreamId::CAMERA]);
        feed.start(Time::from_nanos(1_000));
        let (mut packets, mut assembler) = (Vec::new(), Assembler::new(Codec::Vp8));
        assert_eq!(feed.make(Time::from_nanos(1_500), |packet| packets.push(packet)), Some(Duration::from_nanos(500)));
        feed.leaving(Time::from_nanos(2_000));
        assert_eq!(packets.len(), 5, "5,000 bytes in packets of 1,100");
        assert_eq!(packets.iter().map(|packet| packet.marker).collect::<Vec<_>>(), [false, false, false, false, true]);
        let push = |p: &Packet| assembler.push(p.sequence, p.marker, &p.payload);
        let whole: Vec<Vec<u8>> = packets.iter().filter_map(push).map(|frame| frame.bytes).collect();
        let header = frame::header(Codec::Vp8, &whole[0]).unwrap();
        assert!(!whole[0].windows(16).any(frame::is_ours), "sealed");
        let (encoding, first) = room.key(header.kid).unwrap().first(header.ctr).unwrap();
        let stream = &log.encodings[usize::from(encoding)];
        let last = stream.sent(first + 4).unwrap();
        assert_eq!((last.at, last.timestamp), (Time::from_nanos(2_000), packets[4].timestamp));
        assert_eq!(stream.layers()[0].measured(), first..first + 5);
    }

    #[test]
    fn single_packet_size() {
        let size = 1_160;
        let pattern = Pattern::packets(500, 16, frame::contents_for_payload(size));
        let (mut feed, ..) = feed(CAMERA, pattern, &[StreamId::CAMERA]);
        feed.start(Time::default());
        let mut packets = Vec::new();
        for _ in 0..20 {
            feed.make(feed.due_at().unwrap(), |packet| packets.push(packet));
            feed.leaving(Time::default());
        }
        assert_eq!(packets.len(), 320);
        assert!(packets.iter().all(|packet| packet.marker), "every frame fits one packet");
        let lengths = packets.iter().skip(1).map(|packet| packet.payload.len());
        assert!(lengths.clone().all(|length| (size - 8..=size).contains(&length)), "{:?}", lengths.max());
        assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
    }

    #[test]
    fn no_packets_without_key() {
        let (mut feed, _, log) = feed(CAMERA, Pattern::packets(10, 2, 500), &[StreamId::MICROPHONE]);
        feed.start(Time::default());
        assert_eq!(feed.make(Time::default(), |_| panic!("a packet without a key")), Some(Duration::ZERO));
        feed.leaving(Time::default());
        assert_eq!((feed.skipped, log.encodings[0].next()), (2, StreamLog::FIRST));
    }

    /// Three encodings of one camera.
    fn simulcast() -> Pattern {
        let video = Video { key_frame_every_s: 0.0, ..Video::default() };
        let encoding = |kbps: f64| {
            let sizes = VideoPattern::new(&video, kbps * 1e3, 30, 1, 0);
            LayeredEncoding::new(ScalabilityMode::L1T3, &[(320, 180)], vec![sizes])
        };
        Pattern::Layers(LayersPattern::new([150.0, 500.0, 1_700.0].map(encoding).into()))
    }

    /// The packets of the next image.
    fn image(feed: &mut Feed) -> Vec<Packet> {
        let mut packets = Vec::new();
        feed.make(feed.due_at().unwrap(), |packet| packets.push(packet));
        feed.leaving(Time::from_nanos(1));
        packets
    }

    #[test]
    fn encodings_share_one_counter_and_tell_their_layers() {
        let (mut feed, room, log) = feed(CAMERA, simulcast(), &[StreamId::CAMERA]);
        feed.start(Time::default());
        let (mut counters, mut known) = (Vec::new(), [None, None, None]);
        for (at, temporal) in [0, 2, 1, 2, 0].into_iter().enumerate() {
            let packets = image(&mut feed);
            for encoding in 0..3u8 {
                let of: Vec<&Packet> = packets.iter().filter(|packet| packet.encoding == encoding).collect();
                let (kid, ctr) = frame::begins(Codec::Vp8, &of[0].payload).unwrap();
                counters.push(ctr);
                assert_eq!(room.key(kid).unwrap().first(ctr).unwrap().0, encoding);
                for (n, packet) in of.iter().enumerate() {
                    let known = &mut known[usize::from(encoding)];
                    let (unit, structure) = dependency_descriptor::read(&packet.descriptor, known.as_ref()).unwrap();
                    *known = structure.or(known.take());
                    assert_eq!((unit.temporal, usize::from(unit.number)), (temporal, at));
                    assert_eq!((unit.starts, unit.ends), (n == 0, n + 1 == of.len()));
                    assert_eq!((unit.structure, packet.marker), (at == 0 && n == 0, n + 1 == of.len()));
                }
            }
        }
        assert_eq!(counters, (0..15).collect::<Vec<_>>());
        assert!(log.encodings.iter().all(|stream| stream.layers()[0].measured_total().0 >= 2));
    }

    #[test]
    fn video_begins_with_an_image_that_browsers_decode() {
        let (mut feed, ..) = feed(CAMERA, simulcast(), &[StreamId::CAMERA]);
        feed.start(Time::default());
        let of_180_lines = Image::of_lines(180).unwrap();
        for kind in [FrameKind::Key, FrameKind::Delta, FrameKind::Delta] {
            image(&mut feed);
            assert!(feed.contents.starts_with(of_180_lines.frame(kind)), "{kind:?}");
            assert!(frame::is_ours(&feed.contents));
        }
    }

    #[test]
    fn stopped_encoding_comes_back_with_a_key_frame_of_all() {
        let (mut feed, ..) = feed(CAMERA, simulcast(), &[StreamId::CAMERA]);
        feed.start(Time::default());
        image(&mut feed);
        let encodings = |packets: &[Packet]| {
            let mut of: Vec<u8> = packets.iter().map(|packet| packet.encoding).collect();
            of.dedup();
            of
        };
        let keys = |packets: &[Packet]| packets.iter().filter(|packet| packet.descriptor.len() > 6).count();
        assert_eq!(encodings(&image(&mut feed)), [0, 1, 2]);
        feed.set_active(&[true, true, false]);
        let stopped = image(&mut feed);
        assert_eq!((encodings(&stopped), keys(&stopped)), (vec![0, 1], 2));
        feed.set_active(&[true, true, false]);
        assert_eq!(keys(&image(&mut feed)), 0, "no change");
        feed.set_active(&[true; 3]);
        let back = image(&mut feed);
        assert_eq!((encodings(&back), keys(&back)), (vec![0, 1, 2], 3));
    }
}
