//! A room that adapts: what a receiver gets of a track with layers follows what its downlink carries, in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod simulation;

use rtp_wire::{
    dependency_descriptor::{self, FrameSequence, ScalabilityMode},
    header::{HeaderExtensions, RtpHeader},
    rtp::RtpPacket,
    seq::SeqNum,
};
use sfu::{
    Event, Mid, Ssrc, TrackId,
    command::{EncodingParams, Publication, Wish},
    event::{DownlinkState, LayerReason},
    media::Codec,
};
use simulation::{
    Datagram, GOOD,
    feedback::TransportFeedback,
    pair::{ALICE, Arrival, BOB, Pair},
    publisher::packet,
};
use std::time::Duration;
use tacet_impair::{Bitrate, Bottleneck, Impairment};

const CAMERA: TrackId = TrackId(7);
/// Milliseconds from one temporal unit to the next.
const UNIT: u64 = 33;
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1_280, 720)];
/// Payload of each spatial layer of a frame. All layers are 600 kbit/s, the lower two are 310.
const LENGTHS: [usize; 3] = [400, 900, 1_200];

/// Alice, who publishes a camera with nine layers, and Bob, who shows it.
struct Call {
    pair: Pair,
    frames: FrameSequence,
    /// Packets of each frame.
    packets: usize,
    seq: u16,
    /// How long packets were on their way to Bob, in ms, beyond the delay of the path.
    waits: Vec<u64>,
    /// Payload of media that arrived.
    bytes: usize,
    layers: Vec<Shown>,
}

/// Height and temporal layer that Bob got, and why.
type Shown = (Option<u16>, Option<u8>, LayerReason);

impl Call {
    fn new(downlink: Impairment) -> Self {
        Self::with(downlink, ScalabilityMode::L3T3, &SIZES)
    }

    fn with(downlink: Impairment, mode: ScalabilityMode, sizes: &'static [(u16, u16)]) -> Self {
        Self::seeded(5, downlink, mode, sizes)
    }

    fn seeded(seed: u64, downlink: Impairment, mode: ScalabilityMode, sizes: &'static [(u16, u16)]) -> Self {
        let (mid, slot) = (Mid::new("sv").unwrap(), Mid::new("v0").unwrap());
        let mut pair = Pair::new(downlink, [seed, seed + 1]);
        let Pair { now, room, outbox, .. } = &mut pair;
        room.add_slot(BOB, slot, Codec::Vp9).unwrap();
        room.activate_slot(*now, BOB, slot, outbox).unwrap();
        let encodings = vec![EncodingParams { ssrc: Some(Ssrc(100)), rtx: Some(Ssrc(200)), ..Default::default() }];
        room.publish(*now, ALICE, CAMERA, Publication { codec: Codec::Vp9, mid, encodings, screen: false }).unwrap();
        room.set_slot(*now, BOB, slot, Some(CAMERA.into()), outbox).unwrap();
        let frames = FrameSequence::new(mode, sizes);
        Self { pair, frames, packets: 1, seq: 0, waits: Vec::new(), bytes: 0, layers: Vec::new() }
    }

    /// The packets of the next temporal unit.
    fn encode(&mut self, ms: u64) -> Vec<Datagram> {
        let unit = self.frames.next_unit(std::mem::take(&mut self.pair.key_frame_requested));
        let count = self.packets;
        let packets = unit.iter().enumerate().flat_map(|(layer, frame)| (1..=count).map(move |n| (layer, frame, n)));
        let packets = packets.map(|(layer, frame, n)| {
            let mut frame = *frame;
            frame.starts = n == 1;
            frame.ends = n == count;
            let mut descriptor = Vec::new();
            dependency_descriptor::write(&mut descriptor, &frame, self.frames.structure()).unwrap();
            self.seq = self.seq.wrapping_add(1);
            let (seq, timestamp) = (SeqNum(self.seq), (ms * 90) as u32);
            let header = RtpHeader {
                marker: layer + 1 == unit.len() && n == count,
                payload_type: 98,
                seq,
                timestamp,
                ssrc: Ssrc(100),
            };
            let extensions =
                HeaderExtensions { mid: Some(b"sv"), dependency: Some(&descriptor), ..HeaderExtensions::default() };
            Datagram::Rtp(packet(header, extensions, &vec![7; LENGTHS[layer]]))
        });
        packets.collect()
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 1_000 {
            self.step();
        }
    }

