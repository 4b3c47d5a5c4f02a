//! Random sequences of requests: what the clients were sent is the state of the room.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use tacet_proto::limits::MAX_MESSAGE_BYTES;

const PEOPLE: u32 = 6;

#[derive(Clone, Debug)]
enum Step {
    Join(u32),
    Leave(u32),
    Auto(u32),
    Publish(u32, bool),
    /// The participant, and an index into all tracks.
    Unpublish(u32, usize),
    Mute(u32, usize, bool),
    Resync(u32),
    Keys(u32, Vec<u16>),
    Garbage(u32, Vec<u8>),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..PEOPLE;
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Join),
        2 => who.clone().prop_map(Step::Leave),
        3 => who.clone().prop_map(Step::Auto),
        5 => (who.clone(), any::<bool>()).prop_map(|(who, video)| Step::Publish(who, video)),
        2 => (who.clone(), 0usize..8).prop_map(|(who, track)| Step::Unpublish(who, track)),
        2 => (who.clone(), 0usize..8, any::<bool>()).prop_map(|(who, track, muted)| Step::Mute(who, track, muted)),
        1 => who.clone().prop_map(Step::Resync),
        2 => (who.clone(), proptest::collection::vec(0u16..8, 1..12)).prop_map(|(who, seats)| Step::Keys(who, seats)),
        1 => (who, proptest::collection::vec(any::<u8>(), 0..300)).prop_map(|(who, bytes)| Step::Garbage(who, bytes)),
        4 => (0u64..200).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What a client knows from the messages that it received.
#[derive(Debug, Default)]
struct View {
    rev: u32,
    roster: BTreeMap<ParticipantId, Seat>,
    announced: BTreeSet<ParticipantId>,
    tracks: BTreeMap<TrackId, Track>,
    slots: BTreeMap<String, Option<SlotContent>>,
    auto: bool,
}

