#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;
use tacet_proto::ParticipantId;

/// The class of a slot that is created.
fn class(command: &SlotCommand) -> Option<Codec> {
    match command {
        SlotCommand::Add(_, codec) => Some(*codec),
        SlotCommand::Set(..) | SlotCommand::Activate(_) | SlotCommand::Wish(_) => None,
    }
}

fn track(id: u32) -> SlotContent {
    SlotContent::Track(SlotTrack { track: TrackId(id), participant: ParticipantId(1) })
}

fn wanted(id: u32, codec: Codec) -> Wanted {
    Wanted { content: track(id), codec }
}

/// Takes commands, and numbers them upwards from a first id.
fn take(commands: &mut Vec<SlotCommand>, first: u64) -> impl FnMut(SlotCommand) -> CommandId {
    move |command| {
        commands.push(command);
        CommandId(first + commands.len() as u64)
    }
}

fn place(slots: &mut Slots, id: u32, codec: Codec) -> (bool, Vec<SlotCommand>) {
    let (mut commands, first) = (Vec::new(), u64::from(id) * 1_000);
    let placed = slots.place(wanted(id, codec), &mut take(&mut commands, first));
    for i in 0..commands.len() as u32 {
        slots.added(CommandId(first + 1 + u64::from(i)), 1_000 + id * 100 + i, None);
    }
    (placed, commands)
}

/// Ids of the commands that make slots.
fn adds(slots: &mut Slots, id: u32, codec: Codec) -> Vec<CommandId> {
    let mut commands = Vec::new();
    slots.place(wanted(id, codec), &mut take(&mut commands, 0));
    (1..).map(CommandId).zip(&commands).filter(|(_, command)| class(command).is_some()).map(|(id, _)| id).collect()
}

#[test]
fn first_track_creates_audio_and_video_slots() {
    let mut slots = Slots::new(100);
    let (placed, commands) = place(&mut slots, 1, Codec::Opus);
    assert!(placed);
    let classes: Vec<_> = commands.iter().filter_map(class).collect();
    assert_eq!(classes, [[Codec::Opus; 4], [Codec::Vp8; 4]].concat());
    let message = slots.next_message(|_| true).unwrap();
    assert_eq!((message.rev, message.add.len(), message.set.len()), (1, 8, 1));
    assert_eq!(message.set[0].source, Some(track(1)));
    assert_eq!(slots.next_message(|_| true), None);
}

#[test]
fn new_slots_are_activated_once_the_client_is_ready() {
    let mut slots = Slots::new(100);
    let (_, commands) = place(&mut slots, 1, Codec::Vp8);
    assert!(!commands.iter().any(|command| matches!(command, SlotCommand::Activate(_))));
    assert!(!slots.ready(1, &mut |_| panic!("nothing was offered")), "no such revision yet");
    slots.next_message(|_| true).unwrap();
    let mut active = 0;
    let mut count = |_| {
        active += 1;
        CommandId(active)
    };
    assert!(slots.ready(1, &mut count));
    assert_eq!(active, 8);
    assert!(slots.ready(1, &mut |_| panic!("active already")));
}

#[test]
fn free_slots_are_reused() {
    let mut slots = Slots::new(100);
    place(&mut slots, 1, Codec::Vp8);
    slots.next_message(|_| true).unwrap();
    slots.vacate(TrackId(1), &mut |_| CommandId(1));
    let (placed, commands) = place(&mut slots, 2, Codec::Vp8);
    assert!(placed && commands.len() == 1, "{commands:?}");
    let message = slots.next_message(|_| true).unwrap();
    assert_eq!((message.add.len(), message.set.len()), (0, 1), "only the last contents are sent");
}

#[test]
fn exhausted_class_gets_another_block() {
    let mut slots = Slots::new(100);
    for id in 1..=4 {
        place(&mut slots, id, Codec::Vp8);
    }
    let (_, commands) = place(&mut slots, 5, Codec::Vp8);
    assert_eq!(commands.iter().filter_map(class).collect::<Vec<_>>(), [Codec::Vp8; 4]);
    let (_, commands) = place(&mut slots, 6, Codec::Av1);
    assert_eq!(commands.iter().filter_map(class).collect::<Vec<_>>(), [Codec::Av1; 4]);
}

