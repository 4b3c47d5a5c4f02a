//! A track in several encodings: how they are learned, watched, asked for key frames, and stopped while no one wants them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use proptest::prelude::*;
use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    rtcp::{self, Rtcp},
    seq::SeqNum,
};
use sfu::{
    CommandError, Event, Mid, ParticipantId, Rid, Room, RoomId, Ssrc, TrackId,
    command::{EncodingParams, Publication},
    media::Codec,
};
use simulation::{Datagram, Outbox, publisher::packet, transport};
use std::time::{Duration, Instant};

const ALICE: ParticipantId = ParticipantId(1);
const BOB: ParticipantId = ParticipantId(2);
const CAMERA: TrackId = TrackId(7);
const RIDS: [&str; 3] = ["q", "h", "f"];
/// A VP8 key frame and another frame: payload descriptor, first byte of the frame.
const KEY: [u8; 3] = [0x10, 0x10, 0];
const DELTA: [u8; 3] = [0x10, 0x11, 0];

fn named(rid: &str) -> EncodingParams {
    EncodingParams::named(Rid::new(rid).unwrap())
}

/// A camera in three sizes, of which no SSRC is known.
fn camera() -> Publication {
    let heights = [180, 360, 720];
    let encodings = RIDS.iter().zip(heights).map(|(rid, lines)| EncodingParams { height: Some(lines), ..named(rid) });
    Publication { codec: Codec::Vp8, mid: Mid::new("sv").unwrap(), encodings: encodings.collect(), screen: false }
}

/// SSRCs that Alice chooses for an encoding, by position.
const fn media(encoding: usize) -> Ssrc {
    Ssrc(100 + encoding as u32)
}

const fn rtx(encoding: usize) -> Ssrc {
    Ssrc(200 + encoding as u32)
}

/// Alice, who publishes her camera, and Bob, who has a slot, in virtual time.
struct Call {
    now: Instant,
    room: Room,
    out: Outbox,
    seq: u16,
}

impl Call {
    fn new() -> Self {
        let (now, mut room) = (Instant::now(), Room::new(RoomId(1)));
        for participant in [ALICE, BOB] {
            room.add_participant(participant, transport(participant)).unwrap();
        }
        room.add_slot(BOB, Mid::new("v0").unwrap(), Codec::Vp8).unwrap();
        room.publish(now, ALICE, CAMERA, camera()).unwrap();
        Self { now, room, out: Outbox::default(), seq: 0 }
    }

    /// Bob gets Alice's camera.
    fn subscribe(&mut self) {
        let Self { now, room, out, .. } = self;
        let slot = Mid::new("v0").unwrap();
        room.set_slot(*now, BOB, slot, Some(CAMERA.into()), out).unwrap();
        room.activate_slot(*now, BOB, slot, out).unwrap();
    }

    fn unsubscribe(&mut self) {
        self.room.set_slot(self.now, BOB, Mid::new("v0").unwrap(), None, &mut self.out).unwrap();
    }

    fn receive(&mut self, ssrc: Ssrc, payload_type: u8, payload: &[u8], extensions: HeaderExtensions<'_>) {
        self.seq += 1;
        let header = RtpHeader { marker: true, payload_type, seq: SeqNum(self.seq), timestamp: 3_000, ssrc };
        self.room.receive_rtp(self.now, ALICE, &packet(header, extensions, payload), &mut self.out);
        self.room.forward(self.now, &mut self.out);
    }

    /// Alice sends a packet that names its encoding, as browsers do until its SSRC was acknowledged.
    fn send_named(&mut self, encoding: usize, payload: &[u8]) {
        let rid = Some(RIDS[encoding].as_bytes());
        let extensions = HeaderExtensions { mid: Some(b"sv"), rid, ..HeaderExtensions::default() };
        self.receive(media(encoding), 96, payload, extensions);
    }

    /// The same on the RTX stream: a probe, which repeats nothing.
    fn probe_named(&mut self, encoding: usize) {
        let repaired_rid = Some(RIDS[encoding].as_bytes());
        let extensions = HeaderExtensions { mid: Some(b"sv"), repaired_rid, ..HeaderExtensions::default() };
        self.receive(rtx(encoding), 97, &[], extensions);
    }

    /// Alice sends a packet in some encodings.
    fn send(&mut self, encodings: &[usize]) {
        for &encoding in encodings {
            self.receive(media(encoding), 96, &DELTA, HeaderExtensions::default());
        }
    }

    /// Lets time pass, while Alice sends in some encodings. Returns the events.
    fn pass(&mut self, time: Duration, encodings: &[usize]) -> Vec<Event> {
        let (end, mut events) = (self.now + time, Vec::new());
        while self.now < end {
            self.now += Duration::from_millis(50);
            self.send(encodings);
            self.room.tick(self.now, &mut self.out);
            events.extend(std::iter::from_fn(|| self.room.poll_event()));
        }
        events
    }

