//! Slots that play the loudest speakers, in virtual time: who is heard where, from which word on, and in one stream.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod simulation;

use sfu::{Event, Mid, Room, RoomId, SPEAKERS, SlotSource, command::CommandError, egress::TransportKey, media::Codec};
use simulation::{GOOD, Outbox, World, receiver::SlotReceiver};
use std::{collections::BTreeSet, time::Instant};

const LOUD: u8 = 25;
const SILENT: u8 = 100;
/// Of a microphone with a low gain.
const FAINT: u8 = 60;
/// A packet is 20 ms.
const PACKET: u64 = 20;

/// A packet in a slot: who sent it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    client: usize,
    made: u64,
    at: u64,
    marker: bool,
    timestamp: u32,
}

/// A room in which the first `talkers` clients have a microphone, and all have slots for speakers.
struct Meeting {
    world: World,
}

impl Meeting {
    fn new(talkers: usize, listeners: usize) -> Self {
        let mut world = World::new(1, GOOD);
        for client in 0..talkers + listeners {
            world.join();
            if client < talkers {
                world.publish_audio(client);
            }
            for position in 0..SPEAKERS {
                world.add_slot(client, &mid(position), Codec::Opus);
                world.put(client, &mid(position), Some(SlotSource::Speaker(position)));
            }
        }
        let mut meeting = Self { world };
        meeting.world.run(1_000);
        meeting
    }

    fn level(&mut self, client: usize, level: u8) {
        self.world.clients[client].audio.as_mut().unwrap().level = level;
    }

    /// These speak for `ms`, and no one else does.
    fn speak(&mut self, ms: u64, speakers: &[usize]) {
        for client in 0..self.world.clients.len() {
            if self.world.clients[client].audio.is_some() {
                self.level(client, if speakers.contains(&client) { LOUD } else { SILENT });
            }
        }
        self.world.run(ms);
    }

    /// A client says whether its participant speaks.
    fn say(&mut self, client: usize, speaking: bool) -> Result<(), CommandError> {
        let (now, id) = (self.world.now, self.world.clients[client].id);
        self.world.room.set_speaking(now, id, sfu::TrackId(id.0 * 10 + 1), speaking)
    }

    /// The clients that were last reported as speaking.
    fn reported(&self) -> Vec<usize> {
        let speakers = self.world.events.iter().rev().find_map(|event| match event {
            Event::Speakers { levels, .. } => Some(levels),
            _ => None,
        });
        let client = |id| self.world.clients.iter().position(|client| client.id == id).unwrap();
        let mut clients: Vec<_> = speakers.unwrap().iter().map(|(id, _)| client(*id)).collect();
        clients.sort_unstable();
        clients
    }

    /// Everything that came into a slot, in the order of its stream.
    fn heard(&self, client: usize, position: u8) -> Vec<Heard> {
        let slot: &SlotReceiver = self.world.slot(client, &mid(position));
        let heard = slot.packets.values().map(|packet| {
            let (made, ssrc) = packet.payload.split_first_chunk::<8>().unwrap();
            let ssrc = u32::from_be_bytes(*ssrc.first_chunk().unwrap());
            let from = |client: &simulation::Client| client.audio.as_ref().is_some_and(|audio| audio.ssrc.0 == ssrc);
            Heard {
                client: self.world.clients.iter().position(from).unwrap(),
                made: u64::from_be_bytes(*made),
                at: packet.at,
                marker: packet.marker,
                timestamp: packet.timestamp,
            }
        });
        heard.collect()
    }

    /// Who is heard in each of the slots of a client, by what came in the last 100 ms.
    fn hears(&self, client: usize) -> Vec<Option<usize>> {
        let recent = |position| {
            self.heard(client, position)
                .last()
                .filter(|heard| heard.at + 100 > self.world.ms())
                .map(|heard| heard.client)
        };
        (0..SPEAKERS).map(recent).collect()
    }
}

fn mid(position: u8) -> String {
    format!("s{position}")
}

#[test]
fn speakers_are_heard_by_all_in_the_same_slots() {
    let mut meeting = Meeting::new(9, 3);
    meeting.speak(500, &[4]);
    meeting.speak(500, &[2]);
    meeting.speak(500, &[8, 4]);
    for listener in [0, 9, 10, 11] {
        assert_eq!(meeting.hears(listener), [Some(4), Some(2), Some(8), None, None, None], "{listener}");
    }
}

