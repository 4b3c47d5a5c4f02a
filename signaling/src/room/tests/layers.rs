//! What clients show: `layers`, the wishes and slots that follow from it, `layer` and `want`.

use super::*;
use sfu_api::{DownlinkCause, DownlinkState, LayerReason, Mid, Wish};
use tacet_proto::layers::{self, Layer, SlotLayer, TrackWant, Want};

/// A room in which `count` members from 2 on have cameras, which member 1 subscribes to after it has said that it shows none.
fn gallery(count: u32) -> (Story, Vec<TrackId>) {
    let limits = RoomLimits { participants: 300, ..RoomLimits::default() };
    let mut story = Story::with(limits);
    story.join(1);
    story.ask(1, layers([]));
    story.ask(1, auto());
    let tracks = (2..2 + count).map(|who| {
        story.join(who);
        story.publish(who, cam())
    });
    let tracks = tracks.collect();
    story.take(1);
    story.commands.clear();
    (story, tracks)
}

/// What member 1 is sent, and the media plane is, once it has said what it shows.
fn show(story: &mut Story, tiles: impl IntoIterator<Item = Tile>) -> (Vec<SlotSource>, Vec<Wish>) {
    story.take(1);
    story.commands.clear();
    story.ask(1, layers(tiles));
    story.quiet();
    (story.slots(1).1, wishes(story))
}

/// The wishes of member 1 that the media plane was sent.
fn wishes(story: &Story) -> Vec<Wish> {
    let wishes = |command: &Command| match command {
        Command::SetWishes { participant: ParticipantId(1), wishes } => Some(wishes.clone()),
        _ => None,
    };
    story.commands.iter().filter_map(wishes).flatten().collect()
}

fn tracks(set: &[SlotSource]) -> Vec<TrackId> {
    set.iter().filter_map(|set| set.source?.track()).map(|source| source.track).collect()
}

/// The slot of a track, as member 1 was sent it.
fn mid_of(set: &[SlotSource], track: TrackId) -> Mid {
    let slot = set.iter().find(|set| set.source.and_then(SlotContent::track).is_some_and(|s| s.track == track));
    Mid::new(&slot.unwrap().mid).unwrap()
}

#[test]
fn page_that_shares_30_of_49_tiles_changes_19_slots() {
    let (mut story, cameras) = gallery(68);
    assert_eq!(story.slots(1).1, [], "nothing is shown yet, so nothing has a slot");
    let page = |range: std::ops::Range<usize>| cameras[range].iter().map(|track| tile(*track, 180)).collect::<Vec<_>>();
    let (set, wished) = show(&mut story, page(0..49));
    assert_eq!((tracks(&set), wished.len()), (cameras[0..49].to_vec(), 49));
    let (set, wished) = show(&mut story, page(19..68));
    let shown: BTreeSet<_> = tracks(&set).into_iter().collect();
    assert_eq!((set.len(), shown), (19, cameras[49..68].iter().copied().collect()), "what is new, and nothing else");
    assert_eq!(wished.len(), 19 + 3, "three that are not shown any more have kept their slots, paused");
    assert_eq!(wished.iter().filter(|wish| wish.paused).count(), 3);
    let (set, wished) = show(&mut story, page(19..68));
    assert_eq!((set, wished), (vec![], vec![]), "the same page again");
}

/// Screens share the slots of cameras. Being shown large, or pinned, one gets a slot before cameras do, and keeps it.
#[test]
fn shared_screen_takes_a_slot_from_the_least_camera_and_keeps_it() {
    // Four slots of audio, and four of video.
    let mut story = Story::with(RoomLimits { slots_per_participant: 8, ..RoomLimits::default() });
    story.join(1);
    story.ask(1, layers([]));
    story.ask(1, auto());
    let cameras: Vec<_> = (2..10)
        .map(|who| {
            story.join(who);
            story.publish(who, cam())
        })
        .collect();
    let small =
        |range: std::ops::Range<usize>| cameras[range].iter().map(|track| tile(*track, 180)).collect::<Vec<_>>();
    let (set, _) = show(&mut story, small(0..4));
    assert_eq!(tracks(&set), cameras[0..4]);
    let screen =
        Publish { source: Source::Screen, mid: "ss".to_owned(), encodings: Encoding::single(77, None), ..cam() };
    let screen = story.publish(2, screen);
    let (set, _) = show(&mut story, small(0..4).into_iter().chain([tile(screen, 720)]));
    assert_eq!(tracks(&set), [screen], "in the place of one camera");
    let mid = mid_of(&set, screen);
    for page in [4..8, 0..4] {
        let (set, _) = show(&mut story, small(page.clone()).into_iter().chain([tile(screen, 720)]));
        assert_eq!(tracks(&set).len(), 3, "{page:?}");
        assert!(set.iter().all(|set| set.mid != mid.as_str()), "{page:?}: {set:?}");
    }
}

