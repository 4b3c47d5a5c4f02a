//! What publishers of audio learn of the loss at their listeners.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod simulation;

use sfu::media::Codec;
use simulation::{GOOD, World};

/// An encoder of audio adds redundancy by what reports say of its listeners; bandwidth is estimated by what they say of the
/// uplink.
#[test]
fn reports_on_audio_tell_the_loss_of_listeners_in_the_fraction_alone() {
    let mut world = World::new(1, GOOD);
    let publisher = world.join();
    let (microphone, camera) = (world.publish_audio(publisher), world.publish_video(publisher));
    for listener in 1..=4 {
        world.join();
        for (mid, codec, track) in [("a", Codec::Opus, microphone), ("v", Codec::Vp8, camera)] {
            world.add_slot(listener, mid, codec);
            world.set_slot(listener, mid, Some(track));
        }
    }
    world.run(3_000);
    let last = |world: &World| *world.clients[publisher].audio.as_ref().unwrap().reports.last().unwrap();
    assert_eq!(last(&world).fraction_lost, 0);
    for listener in [1, 3] {
        for mid in ["a", "v"] {
            world.clients[listener].slots.get_mut(mid).unwrap().fraction_lost = 26;
        }
    }
    world.run(3_000);
    assert_eq!((last(&world).fraction_lost, last(&world).cumulative_lost), (26, 0));
    world.clients[3].slots.get_mut("a").unwrap().fraction_lost = 0;
    world.run(3_000);
    assert_eq!(last(&world).fraction_lost, 0, "one of four costs the others nothing");
}
