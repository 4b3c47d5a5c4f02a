//! The packets of one published stream: frames by a pattern, sealed with the keys of a real call, split for RTP, logged.
//!
//! A frame is sealed whole and split afterwards, as every client does. Without a key nothing comes out: there is no
//! plaintext path, not even here.

use crate::measure::clock::Time;
use crate::{
    bots::frame::{self, MAX_PAYLOAD_BYTES},
    bots::pattern::{Due, Frame, Pattern},
    measure::accounting::Window,
    measure::send_log::{KeyLog, RoomLog, Sent, StreamLog},
};
use e2ee_frames::{Codec, FrameKind, StreamId, codec};
use std::time::Duration;
use std::{collections::VecDeque, sync::Arc};
use tacet_native::{keys::SharedKeys, video::vp8_payloads};

/// Number of keys whose frames may still be in flight.
const KEYS: usize = 4;
/// Seconds of packets that a log remembers.
const REMEMBERED_S: f64 = 4.0;

/// How frames of a stream are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealing {
    pub(crate) stream: StreamId,
    pub(crate) codec: Codec,
}

/// A packet of the stream.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    /// Whether a frame ends here.
    pub(crate) marker: bool,
    /// Audio level in -dBov.
    pub(crate) level: Option<u8>,
    /// RTP payload.
    pub(crate) payload: Vec<u8>,
}

/// A packet that was made and not sent yet.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// KID and CTR, if a frame begins here.
    frame: Option<(u64, u64)>,
    timestamp: u32,
    bytes: usize,
}

/// Makes the packets of a stream as they become due.
#[derive(Debug)]
pub(crate) struct Feed {
    keys: SharedKeys,
    sealing: Sealing,
    pattern: Pattern,
    room: Arc<RoomLog>,
    log: Arc<StreamLog>,
    window: Arc<Window>,
    logged_keys: VecDeque<Arc<KeyLog>>,
    contents: Vec<u8>,
    sealed: Vec<u8>,
    made: Vec<Made>,
    /// Picture id of the next frame (RFC 7741).
    picture_id: u16,
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
        (room, log): (Arc<RoomLog>, Arc<StreamLog>),
        window: Arc<Window>,
    ) -> Self {
        room.add_stream(log.clone());
        Self {
            keys,
            sealing,
            pattern,
            room,
            log,
            window,
            logged_keys: VecDeque::new(),
            contents: Vec::new(),
            sealed: Vec::new(),
            made: Vec::new(),
            picture_id: 0,
            key_frame_wanted: true,
            started_at: Time::default(),
            skipped: 0,
        }
    }

    /// Number of packets that the log remembers, a power of two.
    pub(crate) fn remembers(&self) -> usize {
        self.log.remembers()
    }

    /// Starts the pattern.
    pub(crate) fn start(&mut self, now: Time) {
        self.started_at = now;
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
        for n in 0..due.frames {
            let wanted = self.pattern.frame(&due, self.key_frame_wanted);
            if self.frame(&due, n, wanted, &mut packet).is_none() {
                self.skipped += 1;
            }
        }
        Some(due.lag)
    }

    fn frame(&mut self, due: &Due, n: u32, wanted: Frame, packet: &mut impl FnMut(Packet)) -> Option<()> {
        if self.contents.len() < wanted.bytes {
            self.contents = frame::contents(wanted.bytes);
        }
        let contents = self.contents.get(..wanted.bytes)?;
        let Sealing { stream, codec } = self.sealing;
        let kind = if wanted.key { FrameKind::Key } else { FrameKind::Delta };
        self.sealed.resize(codec::max_sealed_bytes(codec, contents.len()), 0);
        let length = self.keys.seal(stream, codec, kind, contents, &mut self.sealed).ok()?;
        self.sealed.truncate(length);
        let header = frame::header(codec, &self.sealed)?;
        self.key_frame_wanted &= !wanted.key;
        let timestamp = self.timestamp(due.nominal + due.spacing * n);
        let mut frame = Some((header.kid, header.ctr));
        let (next, made) = (self.log.next(), &mut self.made);
        let mut emit = |marker: bool, payload: Vec<u8>| {
            let sequence = (next + made.len() as u64) as u16;
            made.push(Made { frame: frame.take(), timestamp, bytes: payload.len() });
            packet(Packet { sequence, timestamp, marker, level: wanted.level, payload });
        };
        if codec == Codec::Opus {
            emit(false, self.sealed.clone());
        } else {
            let picture_id = self.picture_id & 0x7fff;
            self.picture_id = self.picture_id.wrapping_add(1);
            vp8_payloads(&self.sealed, picture_id, MAX_PAYLOAD_BYTES)
                .for_each(|(marker, payload)| emit(marker, payload));
        }
        Some(())
    }

    /// Logs the packets that were made: they are about to be sent.
    pub(crate) fn leaving(&mut self, now: Time) {
        let measured = self.window.contains(now);
        for made in std::mem::take(&mut self.made) {
            if let Some((kid, ctr)) = made.frame {
                self.key(kid).record(ctr, self.log.next());
            }
            self.log.record(Sent { at: now, timestamp: made.timestamp }, made.bytes, measured);
        }
    }

    /// The log of the key in use.
    fn key(&mut self, kid: u64) -> Arc<KeyLog> {
        if let Some(known) = self.logged_keys.iter().rev().find(|key| key.kid == kid) {
            return known.clone();
        }
        // As many frames as packets at most.
        let key = Arc::new(KeyLog::new(kid, self.log.clone(), self.log.remembers()));
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
        self.room.remove_stream(&self.log);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::send_log::Class;
    use e2ee_frames::{Action, Event, Seat};
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

    fn feed(sealing: Sealing, pattern: Pattern, opened: &[StreamId]) -> (Feed, Arc<RoomLog>, Arc<StreamLog>) {
        let (room, window) = (Arc::new(RoomLog::default()), Arc::new(Window::closed()));
        let log = Arc::new(StreamLog::new(Class::Video, None, 4_096));
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
        let first = room.key(header.kid).unwrap().first(header.ctr).unwrap();
        assert_eq!(log.sent(first + 4).unwrap(), Sent { at: Time::from_nanos(2_000), timestamp: packets[4].timestamp });
        assert_eq!(log.measured(), first..first + 5);
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
        assert_eq!((feed.skipped, log.next()), (2, StreamLog::FIRST));
    }
}
