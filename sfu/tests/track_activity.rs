//! Which tracks send: packets that stop and return, muted tracks, and what watching costs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulation;

use rtp_wire::{
    header::{HeaderExtensions, RtpHeader},
    seq::SeqNum,
};
use sfu::{
    Event, Mid, ParticipantId, Room, RoomId, Ssrc, TrackId, command::Publication, event::TRACK_SILENCE, limits::TRACKS,
    media::Codec,
};
use simulation::{Outbox, publisher::packet, transport};
use std::time::{Duration, Instant};

const ALICE: ParticipantId = ParticipantId(1);
const MICROPHONE: TrackId = TrackId(7);
/// A change is noticed at most this long after it could have been.
const LATEST: Duration = Duration::from_millis(250);

/// Alice in a room, in virtual time.
struct Call {
    start: Instant,
    now: Instant,
    room: Room,
    out: Outbox,
    seq: u16,
}

impl Call {
    fn new() -> Self {
        let (now, mut room) = (Instant::now(), Room::new(RoomId(1)));
        room.add_participant(ALICE, transport(ALICE)).unwrap();
        Self { start: now, now, room, out: Outbox::default(), seq: 0 }
    }

    fn publish(&mut self) {
        let microphone = Publication::single(Codec::Opus, Mid::new("sa").unwrap(), Ssrc(1), None);
        self.room.publish(self.now, ALICE, MICROPHONE, microphone).unwrap();
    }

    fn mute(&mut self, muted: bool) {
        self.room.set_muted(self.now, ALICE, MICROPHONE, muted).unwrap();
    }

    fn send(&mut self) {
        let seq = SeqNum(self.seq);
        let header = RtpHeader { marker: false, payload_type: 111, seq, timestamp: 0, ssrc: Ssrc(1) };
        self.seq += 1;
        self.room.receive_rtp(self.now, ALICE, &packet(header, HeaderExtensions::default(), b"x"), &mut self.out);
    }

    /// Lets time pass, in steps of 10 ms with a packet each if the track sends. Returns the changes: milliseconds since
    /// the start, and whether the track is active.
    fn pass(&mut self, time: Duration, sends: bool) -> Vec<(u128, bool)> {
        let (end, mut changes) = (self.now + time, Vec::new());
        while self.now < end {
            self.now += Duration::from_millis(10);
            if sends {
                self.send();
            }
            self.room.tick(self.now, &mut self.out);
            while let Some(event) = self.room.poll_event() {
                if let Event::TrackActivity { participant: ALICE, track: MICROPHONE, active } = event {
                    changes.push(((self.now - self.start).as_millis(), active));
                }
            }
        }
        changes
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Asserts that there is one change, to this state, between `earliest` and [`LATEST`] after it.
#[track_caller]
fn assert_one(changes: &[(u128, bool)], active: bool, earliest: Duration) {
    let [(at, changed)] = changes else { panic!("one change: {changes:?}") };
    let window = earliest.as_millis()..=(earliest + LATEST + Duration::from_millis(20)).as_millis();
    assert!(*changed == active && window.contains(at), "{changes:?} is not {active} in {window:?}");
}

#[test]
fn track_that_never_sends_is_silent() {
    let mut call = Call::new();
    call.publish();
    assert_one(&call.pass(MINUTE, false), false, TRACK_SILENCE);
}

#[test]
fn track_is_active_while_packets_arrive() {
    let mut call = Call::new();
    call.publish();
    assert_one(&call.pass(MINUTE, true), true, Duration::ZERO);
    assert_one(&call.pass(MINUTE, false), false, MINUTE + TRACK_SILENCE);
    assert_one(&call.pass(MINUTE, true), true, 2 * MINUTE);
}

/// A gap that is shorter than the silence, as of a lossy path or of discontinuous transmission, is none.
#[test]
fn track_with_short_gaps_stays_active() {
    let mut call = Call::new();
    call.publish();
    call.pass(MINUTE, true);
    for _ in 0..20 {
        call.send();
        assert_eq!(call.pass(TRACK_SILENCE - Duration::from_millis(20), false), []);
    }
}

#[test]
fn muted_track_is_not_watched() {
    let mut call = Call::new();
    call.publish();
    call.pass(MINUTE, true);
    call.mute(true);
    assert_eq!(call.pass(MINUTE, false), []);
    call.mute(false);
    assert_one(&call.pass(MINUTE, false), false, 2 * MINUTE + TRACK_SILENCE);
    call.mute(true);
    assert_eq!(call.pass(MINUTE, true), [], "packets of a muted track");
    call.mute(false);
    assert_one(&call.pass(MINUTE, true), true, 4 * MINUTE);
    call.mute(false);
    assert_one(&call.pass(MINUTE, false), false, 5 * MINUTE + TRACK_SILENCE);
    call.mute(false);
    assert_eq!(call.pass(MINUTE, false), [], "it was not muted");
}

#[test]
fn unpublished_track_reports_nothing_and_leaves_no_timer() {
    let mut call = Call::new();
    call.publish();
    call.room.unpublish(ALICE, MICROPHONE).unwrap();
    assert_eq!(call.pass(MINUTE, false), []);
    assert_eq!(call.room.next_deadline(), None);
}

/// A worker that was stopped has packets in its socket that it has not read.
#[test]
fn stopped_worker_calls_no_track_silent() {
    let mut call = Call::new();
    call.publish();
    call.pass(MINUTE, true);
    call.now += MINUTE;
    assert_eq!(call.pass(Duration::from_millis(10), false), []);
    assert_eq!(call.pass(MINUTE, true), []);
}

#[test]
fn watching_1000_tracks_wakes_the_room_four_times_a_second() {
    let (now, mut room, mut out) = (Instant::now(), Room::new(RoomId(1)), Outbox::default());
    for n in 0..1_000 {
        let participant = ParticipantId(n / TRACKS as u32);
        if n.is_multiple_of(TRACKS as u32) {
            room.add_participant(participant, transport(participant)).unwrap();
        }
        let mid = Mid::new(&n.to_string()).unwrap();
        let at = now + Duration::from_millis(n.into());
        let publication = Publication::single(Codec::Opus, mid, Ssrc(n), None);
        room.publish(at, participant, TrackId(n), publication).unwrap();
    }
    let (mut wakes, mut events) = (0, 0);
    while let Some(at) = room.next_deadline().filter(|at| *at <= now + Duration::from_secs(10)) {
        room.tick(at, &mut out);
        wakes += 1;
        events += std::iter::from_fn(|| room.poll_event()).count();
    }
    assert_eq!((wakes, events), (40, 1_000));
}