/// In a room where no one else speaks, who is too quiet for speech is heard, and yet not called a speaker.
#[test]
fn quiet_microphone_is_heard_while_no_one_speaks() {
    let mut meeting = Meeting::new(20, 1);
    meeting.speak(500, &[]);
    meeting.level(7, FAINT);
    meeting.world.run(500);
    assert_eq!(meeting.hears(20), [Some(7), None, None, None, None, None]);
    assert!(!meeting.world.events.iter().any(|event| matches!(event, Event::Speakers { .. })));
    // Six who speak need all positions.
    meeting.world.run(1_500);
    (0..6).for_each(|client| meeting.level(client, LOUD));
    meeting.world.run(500);
    let heard: BTreeSet<_> = meeting.hears(20).into_iter().collect();
    assert_eq!(heard, (0..6).map(Some).collect());
}

#[test]
fn the_first_word_is_heard_from_its_beginning() {
    let mut meeting = Meeting::new(9, 1);
    meeting.world.run(10_000);
    let begins = meeting.world.ms();
    meeting.speak(500, &[3]);
    let heard = meeting.heard(9, 0);
    let first = heard[0];
    assert!(first.marker && first.made <= begins && begins <= first.made + 3 * PACKET, "{first:?} for {begins}");
    assert!(heard.iter().skip(1).all(|packet| !packet.marker));
    // Two links of 10 ms each, and the decision at the second loud packet.
    let loud = heard.iter().find(|packet| packet.made > begins).unwrap();
    assert!(loud.at - loud.made <= 20 + 3 * PACKET, "{loud:?}");
    let numbers: Vec<u64> = heard.iter().map(|packet| packet.made).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + PACKET), "every packet from then on");
}

#[test]
fn speakers_hear_another_in_place_of_themselves() {
    let mut meeting = Meeting::new(9, 1);
    let all = [0, 1, 2, 3, 4, 5, 6];
    meeting.speak(1_000, &all);
    let Some(listener) = meeting.hears(9).into_iter().collect::<Option<Vec<usize>>>() else { panic!("six are heard") };
    let understudy = *all.iter().find(|speaker| !listener.contains(speaker)).unwrap();
    for (position, speaker) in listener.iter().copied().enumerate() {
        let mut expected: Vec<Option<usize>> = listener.iter().copied().map(Some).collect();
        expected[position] = Some(understudy);
        assert_eq!(meeting.hears(speaker), expected, "{speaker}");
    }
    assert_eq!(meeting.hears(understudy), listener.iter().copied().map(Some).collect::<Vec<_>>());
    for speaker in all {
        assert!(
            (0..SPEAKERS).all(|position| meeting.heard(speaker, position).iter().all(|heard| heard.client != speaker))
        );
    }
}

#[test]
fn a_slot_is_one_stream_across_changes() {
    let mut meeting = Meeting::new(9, 2);
    for round in 0..15 {
        // One at a time, then several: positions fill up and change hands.
        let speakers = [round % 9, (round * 5 + 2) % 9, (round * 7 + 3) % 9];
        meeting.speak(900, &speakers[..1 + round % 3]);
        meeting.speak(700, &[]);
    }
    let mut changes = 0;
    for client in 0..11 {
        for position in 0..SPEAKERS {
            let slot = meeting.world.slot(client, &mid(position));
            assert_eq!((slot.missing(), slot.duplicates), (vec![], 0));
            let heard = meeting.heard(client, position);
            for pair in heard.windows(2) {
                let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed();
                assert!(step >= 960, "timestamps go on: {step}");
                if pair[0].client == pair[1].client {
                    continue;
                }
                assert!(pair[1].marker, "a change begins a talk spurt");
                changes += 1;
            }
        }
    }
    assert!(changes > 30, "{changes}");
}

#[test]
fn who_is_muted_or_leaves_frees_the_slot() {
    let mut meeting = Meeting::new(9, 1);
    meeting.speak(500, &[0, 1, 2]);
    assert_eq!(meeting.hears(9)[..3], [Some(0), Some(1), Some(2)]);
    let (now, id) = (meeting.world.now, meeting.world.clients[1].id);
    meeting.world.room.set_muted(now, id, sfu::TrackId(id.0 * 10 + 1), true).unwrap();
    meeting.speak(500, &[0, 2, 5]);
    assert_eq!(meeting.hears(9)[..4], [Some(0), Some(5), Some(2), None]);
    let id = meeting.world.clients[0].id;
    meeting.world.room.remove_participant(id);
    meeting.world.clients[0].audio.as_mut().unwrap().paused = true;
    meeting.speak(500, &[7, 2, 5]);
    assert_eq!(meeting.hears(9)[..4], [Some(7), Some(5), Some(2), None]);
}