    /// Payload bytes of media that arrive in these seconds.
    fn bytes_of(&mut self, seconds: u64) -> usize {
        let before = self.bytes;
        self.run(seconds);
        self.bytes - before
    }

    /// Runs until Bob gets a layer for this reason; returns the milliseconds that it took.
    fn run_until(&mut self, most_seconds: u64, reason: LayerReason) -> u64 {
        self.run_until_shown(most_seconds, |shown| shown.2 == reason)
    }

    /// Runs until nothing is sent to Bob.
    fn run_until_cut(&mut self, most_seconds: u64) {
        self.run_until_shown(most_seconds, |shown| *shown == (None, None, LayerReason::Network));
    }

    /// Runs until what Bob gets fits; returns the milliseconds that it took.
    fn run_until_shown(&mut self, most_seconds: u64, fits: impl Fn(&Shown) -> bool) -> u64 {
        for ms in 0..most_seconds * 1_000 {
            if self.layers.last().is_some_and(&fits) {
                return ms;
            }
            self.step();
        }
        let state = self.state();
        panic!("not within {most_seconds} s: {:?}, {state:?}", self.layers);
    }

    /// Bob's tile has this height from now on.
    fn wish(&mut self, height: u16) {
        let wish = Wish { mid: Mid::new("v0").unwrap(), height, pinned: false, paused: false };
        let Pair { now, room, outbox, .. } = &mut self.pair;
        room.set_wishes(*now, BOB, &[wish], outbox).unwrap();
    }

    fn height(&self) -> Option<u16> {
        self.layers.last()?.0
    }

    fn state(&mut self) -> Option<DownlinkState> {
        self.pair.outbox.path_of(BOB).downlink.state()
    }

    fn step(&mut self) {
        let ms = self.pair.advance();
        let published = if ms.is_multiple_of(UNIT) { self.encode(ms) } else { Vec::new() };
        for Arrival { left, packet } in self.pair.exchange(published, Vec::new()) {
            self.waits.push(ms - left - 10);
            let media = RtpPacket::parse(&packet).unwrap();
            self.bytes += if media.payload_type == 98 { media.payload.len() } else { 0 };
        }
        while let Some(event) = self.pair.room.poll_event() {
            if let Event::Layer { height, temporal, reason, .. } = event {
                self.layers.push((height, temporal, reason));
            }
        }
    }
}

fn rate(kbps: u32) -> Impairment {
    GOOD.rate(Bitrate::kbit(kbps))
}

#[test]
fn layers_follow_the_downlink_down_and_up() {
    let mut call = Call::new(rate(2_000));
    call.run(8);
    let state = call.state();
    assert_eq!(call.layers, [(Some(720), Some(2), LayerReason::Wish)], "{state:?}");

    call.pair.downlink.set_impairment(rate(360));
    let down = call.run_until(3, LayerReason::Network);
    call.run(4);
    let (layers, waits) = (call.layers.len(), call.waits.len());
    call.run(20);
    let mut waits = call.waits.split_off(waits);
    waits.sort_unstable();
    let (p90, state) = (waits[waits.len() * 9 / 10], call.state());
    assert!(p90 < 150, "{p90} ms in the queue, down after {down} ms: {:?}, {state:?}", call.layers);
    assert!(call.layers.len() - layers <= 4, "{:?}", call.layers);
    assert_eq!(call.layers.last().unwrap().2, LayerReason::Network);

    // Probes that have failed for long come every 12 s.
    call.pair.downlink.set_impairment(rate(2_000));
    call.run_until(20, LayerReason::Wish);
    assert_eq!(call.layers.last(), Some(&(Some(720), Some(2), LayerReason::Wish)));
}