#[test]
fn slots_are_limited() {
    let mut slots = Slots::new(6);
    assert!(place(&mut slots, 1, Codec::Opus).0);
    assert!(place(&mut slots, 2, Codec::Vp8).0);
    assert!(place(&mut slots, 3, Codec::Vp8).0);
    assert!(!place(&mut slots, 4, Codec::Vp8).0, "only two of the video block fit");
    assert_eq!(slots.next_message(|_| true).unwrap().add.len(), 6);
}

#[test]
fn refused_slot_is_not_requested_again() {
    let mut slots = Slots::new(100);
    for command in adds(&mut slots, 1, Codec::Opus) {
        assert!(slots.refused(command));
    }
    assert_eq!(slots.next_message(|_| true), None);
    assert!(!slots.place(wanted(2, Codec::Opus), &mut |command| panic!("asked again: {command:?}")));
}

#[test]
fn slot_without_ssrc_holds_back_later_ones() {
    let mut slots = Slots::new(100);
    let commands = adds(&mut slots, 1, Codec::Opus);
    slots.added(commands[1], 1, None);
    assert_eq!(slots.next_message(|_| true), None);
    slots.added(commands[0], 2, None);
    let message = slots.next_message(|_| true).unwrap();
    assert_eq!(message.add.iter().map(|slot| slot.mid.as_str()).collect::<Vec<_>>(), ["r0", "r1"]);
}

#[test]
fn overtaken_refusal_does_not_empty_a_slot() {
    let mut slots = Slots::new(100);
    place(&mut slots, 1, Codec::Vp8);
    slots.next_message(|_| true).unwrap();
    slots.vacate(TrackId(1), &mut |_| CommandId(7));
    slots.place(wanted(2, Codec::Vp8), &mut |_| CommandId(8));
    assert!(!slots.refused(CommandId(7)), "overtaken by a later change");
    assert!(slots.holds(track(2)));
    assert!(slots.refused(CommandId(8)));
    assert!(!slots.holds(track(2)));
}

/// Takes commands and counts them.
fn ignore() -> impl FnMut(SlotCommand) -> CommandId {
    let mut commands = 0;
    move |_| {
        commands += 1;
        CommandId(commands)
    }
}

fn list(ids: impl IntoIterator<Item = u32>, codec: Codec) -> Vec<Wanted> {
    ids.into_iter().map(|id| wanted(id, codec)).collect()
}

/// The slots whose contents these commands change, in order.
fn changed(commands: &[SlotCommand]) -> Vec<(Mid, Option<SlotContent>)> {
    let set = |command: &SlotCommand| match command {
        SlotCommand::Set(mid, content) => Some((*mid, *content)),
        _ => None,
    };
    commands.iter().filter_map(set).collect()
}

/// Arranges video, and returns what changed.
fn show(slots: &mut Slots, ids: impl IntoIterator<Item = u32>) -> Vec<(Mid, Option<SlotContent>)> {
    let mut commands = Vec::new();
    slots.arrange(Kind::Video, &list(ids, Codec::Vp8), &mut take(&mut commands, 0));
    changed(&commands)
}

#[test]
fn next_page_changes_only_what_is_new_there() {
    let mut slots = Slots::new(200);
    assert_eq!(show(&mut slots, 1..=49).len(), 49);
    assert_eq!(show(&mut slots, 20..=68).len(), 19, "30 of 49 stay");
    assert!((20..=68).all(|id| slots.holds(track(id))));
    let count = slots.slots.len();
    assert_eq!(count, 4 + 52, "audio, and 49 in blocks of four: what left makes way before slots are added");
    assert_eq!(show(&mut slots, 20..=68), [], "nothing new");
    assert_eq!(show(&mut slots, 20..=67), [], "what is not shown any more stays until its slot is needed");
}

#[test]
fn what_was_unwanted_longest_makes_way_first() {
    let mut slots = Slots::new(8);
    show(&mut slots, 1..=4);
    show(&mut slots, 2..=4);
    show(&mut slots, 3..=4);
    assert_eq!(show(&mut slots, 3..=5).len(), 1);
    assert!(!slots.holds(track(1)) && slots.holds(track(2)), "2 was wanted after 1");
}