/// Their packets carry no levels, and clients tell when their participants begin and stop to speak.
#[test]
fn speakers_are_found_by_what_clients_say() {
    let mut meeting = Meeting::new(9, 1);
    for client in &mut meeting.world.clients {
        client.audio.iter_mut().for_each(|audio| audio.levels = false);
    }
    meeting.world.run(2_000);
    meeting.speak(500, &[2]);
    assert_eq!(meeting.hears(9), [None; 6], "nothing says so");
    meeting.world.events.clear();
    let begins = meeting.world.ms();
    for (client, speaking) in [(3, true), (5, true), (4, false)] {
        meeting.say(client, speaking).unwrap();
    }
    meeting.world.run(500);
    assert_eq!(meeting.hears(9)[..3], [Some(3), Some(5), None]);
    assert_eq!(meeting.hears(3)[..3], [None, Some(5), None]);
    assert_eq!(meeting.reported(), [3, 5]);
    for position in [0, 1] {
        let first = meeting.heard(9, position)[0];
        assert!(first.marker && first.at <= begins + 20 + PACKET, "{first:?} for {begins}");
        assert!(first.made + 3 * PACKET <= begins, "with what was said just before: {first:?} for {begins}");
    }
    meeting.say(3, false).unwrap();
    meeting.world.run(3_000);
    assert_eq!(meeting.reported(), [5]);
    meeting.say(7, true).unwrap();
    meeting.world.run(500);
    assert_eq!(meeting.hears(9)[..3], [Some(3), Some(5), Some(7)], "3 keeps its position until another needs it");
    (0..2).chain([4, 6]).for_each(|client| meeting.say(client, true).unwrap());
    meeting.world.run(500);
    assert_eq!(meeting.hears(9)[..3], [Some(6), Some(5), Some(7)]);
    let (now, id) = (meeting.world.now, meeting.world.clients[5].id);
    let track = |kind: u32| sfu::TrackId(id.0 * 10 + kind);
    assert_eq!(meeting.world.room.set_speaking(now, id, track(9), true), Err(CommandError::NoTrack));
    meeting.world.publish_video(5);
    assert_eq!(meeting.world.room.set_speaking(now, id, track(0), true), Err(CommandError::CodecMismatch));
}

/// Who says that it speaks is judged by that alone.
#[test]
fn levels_beside_claims_are_ignored() {
    let mut meeting = Meeting::new(9, 1);
    meeting.say(3, false).unwrap();
    meeting.speak(500, &[3, 4]);
    assert_eq!(meeting.hears(9)[..2], [Some(4), None]);
    meeting.say(3, true).unwrap();
    meeting.speak(2_000, &[]);
    assert_eq!(meeting.hears(9)[..2], [Some(4), Some(3)]);
    assert_eq!(meeting.reported(), [3]);
}

#[test]
fn a_slot_changes_between_tracks_and_speakers() {
    let mut meeting = Meeting::new(9, 1);
    meeting.speak(500, &[0]);
    assert_eq!(meeting.hears(9)[0], Some(0));
    let track = sfu::TrackId(meeting.world.clients[6].id.0 * 10 + 1);
    meeting.world.put(9, &mid(0), Some(SlotSource::Track(track)));
    meeting.speak(500, &[0]);
    assert_eq!(meeting.hears(9)[0], Some(6), "a silent one, by name");
    meeting.world.put(9, &mid(0), Some(SlotSource::Speaker(0)));
    meeting.speak(500, &[0]);
    assert_eq!(meeting.hears(9)[0], Some(0));
    meeting.world.put(9, &mid(0), None);
    meeting.speak(500, &[0]);
    assert_eq!(meeting.hears(9)[0], None);
    assert_eq!((meeting.world.slot(9, &mid(0)).missing(), meeting.world.slot(9, &mid(0)).duplicates), (vec![], 0));
}

#[test]
fn positions_that_do_not_exist_are_refused() {
    let mut meeting = Meeting::new(1, 1);
    let id = meeting.world.clients[1].id;
    let mut refused = |mid: &str, position| {
        let source = Some(SlotSource::Speaker(position));
        let world = &mut meeting.world;
        world.room.set_slot(world.now, id, Mid::new(mid).unwrap(), source, &mut world.outbox).unwrap_err()
    };
    assert_eq!(refused("s0", SPEAKERS), CommandError::Invalid);
    let (mut few, mut outbox) = (Room::new(RoomId(2)).with_speakers(2), Outbox::default());
    few.add_participant(id, TransportKey::default()).unwrap();
    few.add_slot(id, Mid::new("s0").unwrap(), Codec::Opus).unwrap();
    let [last, beyond] = [1, 2].map(|position| {
        let source = Some(SlotSource::Speaker(position));
        few.set_slot(Instant::now(), id, Mid::new("s0").unwrap(), source, &mut outbox)
    });
    assert_eq!((last, beyond), (Ok(()), Err(CommandError::Invalid)));
    meeting.world.add_slot(1, "v", Codec::Vp8);
    let world = &mut meeting.world;
    let video =
        world.room.set_slot(world.now, id, Mid::new("v").unwrap(), Some(SlotSource::Speaker(0)), &mut world.outbox);
    assert_eq!(video.unwrap_err(), CommandError::CodecMismatch);
}