    /// The SSRCs that Alice was asked for key frames of.
    fn key_frame_requests(&mut self) -> Vec<Ssrc> {
        let sent = std::mem::take(&mut self.out.packets).into_iter();
        let to_alice = sent.filter_map(|(to, datagram)| match datagram {
            Datagram::Rtcp(bytes) if to == ALICE => Some(bytes),
            _ => None,
        });
        let media = |bytes: Vec<u8>| {
            rtcp::parse(&bytes)
                .filter_map(|part| if let Rtcp::Pli { media } = part { Some(media) } else { None })
                .collect()
        };
        to_alice.flat_map(|bytes| -> Vec<Ssrc> { media(bytes) }).collect()
    }
}

#[test]
fn encodings_without_names_are_refused() {
    let mut call = Call::new();
    let mid = Mid::new("x").unwrap();
    let with = |ssrc, rtx| EncodingParams { ssrc: Some(Ssrc(ssrc)), rtx: Some(Ssrc(rtx)), ..named("q") };
    for (codec, encodings) in [
        (Codec::Vp8, vec![]),
        (Codec::Vp8, ["a", "b", "c", "d"].map(named).to_vec()),
        (Codec::Vp8, vec![named("q"), named("q")]),
        (Codec::Vp8, vec![named("q"), EncodingParams::default()]),
        (Codec::Vp8, vec![with(500, 501), EncodingParams { ssrc: Some(Ssrc(501)), ..named("h") }]),
        (Codec::Opus, vec![named("q"), named("h")]),
    ] {
        let publication = Publication { codec, mid, encodings, screen: false };
        let refused = call.room.publish(call.now, ALICE, TrackId(8), publication.clone());
        assert_eq!(refused, Err(CommandError::Invalid), "{publication:?}");
    }
    let taken = Publication { codec: Codec::Vp8, mid, encodings: vec![named("q"), with(500, 100)], screen: false };
    call.send_named(0, &KEY);
    assert_eq!(call.room.publish(call.now, ALICE, TrackId(8), taken), Err(CommandError::Invalid), "one RID twice");
    assert_eq!(call.room.tracks(), 1);
}

/// The first packets of an encoding, by position: of the media stream, or of the RTX stream.
fn first_packets() -> impl Strategy<Value = Vec<(usize, bool)>> {
    Just((0..3).flat_map(|encoding| [(encoding, false), (encoding, true)]).collect::<Vec<_>>()).prop_shuffle()
}

proptest! {
    #[test]
    fn encodings_are_learned_in_any_order(order in first_packets()) {
        let mut call = Call::new();
        for (encoding, is_rtx) in order {
            if is_rtx { call.probe_named(encoding) } else { call.send_named(encoding, &KEY) }
        }
        // From now on the SSRC says it, on both streams: of three packets the second is lost and retransmitted.
        call.room.take_stats();
        for encoding in 0..3 {
            call.send(&[encoding]);
            call.seq += 1;
            let lost = call.seq;
            call.send(&[encoding]);
            let repeated = [&lost.to_be_bytes()[..], &DELTA].concat();
            call.receive(rtx(encoding), 97, &repeated, HeaderExtensions::default());
        }
        let stats = call.room.stats();
        prop_assert_eq!((stats.unknown_ssrc, stats.unknown_rid, stats.malformed), (0, 0, 0));
        prop_assert_eq!(stats.recovered, 3, "retransmissions reach their encoding");
    }
}

#[test]
fn encodings_that_are_published_again_are_known_without_names() {
    let mut call = Call::new();
    for encoding in 0..3 {
        call.send_named(encoding, &KEY);
        call.probe_named(encoding);
    }
    for again in [TrackId(8), CAMERA] {
        let before = if again == CAMERA { TrackId(8) } else { CAMERA };
        call.room.unpublish(ALICE, before).unwrap();
        call.send(&[0, 1, 2]);
        call.room.publish(call.now, ALICE, again, camera()).unwrap();
        call.room.take_stats();
        for encoding in 0..3 {
            call.receive(media(encoding), 96, &KEY, HeaderExtensions::default());
            call.seq += 1;
            let lost = call.seq;
            call.send(&[encoding]);
            let repeated = [&lost.to_be_bytes()[..], &DELTA].concat();
            call.receive(rtx(encoding), 97, &repeated, HeaderExtensions::default());
        }
        let stats = call.room.stats();
        assert_eq!((stats.unknown_ssrc, stats.malformed, stats.recovered), (0, 0, 3));
    }
    call.subscribe();
    call.receive(media(0), 96, &KEY, HeaderExtensions::default());
    assert!(call.out.packets.iter().any(|(to, _)| *to == BOB), "it is forwarded");
}

#[test]
fn encoding_that_is_published_again_may_have_another_ssrc() {
    let mut call = Call::new();
    call.send_named(0, &KEY);
    call.room.unpublish(ALICE, CAMERA).unwrap();
    call.room.publish(call.now, ALICE, TrackId(8), camera()).unwrap();
    call.room.take_stats();
    let extensions = HeaderExtensions { mid: Some(b"sv"), rid: Some(b"q"), ..HeaderExtensions::default() };
    call.receive(Ssrc(900), 96, &KEY, extensions);
    call.receive(Ssrc(900), 96, &DELTA, HeaderExtensions::default());
    assert_eq!(call.room.stats().unknown_ssrc, 0);
    call.receive(media(0), 96, &DELTA, HeaderExtensions::default());
    assert_eq!(call.room.stats().unknown_ssrc, 1, "the former SSRC has been replaced");
}

