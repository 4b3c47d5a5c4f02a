//! Audio and video stay together while the video changes between encodings, in virtual time. Each packet carries the moment at
//! which it was captured; receivers find that moment by the sender reports, as players do that synchronize both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod simulation;

use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp, SenderInfo},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Mid, ParticipantId, Rid, Room, RoomId, Ssrc, TrackId,
    command::{EncodingParams, Publication, Wish},
    media::Codec,
};
use simulation::{
    Datagram, Outbox,
    publisher::{ntp, packet},
    transport,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Link, Random};

const ALICE: ParticipantId = ParticipantId(1);
const BOB: ParticipantId = ParticipantId(2);
const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);
const AUDIO: &str = "a0";
const VIDEO: &str = "v0";
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
const LENGTHS: [usize; 3] = [400, 1_200, 4_000];
/// Milliseconds that encoding a frame takes: by arrival alone, the larger ones would seem to be captured later.
const LATE: [u64; 3] = [0, 30, 90];
/// What is noticed first is video behind audio by 125 ms (ITU-R BT.1359); a call keeps half of that.
const TOGETHER: f64 = 60.0;
/// What encoding takes, and the jitter of the path.
const NEAR: f64 = 100.0;
/// Delay of 30 ms, and up to 60 ms more that keep the order.
const PATH: Impairment =
    Impairment::PERFECT.delay(Duration::from_millis(30)).gaussian_jitter(Duration::from_millis(10));

/// A stream of Alice.
struct Sender {
    ssrc: Ssrc,
    /// Ticks in a millisecond, and the timestamp of Alice's first moment.
    rate: u64,
    base: u32,
    seq: u16,
    /// Milliseconds after each full second at which it reports its clock; `None`: never.
    reports: Option<u64>,
}

impl Sender {
    fn new(random: &mut Random, rate: u64, reports: Option<u64>) -> Self {
        let (base, seq) = (random.next() as u32, random.below(1 << 15) as u16);
        Self { ssrc: Ssrc(random.next() as u32), rate, base, seq, reports }
    }

    fn timestamp(&self, ms: u64) -> u32 {
        self.base.wrapping_add((ms * self.rate) as u32)
    }

    fn packet(&mut self, ms: u64, payload_type: u8, extensions: HeaderExtensions<'_>, length: usize) -> Datagram {
        self.seq = self.seq.wrapping_add(1);
        let timestamp = self.timestamp(ms);
        let header = RtpHeader { marker: true, payload_type, seq: SeqNum(self.seq), timestamp, ssrc: self.ssrc };
        let mut payload = vec![0; length];
        payload[..8].copy_from_slice(&ms.to_be_bytes());
        Datagram::Rtp(packet(header, extensions, &payload))
    }

    fn report(&self, ms: u64) -> Option<Datagram> {
        let due = self.reports.is_some_and(|at| ms % 1_000 == at);
        let info = SenderInfo { ntp: ntp(9_000, ms), timestamp: self.timestamp(ms), packets: 1, octets: 1 };
        let mut out = Vec::new();
        rtcp::write::sender_report(&mut out, self.ssrc, &info);
        due.then_some(Datagram::Rtcp(out))
    }
}

/// What Bob knows of a slot.
#[derive(Default)]
struct Playout {
    /// NTP time in milliseconds, and the timestamp that goes with it.
    clock: Option<(f64, u32)>,
    /// Timestamp of the last packet, and the millisecond of its capture.
    last: Option<(u32, u64)>,
    length: usize,
}

impl Playout {
    /// By how many milliseconds the sender report places the last packet after its capture.
    fn error(&self, rate: f64) -> Option<f64> {
        let ((at, reported), (timestamp, captured)) = (self.clock?, self.last?);
        let since = f64::from(timestamp.wrapping_sub(reported).cast_signed()) / rate;
        Some(at + since - 9_000.0 - captured as f64)
    }
}