#[test]
fn wish_follows_its_track() {
    let (mut story, cameras) = gallery(3);
    let [first, second, third] = cameras[..] else { panic!() };
    let pinned = Tile { pinned: true, ..tile(second, 720) };
    let (set, wished) = show(&mut story, [tile(first, 180), pinned]);
    let (of_first, of_second) = (mid_of(&set, first), mid_of(&set, second));
    let wish = |mid, height, pinned, paused| Wish { mid, height, pinned, paused };
    let expected = [wish(of_second, 720, true, false), wish(of_first, 180, false, false)];
    assert_eq!(wished, expected, "the pinned one comes first");
    assert_eq!(show(&mut story, [tile(first, 360), pinned]), (vec![], vec![wish(of_first, 360, false, false)]));
    let paused = Tile { paused: true, ..tile(first, 360) };
    assert_eq!(show(&mut story, [paused, pinned]), (vec![], vec![wish(of_first, 360, false, true)]));
    let (set, wished) = show(&mut story, [tile(third, 90)]);
    let of_third = mid_of(&set, third);
    let expected = [wish(of_second, 0, false, true), wish(of_first, 0, false, true), wish(of_third, 90, false, false)];
    assert_eq!(wished, expected, "what is not shown is paused");

    // The transport ends, and with it the slots. The client need not say again what it shows.
    story.commands.clear();
    story.pass(Duration::from_secs(3));
    let (participant, state) = (ParticipantId(1), sfu_api::TransportState::Failed);
    story.room.media(story.now, Event::TransportState { participant, state });
    story.pass(Duration::from_millis(100));
    story.quiet();
    let (_, set, _) = story.slots(1);
    assert_eq!(tracks(&set), [third]);
    assert_eq!(wishes(&story), [wish(mid_of(&set, third), 90, false, false)]);
}

/// Audio has no tile. A wish that paused its slot would silence the next track in it.
#[test]
fn audio_has_no_wish() {
    let (mut story, cameras) = gallery(2);
    story.publish(2, mic());
    let (_, wished) = show(&mut story, [tile(cameras[0], 180)]);
    assert_eq!(wished.iter().map(|wish| wish.height).collect::<Vec<_>>(), [180], "{wished:?}");
    let (_, wished) = show(&mut story, []);
    assert_eq!(wished.len(), 1, "{wished:?}");
}

#[test]
fn tile_of_a_track_that_does_not_exist_is_ignored() {
    let (mut story, cameras) = gallery(2);
    let audio = story.publish(2, mic());
    story.take(1);
    let tiles = [tile(cameras[0], 180), tile(TrackId(0xdead), u16::MAX), tile(audio, 1_080)];
    assert!(matches!(story.answer(1, layers(tiles)), ServerMessage::Ok(_)));
    story.ask(2, ClientMessage::Unpublish(TrackRef { track: cameras[0] }));
    story.quiet();
    story.take(1);
    let tiles = [tile(cameras[0], 180), tile(cameras[1], 0)];
    assert!(matches!(story.answer(1, layers(tiles)), ServerMessage::Ok(_)));
    let held = |story: &Story, track| {
        let content = SlotContent::Track(tacet_proto::media::SlotTrack { track, participant: ParticipantId(3) });
        story.room.members[&ParticipantId(1)].slots.holds(content)
    };
    assert!(held(&story, cameras[1]));
}

