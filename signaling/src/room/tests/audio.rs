//! Who hears what as tracks are muted and unmuted.

use super::*;

/// What each audio slot of a member holds, as it was sent.
#[derive(Default)]
struct Ears {
    slots: BTreeMap<String, Option<SlotContent>>,
    messages: usize,
}

impl Ears {
    fn hear(&mut self, story: &mut Story, who: u32) {
        for message in story.messages(who) {
            let ServerMessage::Slots(slots) = message else { continue };
            self.messages += 1;
            self.slots
                .extend(slots.add.into_iter().filter(|slot| slot.kind == Kind::Audio).map(|slot| (slot.mid, None)));
            for set in slots.set {
                if let Some(slot) = self.slots.get_mut(&set.mid) {
                    *slot = set.source;
                }
            }
        }
    }

    fn tracks(&self) -> BTreeSet<TrackId> {
        self.slots.values().filter_map(|content| content.as_ref()?.track()).map(|held| held.track).collect()
    }

    fn speakers(&self) -> BTreeSet<u8> {
        let speaker = |content: &Option<SlotContent>| match content {
            Some(SlotContent::Speaker(position)) => Some(position.speaker),
            _ => None,
        };
        self.slots.values().filter_map(speaker).collect()
    }
}

/// Member 1 listens to everything, member 2 to one track, and the microphones of 11 to 25 are muted.
struct Hall {
    story: Story,
    tracks: Vec<TrackId>,
    ears: Ears,
}

impl Hall {
    fn new() -> Self {
        Self::with(RoomLimits::default())
    }

    fn with(limits: RoomLimits) -> Self {
        let mut story = Story::with(limits);
        story.join_and_subscribe(1);
        story.join(2);
        let tracks = (11..26).map(|who| {
            story.join(who);
            story.publish(who, Publish { muted: true, ..mic() })
        });
        let mut hall = Self { tracks: tracks.collect(), story, ears: Ears::default() };
        hall.listen();
        hall
    }

    /// Mutes or unmutes the microphones of this range, and returns how many `slots` member 1 was sent for that.
    fn set_muted(&mut self, range: std::ops::Range<usize>, muted: bool) -> usize {
        for index in range {
            let track = TrackRef { track: self.tracks[index] };
            let message = if muted { ClientMessage::Mute(track) } else { ClientMessage::Unmute(track) };
            self.story.ask(11 + index as u32, message);
        }
        self.listen()
    }

    /// Lets few be unmuted long enough.
    fn wait(&mut self) -> usize {
        self.story.pass(Duration::from_secs(10));
        self.listen()
    }

    fn listen(&mut self) -> usize {
        self.story.quiet();
        let before = self.ears.messages;
        self.ears.hear(&mut self.story, 1);
        self.ears.messages - before
    }

    fn unmuted(&self) -> BTreeSet<TrackId> {
        let tracks = self.story.room.tracks.values().map(|published| &published.track);
        tracks.filter(|track| !track.muted).map(|track| track.track).collect()
    }
}

#[test]
fn unmuted_tracks_take_the_slots_of_muted_ones() {
    let mut hall = Hall::new();
    assert_eq!(hall.ears.slots.len(), 10, "ten of fifteen muted ones have a slot");
    assert_eq!(hall.ears.tracks().len(), 10);
    assert_eq!(hall.set_muted(0..10, false), 0, "they have slots");
    assert_eq!(hall.ears.tracks(), hall.unmuted());
    hall.set_muted(0..5, true);
    assert!(hall.set_muted(10..15, false) <= 2, "the first at once, the others together");
    assert!(hall.ears.tracks().is_superset(&hall.unmuted()));
    assert_eq!((hall.ears.slots.len(), hall.unmuted().len()), (10, 10));
}