struct Call {
    start: Instant,
    now: Instant,
    room: Room,
    out: Outbox,
    uplink: Link<Datagram>,
    microphone: Sender,
    camera: Vec<(Sender, FrameSequence)>,
    key_frame_requested: bool,
    /// When key frames were captured.
    key_frames: BTreeSet<u64>,
    slots: BTreeMap<Ssrc, Playout>,
    audio: Ssrc,
    video: Ssrc,
    /// The greatest distance of audio and video so far, in milliseconds.
    apart: f64,
}

impl Call {
    fn new(seed: u64, reports: [Option<u64>; 3]) -> Self {
        let (start, mut random) = (Instant::now(), Random::new(seed));
        let (mut room, mut out) = (Room::new(RoomId(1)), Outbox::default());
        for participant in [ALICE, BOB] {
            room.add_participant(participant, transport(participant)).unwrap();
        }
        let mut microphone = Sender::new(&mut random, 48, Some(500));
        microphone.ssrc = Ssrc(random.next() as u32);
        let rids = ["q", "h", "f"].map(|rid| Rid::new(rid).unwrap());
        let camera: Vec<_> = reports
            .into_iter()
            .zip(SIZES)
            .map(|(at, size)| (Sender::new(&mut random, 90, at), FrameSequence::new(ScalabilityMode::L1T1, &[size])))
            .collect();
        let encodings = camera.iter().zip(rids).zip(SIZES).map(|(((sender, _), rid), (_, lines))| EncodingParams {
            ssrc: Some(sender.ssrc),
            height: Some(lines),
            ..EncodingParams::named(rid)
        });
        let encodings = encodings.collect();
        let mid = |mid| Mid::new(mid).unwrap();
        let audio = Publication::single(Codec::Opus, mid("sa"), microphone.ssrc, None);
        room.publish(start, ALICE, MICROPHONE, audio).unwrap();
        room.publish(start, ALICE, CAMERA, Publication { codec: Codec::Vp9, mid: mid("sv"), encodings, screen: false })
            .unwrap();
        let mut slot = |name, codec, track: TrackId| {
            let (ssrc, _) = room.add_slot(BOB, mid(name), codec).unwrap();
            room.activate_slot(start, BOB, mid(name), &mut out).unwrap();
            room.set_slot(start, BOB, mid(name), Some(track.into()), &mut out).unwrap();
            ssrc
        };
        let (audio, video) = (slot(AUDIO, Codec::Opus, MICROPHONE), slot(VIDEO, Codec::Vp9, CAMERA));
        Self {
            start,
            now: start,
            room,
            out,
            uplink: Link::new(PATH, seed, start),
            microphone,
            camera,
            key_frame_requested: true,
            key_frames: BTreeSet::new(),
            slots: [audio, video].map(|ssrc| (ssrc, Playout::default())).into(),
            audio,
            video,
            apart: 0.0,
        }
    }

    fn show(&mut self, height: u16) {
        let wish = Wish { mid: Mid::new(VIDEO).unwrap(), height, pinned: false, paused: false };
        self.room.set_wishes(self.now, BOB, &[wish], &mut self.out).unwrap();
    }