#[test]
fn slots_go_to_the_most_important_when_they_are_short() {
    let mut slots = Slots::new(8);
    show(&mut slots, [1, 2, 3, 4, 5]);
    assert!(slots.lacks_video() && !slots.holds(track(5)));
    let moved = show(&mut slots, [5, 1, 2, 3, 4]);
    assert_eq!(moved.len(), 1, "the least important makes way: {moved:?}");
    assert!(slots.holds(track(5)) && !slots.holds(track(4)));
    assert_eq!(show(&mut slots, [4, 5, 3]).len(), 1, "in the place of what is not wanted any more");
    assert!([3, 4, 5].iter().all(|id| slots.holds(track(*id))) && !slots.lacks_video());
}

#[test]
fn audio_has_ten_slots_and_what_is_unwanted_leaves_at_once() {
    let mut slots = Slots::new(200);
    slots.arrange(Kind::Audio, &list(1..=12, Codec::Opus), &mut ignore());
    let audio = |slots: &Slots| slots.slots.iter().filter(|slot| slot.codec == Codec::Opus).count();
    assert_eq!(audio(&slots), MAX_HEARD);
    assert!((1..=10).all(|id| slots.holds(track(id))) && !slots.holds(track(11)));
    slots.arrange(Kind::Audio, &list(4..=6, Codec::Opus), &mut ignore());
    assert_eq!((1..=12).filter(|id| slots.holds(track(*id))).collect::<Vec<_>>(), [4, 5, 6]);
}

#[test]
fn speakers_replace_tracks_in_the_slots_that_exist() {
    let mut slots = Slots::new(200);
    slots.arrange(Kind::Audio, &list(1..=8, Codec::Opus), &mut ignore());
    let mut commands = Vec::new();
    slots.arrange(Kind::Audio, &crate::room::audio::AudioMode::new(6).wanted_speakers(), &mut take(&mut commands, 0));
    assert!(commands.iter().all(|command| class(command).is_none()), "no new slots: {commands:?}");
    let changed = changed(&commands);
    assert_eq!(changed.len(), 8, "two are emptied, six changed: {changed:?}");
    assert!(changed[..2].iter().all(|(_, content)| content.is_none()), "what leaves does so first");
}

#[test]
fn wishes_are_sent_on_change_and_with_a_new_track() {
    let mut slots = Slots::new(200);
    show(&mut slots, 1..=2);
    let set = |slots: &mut Slots, height: u16| {
        let mut sent = Vec::new();
        let wish = |mid, _| Some(Wish { mid, height, pinned: false, paused: false });
        slots.set_wishes(wish, &mut |command| {
            sent.push(command);
            CommandId(1)
        });
        match &sent[..] {
            [] => 0,
            [SlotCommand::Wish(wishes)] => wishes.len(),
            more => panic!("{more:?}"),
        }
    };
    assert_eq!(set(&mut slots, 360), 2);
    assert_eq!(set(&mut slots, 360), 0);
    assert_eq!(set(&mut slots, 720), 2);
    slots.vacate(TrackId(1), &mut ignore());
    show(&mut slots, 2..=3);
    assert_eq!(set(&mut slots, 720), 1, "the same wish for another track");
}

proptest! {
    /// Whatever is wanted one after the other: no track is in two slots, the most important have slots as far as they reach,
    /// and what is still wanted that much is where it was.
    #[test]
    fn arrangement_keeps_what_it_can(
        pages in proptest::collection::vec(proptest::sample::subsequence((1u32..40).collect::<Vec<_>>(), 0..30), 1..12),
        reversed in any::<bool>(),
        limit in 5usize..40,
    ) {
        let mut slots = Slots::new(limit);
        for mut page in pages {
            if reversed {
                page.reverse();
            }
            let before: Vec<_> = slots.slots.iter().map(|slot| (slot.mid, slot.content)).collect();
            show(&mut slots, page.iter().copied());
            let mut held: Vec<_> = slots.slots.iter().filter_map(|slot| slot.track()).map(|held| held.track.0).collect();
            let space = slots.slots.iter().filter(|slot| slot.codec == Codec::Vp8).count();
            prop_assert!(slots.slots.len() <= limit);
            for id in page.iter().take(space) {
                prop_assert!(held.contains(id), "{} has no slot of {}", id, space);
                if let Some((mid, _)) = before.iter().find(|(_, content)| *content == Some(track(*id))) {
                    prop_assert_eq!(slots.content(*mid), Some(track(*id)), "it moved");
                }
            }
            prop_assert_eq!(slots.lacks_video(), page.len() > space);
            held.sort_unstable();
            held.dedup();
            prop_assert_eq!(held.len(), slots.slots.iter().filter(|slot| slot.content.is_some()).count());
        }
    }
}