impl View {
    fn hear(&mut self, outgoing: Outgoing) {
        let message = match outgoing {
            Outgoing::Message { re, message } => {
                let text = tacet_proto::ServerEnvelope { seq: u32::MAX, re, message: message.clone() }.to_json();
                assert!(text.len() <= MAX_MESSAGE_BYTES);
                message
            }
            Outgoing::Binary(bytes) => {
                assert!(bytes.len() <= MAX_MESSAGE_BYTES);
                if let (_, ServerBinary::Announces(entries)) = binary::parse_server(&bytes).unwrap() {
                    for entry in entries {
                        assert_eq!(
                            self.roster.get(&entry.participant),
                            Some(&entry.seat),
                            "announced, not on the roster"
                        );
                        self.announced.insert(entry.participant);
                    }
                }
                return;
            }
        };
        match message {
            ServerMessage::Joined(joined) => {
                self.rev = joined.rev;
                self.roster = joined.roster.iter().map(|entry| (entry.participant, entry.seat)).collect();
                self.tracks = joined.tracks.into_iter().map(|track| (track.track, track)).collect();
            }
            ServerMessage::Roster(roster) => {
                assert_eq!(roster.rev, self.rev + 1, "a gap");
                self.rev = roster.rev;
                if roster.full {
                    self.roster.clear();
                }
                for gone in roster.del {
                    // Of a participant that joined and left in between only the leave is sent.
                    self.roster.remove(&gone);
                    self.announced.remove(&gone);
                }
                self.roster.extend(roster.add.iter().map(|entry| (entry.participant, entry.seat)));
                self.announced.retain(|participant| self.roster.contains_key(participant));
            }
            ServerMessage::Tracks(tracks) => {
                for gone in tracks.del {
                    assert!(self.tracks.remove(&gone).is_some(), "withdrawn, but never published");
                }
                self.tracks.extend(tracks.add.into_iter().map(|track| (track.track, track)));
                for changed in tracks.upd {
                    assert!(self.tracks.insert(changed.track, changed).is_some(), "changed, but never published");
                }
            }
            ServerMessage::Slots(slots) => {
                for slot in slots.add {
                    assert!(self.slots.insert(slot.mid, None).is_none(), "a slot twice");
                }
                for set in slots.set {
                    let slot = self.slots.get_mut(&set.mid).expect("a slot that was added before");
                    *slot = set.source;
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn client_view_equals_room_state(steps in steps()) {
        let mut story = Story::new();
        // People who leave come back as new participants.
        let mut current: HashMap<u32, u32> = HashMap::new();
        let mut next = 1;
        let mut published: Vec<TrackId> = Vec::new();
        let mut views: BTreeMap<u32, View> = BTreeMap::new();
        for step in steps {
            let id = |who: u32| current.get(&who).copied().unwrap_or(9_999);
            match step {
                Step::Join(who) => {
                    if let std::collections::hash_map::Entry::Vacant(vacant) = current.entry(who) {
                        vacant.insert(next);
                        views.insert(next, View::default());
                        story.enter(next);
                        story.ask(next, join(next as u8));
                        next += 1;
                    }
                }
                Step::Leave(who) => {
                    if let Some(id) = current.remove(&who) {
                        story.leave(id);
                        story.settle();
                        story.take(id);
                        views.remove(&id);
                    }
                }
                Step::Auto(who) => {
                    story.ask(id(who), auto());
                    if let Some(view) = views.get_mut(&id(who)) {
                        view.auto = true;
                    }
                }
                Step::Publish(who, video) => {
                    story.ask(id(who), ClientMessage::Publish(if video { cam() } else { mic() }));
                    published.extend(story.heard.values().flatten().filter_map(|outgoing| match outgoing {
                        Outgoing::Message { message: ServerMessage::Published(p), .. } => Some(p.track),
                        _ => None,
                    }));
                }
                Step::Unpublish(who, track) => {
                    if let Some(&track) = published.get(track) {
                        story.ask(id(who), ClientMessage::Unpublish(TrackRef { track }));
                    }
                }
                Step::Mute(who, track, muted) => {
                    if let Some(&track) = published.get(track) {
                        let track = TrackRef { track };
                        let message = if muted { ClientMessage::Mute(track) } else { ClientMessage::Unmute(track) };
                        story.ask(id(who), message);
                    }
                }
                Step::Resync(who) => story.ask(id(who), ClientMessage::Resync(Empty {})),
                Step::Keys(who, seats) => story.binary(id(who), &key_batch(&seats)),
                Step::Garbage(who, bytes) => story.binary(id(who), &bytes),
                Step::Wait(ms) => {
                    story.pass(Duration::from_millis(ms));
                }
            }
            for (&id, view) in &mut views {
                story.take(id).into_iter().for_each(|outgoing| view.hear(outgoing));
            }
        }
        story.quiet();
        for (&id, view) in &mut views {
            story.take(id).into_iter().for_each(|outgoing| view.hear(outgoing));
            let me = ParticipantId(id);
            let others: BTreeMap<_, _> = story
                .room
                .members
                .iter()
                .filter(|(other, _)| **other != me)
                .map(|(other, member)| (*other, member.announced.seat))
                .collect();
            prop_assert_eq!(&view.roster, &others);
            prop_assert_eq!(&view.announced, &others.keys().copied().collect::<BTreeSet<_>>());
            let foreign: BTreeMap<_, _> = story
                .room
                .tracks
                .values()
                .filter(|published| published.track.participant != me)
                .map(|published| (published.track.track, published.track.clone()))
                .collect();
            prop_assert_eq!(&view.tracks, &foreign);
            let content = |slot: Option<SlotContent>| match slot? {
                SlotContent::Track(source) => Some(foreign[&source.track].clone()),
                SlotContent::Speaker(_) => None,
            };
            let (audio, mut video): (Vec<_>, Vec<_>) =
                view.slots.values().copied().filter_map(content).partition(|track| track.kind == Kind::Audio);
            video.sort_unstable_by_key(|track| track.track);
            let auto = view.auto;
            let of_kind = |kind| foreign.values().filter(move |track| auto && track.kind == kind);
            prop_assert!(video.iter().eq(of_kind(Kind::Video)), "every wanted video track is in exactly one slot");
            let speakers = view.slots.values().filter(|slot| matches!(slot, Some(SlotContent::Speaker(_)))).count();
            if auto && story.room.audio.is_speakers() {
                prop_assert_eq!((speakers, audio.len()), (6, 0));
            } else {
                let heard = |track: &Track| audio.iter().filter(|other| other.track == track.track).count();
                prop_assert!(of_kind(Kind::Audio).all(|track| heard(track) == 1 || track.muted && heard(track) == 0));
                prop_assert_eq!((speakers, audio.len()), (0, of_kind(Kind::Audio).count().min(10)));
            }
        }
    }
}