#[test]
fn speakers_replace_tracks_while_too_many_are_unmuted() {
    let mut hall = Hall::new();
    hall.set_muted(0..10, false);
    assert_eq!(hall.set_muted(10..11, false), 1, "one message for the change");
    assert_eq!((hall.ears.speakers(), hall.ears.tracks()), ((0..6).collect(), BTreeSet::new()));
    let set = hall.story.commands.iter().filter_map(|command| match command {
        Command::SetSlot { participant: ParticipantId(1), source: Some(sfu_api::SlotSource::Speaker(n)), .. } => {
            Some(*n)
        }
        _ => None,
    });
    assert_eq!(set.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(hall.set_muted(0..2, true), 0, "nine are unmuted");
    assert_eq!(hall.wait(), 0);
    assert_eq!(hall.set_muted(2..3, true), 0, "eight");
    assert_eq!(hall.wait(), 1, "one message for the change");
    assert_eq!(hall.ears.speakers(), BTreeSet::new());
    assert!(hall.ears.tracks().is_superset(&hall.unmuted()));
    assert_eq!(hall.ears.slots.len(), 10, "in the same slots");
}

#[test]
fn all_are_heard_again_when_there_is_a_slot_for_each() {
    let mut hall = Hall::new();
    hall.set_muted(0..12, false);
    hall.set_muted(9..12, true);
    assert_eq!((hall.wait(), hall.wait(), hall.ears.speakers().len()), (0, 0, 6), "for 20 s");
    assert_eq!((hall.wait(), hall.ears.speakers().len()), (1, 0));
    assert!(hall.ears.tracks().is_superset(&hall.unmuted()));
}

#[test]
fn number_of_speakers_is_configured() {
    let mut hall = Hall::with(RoomLimits { speakers: 3, ..RoomLimits::default() });
    hall.set_muted(0..11, false);
    assert_eq!((hall.ears.speakers(), hall.ears.tracks()), ((0..3).collect(), BTreeSet::new()));
}

/// The eleventh unmutes and the ninth mutes, ten times: each listener changes once, and once more when it is quiet.
#[test]
fn audio_does_not_oscillate_between_all_and_speakers() {
    let mut hall = Hall::new();
    hall.set_muted(0..8, false);
    let mut changes = 0;
    for _ in 0..10 {
        changes += hall.set_muted(8..11, false);
        assert_eq!((hall.unmuted().len(), hall.ears.speakers().len()), (11, 6));
        changes += hall.set_muted(8..11, true);
        hall.story.pass(Duration::from_secs(2));
    }
    assert_eq!(changes, 1, "messages");
    assert_eq!((hall.wait(), hall.ears.speakers().len(), hall.ears.tracks().len()), (1, 0, 10));
}

#[test]
fn newcomer_hears_as_the_others_do() {
    let mut hall = Hall::new();
    hall.set_muted(0..11, false);
    hall.story.join_and_subscribe(3);
    let mut ears = Ears::default();
    ears.hear(&mut hall.story, 3);
    assert_eq!((ears.speakers().len(), ears.tracks().len()), (6, 0));
    // One track less.
    hall.story.leave(11);
    hall.story.leave(12);
    hall.listen();
    hall.wait();
    assert_eq!(hall.ears.speakers().len(), 6, "nine are unmuted");
    hall.story.leave(13);
    hall.wait();
    assert_eq!((hall.ears.speakers().len(), hall.ears.tracks().len()), (0, 10), "eight, and two of the muted ones");
}

/// Who names its tracks keeps them, whatever others unmute.
#[test]
fn named_tracks_stay_in_their_slots() {
    let mut hall = Hall::new();
    let named: BTreeSet<_> = hall.tracks[..3].iter().copied().collect();
    let subscribe = Subscribe { auto: false, tracks: named.iter().copied().collect() };
    hall.story.ask(2, ClientMessage::Subscribe(subscribe));
    hall.story.quiet();
    let mut ears = Ears::default();
    ears.hear(&mut hall.story, 2);
    assert_eq!(ears.tracks(), named);
    hall.set_muted(0..15, false);
    assert_eq!(hall.ears.speakers().len(), 6);
    ears.hear(&mut hall.story, 2);
    assert_eq!((ears.tracks(), ears.messages), (named, 1));
}

/// A participant that ends its subscription to one of the tracks names the others by that.
#[test]
fn unsubscribing_from_one_track_returns_to_tracks() {
    let mut hall = Hall::new();
    hall.set_muted(0..11, false);
    let tracks = vec![hall.tracks[0]];
    hall.story.ask(1, ClientMessage::Unsubscribe(Unsubscribe { tracks }));
    hall.listen();
    let rest: BTreeSet<_> = hall.tracks[1..11].iter().copied().collect();
    assert_eq!((hall.ears.tracks(), hall.ears.speakers().len()), (rest, 0));
}