#[test]
fn refused_tiles_change_nothing() {
    let (mut story, cameras) = gallery(2);
    show(&mut story, [tile(cameras[0], 180)]);
    let twice = [tile(cameras[1], 180), tile(cameras[1], 720)];
    let many = (0..51).map(|track| tile(TrackId(track), 1));
    for message in [layers(twice), layers(many)] {
        story.commands.clear();
        assert_eq!(story.refused(1, message), ErrorCode::BadMessage);
        assert_eq!(wishes(&story), []);
    }
}

#[test]
fn everything_subscribed_has_a_slot_before_the_first_layers() {
    let mut story = Story::new();
    story.join_and_subscribe(1);
    let cameras: Vec<_> = (2..8)
        .map(|who| {
            story.join(who);
            story.publish(who, cam())
        })
        .collect();
    assert_eq!(tracks(&story.slots(1).1), cameras);
    assert_eq!(wishes(&story), [], "as large as they come");
    let (set, wished) = show(&mut story, [tile(cameras[0], 180)]);
    assert_eq!((set, wished.len()), (vec![], 6), "the others are paused where they are");
}

/// Of a participant that returns to its session the server knows what it shows; of one that enters again it does not.
#[test]
fn tiles_belong_to_the_session() {
    let (mut story, cameras) = gallery(2);
    show(&mut story, [tile(cameras[0], 180)]);
    story.room.detach(story.now, ParticipantId(1));
    story.pass(Duration::from_secs(1));
    let claims = story.room.claims(ParticipantId(1)).unwrap();
    let entry = Entry::Session { claims, covered: true, recent: true };
    story.enter_as(entry, 1).unwrap();
    story.quiet();
    story.take(1);
    let late = story.publish(2, Publish { mid: "s2".to_owned(), encodings: Encoding::single(31, None), ..cam() });
    story.quiet();
    assert_eq!(story.slots(1).1, [], "it has no tile");
    let (set, _) = show(&mut story, [tile(cameras[0], 180), tile(late, 180)]);
    assert_eq!(tracks(&set), [late]);

    let claims = story.room.claims(ParticipantId(1)).unwrap();
    let entered = story.enter_as(Entry::Session { claims, covered: false, recent: true }, 9).unwrap();
    assert_eq!(entered.participant, ParticipantId(1));
    story.ask(1, join(77));
    story.ask(1, auto());
    story.quiet();
    let (_, set, _) = story.slots(1);
    assert_eq!(set.len(), 3, "everything, until it says what it shows");
}

fn layer(story: &mut Story, mid: Mid, height: Option<u16>, reason: LayerReason) {
    let (participant, temporal) = (ParticipantId(1), height.map(|_| 2));
    story.room.media(story.now, Event::Layer { participant, mid, height, temporal, reason });
    story.settle();
}

fn heard_layers(story: &mut Story) -> Vec<Layer> {
    let layer = |message| match message {
        ServerMessage::Layer(layer) => Some(layer),
        _ => None,
    };
    story.messages(1).into_iter().filter_map(layer).collect()
}

#[test]
fn layers_of_slots_are_sent_together_and_the_last_one_counts() {
    let (mut story, cameras) = gallery(2);
    let (set, _) = show(&mut story, [tile(cameras[0], 720), tile(cameras[1], 720)]);
    let mids = [mid_of(&set, cameras[0]), mid_of(&set, cameras[1])];
    let slot = |mid: Mid, height: Option<u16>, reason| {
        let temporal = height.map(|_| 2);
        SlotLayer { mid: mid.as_str().to_owned(), height, temporal, reason }
    };
    story.pass(Duration::from_secs(1));
    layer(&mut story, mids[0], Some(180), LayerReason::Wish);
    assert_eq!(heard_layers(&mut story), [Layer { slots: vec![slot(mids[0], Some(180), layers::LayerReason::Wish)] }]);
    for height in [360, 720, 360] {
        layer(&mut story, mids[0], Some(height), LayerReason::Bandwidth);
        layer(&mut story, mids[1], None, LayerReason::Sender);
        story.pass(Duration::from_millis(60));
        assert_eq!(heard_layers(&mut story), [], "the last message is less than 250 ms old");
    }
    story.quiet();
    let slots = vec![
        slot(mids[0], Some(360), layers::LayerReason::Bandwidth),
        slot(mids[1], None, layers::LayerReason::Sender),
    ];
    assert_eq!(heard_layers(&mut story), [Layer { slots }]);
    layer(&mut story, Mid::new("x").unwrap(), Some(1), LayerReason::Pause);
    story.quiet();
    assert_eq!(heard_layers(&mut story), [], "no such slot");
}