#[test]
fn ssrc_of_a_withdrawn_track_can_be_signaled_for_another() {
    let mut call = Call::new();
    call.send_named(0, &KEY);
    call.room.unpublish(ALICE, CAMERA).unwrap();
    let encodings = vec![EncodingParams { ssrc: Some(media(0)), ..EncodingParams::default() }];
    let other = Publication { codec: Codec::Vp8, mid: Mid::new("ss").unwrap(), encodings, screen: false };
    call.room.publish(call.now, ALICE, TrackId(8), other).unwrap();
    call.room.publish(call.now, ALICE, CAMERA, camera()).unwrap();
    call.room.unpublish(ALICE, CAMERA).unwrap();
    call.room.take_stats();
    call.send(&[0]);
    assert_eq!(call.room.stats().unknown_ssrc, 0, "it belongs to the track that it was signaled for");
}

#[test]
fn stranger_is_refused_and_counted() {
    let mut call = Call::new();
    let named = |rid| HeaderExtensions { mid: Some(b"sv"), rid: Some(rid), ..HeaderExtensions::default() };
    call.receive(Ssrc(9), 96, &KEY, named(b"x"));
    assert_eq!(call.room.stats().unknown_rid, 1);
    call.receive(Ssrc(9), 96, &KEY, HeaderExtensions { mid: Some(b"sv"), ..HeaderExtensions::default() });
    assert_eq!(call.room.stats().unknown_ssrc, 1, "no RID");
    call.receive(Ssrc(9), 97, &[], named(b"q"));
    assert_eq!(call.room.stats().unknown_ssrc, 2, "an RTX stream has a repaired RID");

    call.send_named(0, &KEY);
    call.receive(Ssrc(9), 96, &KEY, named(b"q"));
    assert_eq!(call.room.stats().unknown_ssrc, 3, "the encoding has its SSRC");
    call.send(&[0]);
    let stats = call.room.stats();
    assert_eq!((stats.unknown_ssrc, stats.unknown_rid, stats.duplicate), (3, 1, 0));
}

#[test]
fn track_sends_as_long_as_one_encoding_does() {
    let mut call = Call::new();
    for encoding in 0..3 {
        call.send_named(encoding, &KEY);
    }
    let activity = |events: Vec<Event>| -> Vec<bool> {
        events
            .iter()
            .filter_map(|event| if let Event::TrackActivity { active, .. } = event { Some(*active) } else { None })
            .collect()
    };
    assert_eq!(activity(call.pass(Duration::from_secs(5), &[0, 1, 2])), [true]);
    assert!(activity(call.pass(Duration::from_secs(5), &[2])).is_empty());
    assert_eq!(activity(call.pass(Duration::from_secs(5), &[])), [false]);
    assert_eq!(activity(call.pass(Duration::from_secs(1), &[1])), [true]);
}

#[test]
fn key_frames_are_asked_of_an_encoding_that_has_begun() {
    let mut call = Call::new();
    call.subscribe();
    assert_eq!(call.key_frame_requests(), [], "nothing has begun, and it will begin with a key frame");
    call.send_named(0, &DELTA);
    assert_eq!(call.key_frame_requests(), [media(0)], "its first key frame was lost");
    call.pass(Duration::from_secs(2), &[0, 1]);
    let again = call.key_frame_requests();
    assert!(!again.is_empty() && again.iter().all(|ssrc| *ssrc == media(0)), "only of the encoding that is waited for");
}

/// What the publisher is to send, by each event.
fn wanted(events: Vec<Event>) -> Vec<Vec<bool>> {
    let wanted = events.into_iter().filter_map(|event| match event {
        Event::LayersWanted { participant: ALICE, track: CAMERA, active, .. } => Some(active),
        _ => None,
    });
    wanted.collect()
}

#[test]
fn nothing_is_wanted_of_a_track_in_no_slot() {
    let mut call = Call::new();
    for encoding in 0..3 {
        call.send_named(encoding, &KEY);
    }
    assert_eq!(wanted(call.pass(Duration::from_secs(5), &[0, 1, 2])), [[false; 0]; 0]);
    assert_eq!(wanted(call.pass(Duration::from_secs(2), &[0, 1, 2])), [[false; 3]]);
    call.subscribe();
    let at_once: Vec<_> = std::iter::from_fn(|| call.room.poll_event()).collect();
    assert_eq!(wanted(at_once), [[true, false, false]], "the lowest, until it is known how large the video is shown");
    assert_eq!(wanted(call.pass(Duration::from_secs(2), &[0])), [[true; 3]]);
    assert_eq!(wanted(call.pass(Duration::from_secs(30), &[0, 1, 2])), [[false; 0]; 0], "nothing changes");
    call.unsubscribe();
    assert_eq!(wanted(call.pass(Duration::from_secs(30), &[0, 1, 2])), [[false; 3]]);
}
