//! What the room knows of downlinks, from the feedback of simulated receivers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod simulation;

use sfu::{
    Event, ParticipantId, TrackId,
    event::{DownlinkCause, DownlinkState},
    media::Codec,
};
use simulation::{GOOD, World};
use std::time::Duration;
use tacet_impair::{Bitrate, Impairment, Loss, Share};

const PUBLISHERS: usize = 4;

/// Four cameras, and receivers of all of them with these downlinks.
fn call(downlinks: Vec<Impairment>) -> World {
    let mut world = World::new(7, GOOD);
    let cameras: Vec<TrackId> = (0..PUBLISHERS)
        .map(|_| {
            let publisher = world.join();
            world.publish_video(publisher)
        })
        .collect();
    for downlink in downlinks {
        let receiver = world.join();
        world.clients[receiver].downlink.set_impairment(downlink);
        for (&camera, mid) in cameras.iter().zip(["v0", "v1", "v2", "v3"]) {
            world.add_slot(receiver, mid, Codec::Vp8);
            world.set_slot(receiver, mid, Some(camera));
        }
    }
    world
}

fn kbps(world: &mut World, receiver: usize) -> u32 {
    let id = world.clients[PUBLISHERS + receiver].id;
    world.outbox.path_of(id).downlink.state().unwrap().kbps
}

/// Numbers are given to packets where they leave the server, so what is lost before is no loss of any receiver's.
#[test]
fn a_publishers_uplink_loss_lowers_no_receivers_estimate() {
    let downlink = || GOOD.rate(Bitrate::kbit(1_000));
    let estimates = |loss| {
        let mut world = call(vec![downlink(), downlink()]);
        world.run(5_000);
        let lossy = GOOD.loss(Loss::independent(Share::percent(loss)));
        world.clients[0].uplink.set_impairment(lossy);
        let mut estimates = Vec::new();
        for _ in 0..10 {
            world.run(1_000);
            estimates.push([kbps(&mut world, 0), kbps(&mut world, 1)]);
        }
        assert_eq!(world.clients[0].uplink.counts().lost > 50, loss > 0);
        estimates
    };
    for (second, (with, without)) in estimates(20).into_iter().zip(estimates(0)).enumerate() {
        for (with, without) in with.into_iter().zip(without) {
            assert!(without > 500, "second {second}: {without} kbit/s");
            assert!(with.abs_diff(without) * 20 <= without, "second {second}: {with} and {without} kbit/s");
        }
    }
}

fn reported(world: &mut World, receiver: usize) -> Vec<DownlinkState> {
    let id = ParticipantId(u32::try_from(PUBLISHERS + receiver + 1).unwrap());
    let events = std::mem::take(&mut world.events).into_iter();
    let states = events.filter_map(|event| match event {
        Event::Downlink { participant, state } if participant == id => Some(state),
        _ => None,
    });
    states.collect()
}

/// Four cameras need about 500 kbit/s.
#[test]
fn slow_downlink_is_reported_at_most_once_a_second() {
    let mut world = call(vec![GOOD.rate(Bitrate::kbit(300)), GOOD]);
    world.run(1_500);
    assert!(!reported(&mut world, 0).is_empty());
    let mut last = None;
    for _ in 0..6 {
        world.run(1_000);
        let states = reported(&mut world, 0);
        assert!(states.len() <= 1, "{states:?}");
        last = states.last().copied().or(last);
    }
    let last = last.unwrap();
    assert!((100..400).contains(&last.kbps), "{last:?}");
    assert!(last.wanted_kbps > 300 && last.queue > Duration::from_millis(50), "{last:?}");
    assert!(kbps(&mut world, 1) > 500, "the other one is not slow");
}

/// Estimates follow from the time, too.
#[test]
fn silence_of_a_receiver_lowers_its_estimate() {
    let mut world = call(vec![GOOD]);
    world.run(5_000);
    let before = kbps(&mut world, 0);
    world.clients[PUBLISHERS].uplink.set_impairment(GOOD.loss(Loss::independent(Share::percent(100))));
    world.run(4_000);
    let id = world.clients[PUBLISHERS].id;
    let state = world.outbox.path_of(id).downlink.state().unwrap();
    assert_eq!(state.cause, DownlinkCause::NoFeedback);
    assert!(state.kbps < before / 2, "{before} kbit/s, then {state:?}");
}

/// Nothing follows from an estimate where there is no video: each packet of audio would cost memory and time for it.
#[test]
fn who_only_listens_is_estimated_once_there_is_video() {
    let mut world = World::new(7, GOOD);
    let (publisher, listener) = (world.join(), world.join());
    let (microphone, camera) = (world.publish_audio(publisher), world.publish_video(publisher));
    world.add_slot(listener, "a0", Codec::Opus);
    world.set_slot(listener, "a0", Some(microphone));
    world.run(3_000);
    let id = world.clients[listener].id;
    assert_eq!(world.outbox.path_of(id).downlink.state(), None);
    world.add_slot(listener, "v0", Codec::Vp8);
    world.set_slot(listener, "v0", Some(camera));
    world.run(4_000);
    let state = world.outbox.path_of(id).downlink.state().unwrap();
    assert!(state.kbps > 100 && state.wanted_kbps > 100, "{state:?}");
    world.set_slot(listener, "v0", None);
    world.run(2_000);
    assert!(world.outbox.path_of(id).downlink.state().is_some(), "what is known stays known");
}