/// However long the path was wide before, and however long it is narrow.
#[test]
fn video_is_back_within_eight_seconds_of_its_path() {
    let path = |kbps| {
        let bottleneck = Bottleneck::new(Bitrate::kbit(kbps)).queue_time(Duration::from_millis(300));
        GOOD.gaussian_jitter(Duration::from_millis(5)).bottleneck(bottleneck)
    };
    let mut late = Vec::new();
    for (wide, narrow) in [(2_500, 150), (2_000, 500)] {
        for (before, between, seed) in [(4, 4, 1), (8, 12, 2), (15, 30, 3), (25, 8, 4), (40, 60, 5)] {
            let mut call = Call::seeded(seed, path(wide), ScalabilityMode::L3T3, &SIZES);
            call.run(before);
            call.run_until_shown(20, |shown| shown.0 == Some(720));
            let shown = call.layers.len();
            call.pair.downlink.set_impairment(path(narrow));
            let down = call.run_until(20, LayerReason::Network);
            call.run(between);
            call.pair.downlink.set_impairment(path(wide));
            let up = call.run_until_shown(60, |shown| *shown == (Some(720), Some(2), LayerReason::Wish));
            let sizes = call.layers[shown..].chunk_by(|one, next| one.0 == next.0).count();
            println!(
                "{wide} kbit/s for {before} s, {narrow} for {between} s: down in {down} ms, up in {up} ms, {sizes} sizes"
            );
            if down > 3_000 || up > 8_000 || sizes > 4 {
                late.push((wide, narrow, before, between, down, up, call.layers.split_off(shown)));
            }
        }
    }
    assert!(late.is_empty(), "{late:?}");
}

/// A camera with one layer of 97 kbit/s does not fit into 60 kbit/s: Bob is informed, and gets it back by itself.
#[test]
fn video_that_does_not_fit_at_all_is_cut_and_comes_back() {
    let mut call = Call::with(rate(2_000), ScalabilityMode::L1T1, &SIZES[..1]);
    call.run(8);
    call.pair.downlink.set_impairment(rate(60));
    call.run_until_cut(7);
    // What waits on the path arrives first.
    let is_silent = (0..5).any(|_| call.bytes_of(4) == 0);
    assert!(is_silent, "{:?}", call.layers);
    call.pair.downlink.set_impairment(rate(2_000));
    call.run_until(30, LayerReason::Wish);
    assert_eq!(call.height(), Some(180), "{:?}", call.layers);
    assert!(call.bytes_of(4) > 0);
}

/// With a downlink of 500 kbit/s, 360 lines at the full frame rate fit, and 720 lines only with a quarter of the frames.
#[test]
fn lower_resolution_at_the_full_frame_rate_goes_before_a_higher_one_that_jerks() {
    let mut call = Call::new(rate(2_000));
    call.run(8);
    call.pair.downlink.set_impairment(rate(500));
    call.run(20);
    assert_eq!(call.layers.last(), Some(&(Some(360), Some(2), LayerReason::Network)), "{:?}", call.layers);
}

#[test]
fn nothing_is_probed_when_all_that_is_wished_is_sent() {
    let mut call = Call::new(rate(5_000));
    call.run(12);
    assert_eq!(call.height(), Some(720));
    let before = call.pair.room.stats().probes;
    call.run(10);
    assert_eq!(call.pair.room.stats().probes, before);
}

/// Without feedback a receiver gets what is set, as if the room did not adapt.
#[test]
fn receiver_without_feedback_gets_everything() {
    let mut call = Call::new(rate(300));
    for _ in 0..10_000 {
        call.pair.feedback = TransportFeedback::default();
        call.step();
    }
    assert_eq!((call.height(), call.pair.room.stats().probes), (Some(720), 0));
    assert_eq!(call.state(), None);
}

/// Opening a tile does not wait for the path to be measured, where it was wide all the time.
#[test]
fn larger_size_comes_at_once_on_a_wide_path() {
    for seconds in [4, 20, 60] {
        let mut call = Call::new(rate(50_000));
        call.packets = 5;
        call.run(seconds);
        assert_eq!(call.height(), Some(720), "{:?}", call.layers);
        call.wish(180);
        call.run(seconds);
        assert_eq!(call.height(), Some(180), "{:?}", call.layers);
        call.wish(720);
        let ms = call.run_until_shown(10, |shown| shown.0 == Some(720));
        assert!(ms < 100, "{ms} ms after {seconds} s: {:?}", call.layers);
    }
}