    /// The encoding that Bob receives, by its number.
    fn shown(&self) -> Option<usize> {
        LENGTHS.iter().position(|length| *length == self.slots[&self.video].length)
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Duration::from_millis(1);
            self.send();
            for datagram in self.uplink.arrived(self.now).collect::<Vec<_>>() {
                match datagram {
                    Datagram::Rtp(packet) => _ = self.room.receive_rtp(self.now, ALICE, &packet, &mut self.out),
                    Datagram::Rtcp(packet) => self.room.receive_rtcp(self.now, ALICE, &packet, &mut self.out),
                }
            }
            if self.room.next_deadline().is_some_and(|at| at <= self.now) {
                self.room.tick(self.now, &mut self.out);
            }
            self.receive();
        }
    }

    fn send(&mut self) {
        let ms = u64::try_from((self.now - self.start).as_millis()).unwrap();
        let mut sent = Vec::new();
        if ms.is_multiple_of(20) {
            sent.push(self.microphone.packet(ms, 111, HeaderExtensions::default(), 80));
        }
        sent.extend(self.microphone.report(ms));
        if ms.is_multiple_of(33) && std::mem::take(&mut self.key_frame_requested) {
            self.key_frames.insert(ms);
        }
        for ((sender, frames), (length, late)) in self.camera.iter_mut().zip(LENGTHS.into_iter().zip(LATE)) {
            if let Some(captured) = ms.checked_sub(late).filter(|captured| captured.is_multiple_of(33)) {
                let frame = frames.next_unit(captured == 0 || self.key_frames.contains(&captured))[0];
                let mut descriptor = Vec::new();
                dependency_descriptor::write(&mut descriptor, &frame, frames.structure()).unwrap();
                let extensions = HeaderExtensions { dependency: Some(&descriptor), ..HeaderExtensions::default() };
                sent.push(sender.packet(captured, 98, extensions, length));
            }
            sent.extend(sender.report(ms));
        }
        for datagram in sent {
            let (Datagram::Rtp(bytes) | Datagram::Rtcp(bytes)) = &datagram;
            self.uplink.send(self.now, bytes.len(), datagram);
        }
    }

    fn receive(&mut self) {
        for (to, datagram) in std::mem::take(&mut self.out.packets) {
            match datagram {
                Datagram::Rtp(bytes) if to == BOB => {
                    let packet = RtpPacket::parse(&bytes).unwrap();
                    let (Some(slot), Some(mark)) =
                        (self.slots.get_mut(&packet.ssrc), packet.payload.first_chunk::<8>())
                    else {
                        continue;
                    };
                    slot.length = packet.payload.len();
                    slot.last = Some((packet.timestamp, u64::from_be_bytes(*mark)));
                }
                Datagram::Rtcp(bytes) => {
                    for part in rtcp::parse(&bytes) {
                        match part {
                            Rtcp::Pli { .. } if to == ALICE => self.key_frame_requested = true,
                            Rtcp::SenderReport { ssrc, info, .. } if to == BOB => {
                                let at = info.ntp as f64 / f64::from(1u32 << 16) / f64::from(1u32 << 16) * 1e3;
                                self.slots.get_mut(&ssrc).unwrap().clock = Some((at, info.timestamp));
                            }
                            _ => {}
                        }
                    }
                }
                Datagram::Rtp(_) => {}
            }
        }
        // A report that comes with the first frame of an encoding is there before the frame is shown.
        if let (Some(audio), Some(video)) = (self.slots[&self.audio].error(48.0), self.slots[&self.video].error(90.0)) {
            self.apart = self.apart.max((audio - video).abs());
        }
    }

    /// Changes between all pairs of encodings, 20 times, at moments that have nothing to do with reports, and no faster than a
    /// subscriber may request key frames.
    fn change_twenty_times(&mut self, random: &mut Random) {
        for change in 0..20 {
            let wanted = [0, 2, 1, 0, 1, 2][change % 6];
            self.show(SIZES[wanted].1);
            self.run(3_000 + random.below(1_000));
            assert_eq!(self.shown(), Some(wanted), "change {change}");
        }
    }
}

#[test]
fn audio_and_video_stay_together_through_twenty_changes_of_the_encoding() {
    for seed in 1..=2 {
        let (mut call, mut random) = (Call::new(seed, [Some(100), Some(450), Some(800)]), Random::new(seed));
        // Until each encoding has reported its clock.
        call.run(3_000);
        call.apart = 0.0;
        call.change_twenty_times(&mut random);
        assert!(call.apart <= TOGETHER, "seed {seed}: {} ms", call.apart);
        assert!(call.slots[&call.video].error(90.0).is_some());
    }
}

/// One encoding tells no clock, and is placed by arrival: it is off by what its frames are late, which does not add up.
#[test]
fn encoding_without_reports_stays_near() {
    for seed in 1..=2 {
        let (mut call, mut random) = (Call::new(seed, [Some(100), None, Some(800)]), Random::new(seed));
        // Until each encoding has reported its clock.
        call.run(3_000);
        call.apart = 0.0;
        call.change_twenty_times(&mut random);
        assert!(call.apart <= NEAR, "seed {seed}: {} ms", call.apart);
    }
}