#[test]
fn who_asks_for_it_learns_what_the_downlink_carries() {
    let (mut story, _) = gallery(1);
    let state =
        DownlinkState { kbps: 900, cause: DownlinkCause::Loss, queue: Duration::from_millis(30), wanted_kbps: 1_800 };
    let hints = |story: &mut Story, downlink| {
        story.ask(1, ClientMessage::Layers(Layers { tiles: vec![], downlink }));
        let before = story.hints;
        story.room.media(story.now, Event::Downlink { participant: ParticipantId(1), state });
        story.settle();
        story.hints - before
    };
    assert_eq!((hints(&mut story, false), hints(&mut story, true), hints(&mut story, false)), (0, 1, 0));
}

fn want(story: &mut Story, publisher: u32, track: TrackId, active: [bool; 3]) {
    let (participant, active) = (ParticipantId(publisher), active.to_vec());
    story.room.media(story.now, Event::LayersWanted { participant, track, active, height: 180 });
    story.settle();
}

fn heard_wants(story: &mut Story, publisher: u32) -> Vec<Vec<TrackWant>> {
    let want = |message| match message {
        ServerMessage::Want(Want { tracks }) => Some(tracks),
        _ => None,
    };
    story.messages(publisher).into_iter().filter_map(want).collect()
}

#[test]
fn publisher_is_sent_the_last_want_at_most_four_times_a_second() {
    let (mut story, cameras) = gallery(1);
    story.pass(Duration::from_secs(1));
    story.take(2);
    let start = story.now;
    let mut heard = Vec::new();
    for step in 0..200 {
        want(&mut story, 2, cameras[0], [true, step % 2 == 0, step == 199]);
        want(&mut story, 2, TrackId(0xdead), [true; 3]);
        story.pass(Duration::from_millis(10));
        heard.extend(heard_wants(&mut story, 2));
    }
    story.quiet();
    heard.extend(heard_wants(&mut story, 2));
    assert!(story.now - start <= Duration::from_millis(2_300));
    assert!((8..=10).contains(&heard.len()), "{}", heard.len());
    let last = TrackWant { track: cameras[0], active: vec![true, false, true], height: 180 };
    assert_eq!(heard.last().unwrap(), &[last]);
}

#[test]
fn want_for_a_withdrawn_track_is_not_sent() {
    let (mut story, cameras) = gallery(1);
    story.pass(Duration::from_secs(1));
    want(&mut story, 2, cameras[0], [true, false, false]);
    story.take(2);
    want(&mut story, 2, cameras[0], [true, true, false]);
    story.ask(2, ClientMessage::Unpublish(TrackRef { track: cameras[0] }));
    story.quiet();
    assert_eq!(heard_wants(&mut story, 2), Vec::<Vec<TrackWant>>::new());
}

/// A publisher may stop a track that no one receives, or go on.
#[test]
fn track_that_no_one_wants_is_not_stalled() {
    let (mut story, cameras) = gallery(1);
    let active = |story: &mut Story, active| {
        let (participant, track) = (ParticipantId(2), cameras[0]);
        story.room.media(story.now, Event::TrackActivity { participant, track, active });
        story.quiet();
        story.room.tracks[&track].track.stalled
    };
    want(&mut story, 2, cameras[0], [false; 3]);
    assert!(!active(&mut story, false));
    want(&mut story, 2, cameras[0], [true, false, false]);
    story.quiet();
    assert!(!story.room.tracks[&cameras[0]].track.stalled, "its first packets are on their way");
    assert!(!active(&mut story, true), "they are there");
    assert!(active(&mut story, false), "and stop");
    want(&mut story, 2, cameras[0], [false; 3]);
    assert!(!story.room.tracks[&cameras[0]].track.stalled);
    // It ignores what is wanted, and everything is as before.
    assert!(!active(&mut story, true));
}
