//! Profile N between sessions, over a path that loses, duplicates and reorders packets.

use super::world::{Dice, World};
use crate::{
    Codec, FrameKind, OpenError, ParticipantId, SealError, StreamId, codec,
    rtp::{Fragments, Reassembly, max_sealed_bytes},
};
use alloc::{collections::BTreeMap, vec, vec::Vec};

const CAMERA: StreamId = StreamId::CAMERA;

fn call(seed: u64) -> (World, ParticipantId, ParticipantId) {
    let mut world = World::new(seed);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, CAMERA);
    world.run(1_000);
    (world, ada, bob)
}

fn seal(world: &mut World, who: ParticipantId, frame: &[u8]) -> Result<Vec<u8>, SealError> {
    let clock = world.clock();
    let mut out = vec![0; max_sealed_bytes(frame.len())];
    let length = world.device(who).session.seal_bare(clock, CAMERA, frame, &mut out)?;
    out.truncate(length);
    Ok(out)
}

fn open(world: &mut World, who: ParticipantId, mut sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    let clock = world.clock();
    let opened = world.device(who).session.open_bare(clock, &mut sealed)?;
    assert_eq!((opened.stream, opened.kind), (CAMERA, FrameKind::Delta));
    Ok(sealed[opened.range].to_vec())
}

/// The impairments of a path.
struct Path {
    drop_percent: u64,
    double_percent: u64,
    /// Packets that one may be overtaken by.
    disorder: u64,
}

impl Path {
    /// The indices of the packets that arrive, in order of arrival.
    fn carry(&self, packets: usize, dice: &mut Dice) -> Vec<usize> {
        let mut arrivals = Vec::new();
        for index in 0..packets {
            if dice.percent(self.drop_percent) {
                continue;
            }
            for _ in 0..if dice.percent(self.double_percent) { 2 } else { 1 } {
                arrivals.push((index as u64 + dice.below(self.disorder + 1), arrivals.len(), index));
            }
        }
        arrivals.sort_unstable();
        arrivals.into_iter().map(|(_, _, index)| index).collect()
    }
}

/// Sends frames over a path and asserts that complete ones open once and others never. Returns which were complete.
fn send(seed: u64, path: &Path, lengths: &[usize], max_payload: usize) -> Vec<bool> {
    let (mut world, ada, bob) = call(seed);
    let mut dice = Dice(seed);
    // They wrap around.
    let mut sequence = 65_500_u16;
    let (mut frames, mut packets) = (Vec::new(), Vec::new());
    for (number, length) in lengths.iter().enumerate() {
        let frame: Vec<u8> = (0..*length).map(|_| dice.next() as u8).collect();
        let sealed = seal(&mut world, ada, &frame).unwrap();
        for fragment in Fragments::new(&sealed, max_payload, false).unwrap() {
            packets.push((number, sequence, fragment.to_vec()));
            sequence = sequence.wrapping_add(1);
        }
        frames.push(frame);
    }
    let arrivals = path.carry(packets.len(), &mut dice);
    let whole: Vec<bool> = (0..frames.len())
        .map(|number| {
            (0..packets.len()).filter(|index| packets[*index].0 == number).all(|index| arrivals.contains(&index))
        })
        .collect();
    let (mut reassembly, mut opened) = (Reassembly::new(), BTreeMap::new());
    for index in arrivals {
        let (number, sequence, payload) = &packets[index];
        let Some(complete) = reassembly.push(*sequence, payload).unwrap() else { continue };
        assert!(!complete.packetized);
        assert_eq!(open(&mut world, bob, complete.bytes).as_ref(), Ok(&frames[*number]));
        *opened.entry(*number).or_insert(0) += 1;
    }
    for (number, whole) in whole.iter().enumerate() {
        assert_eq!(opened.get(&number).copied().unwrap_or(0), i32::from(*whole), "frame {number}, seed {seed}");
    }
    whole
}

#[test]
fn complete_frames_open_once() {
    let (mut whole, mut torn) = (0, 0);
    for seed in 0..30 {
        let mut dice = Dice(1_000 + seed);
        let path = Path {
            drop_percent: 2 * (seed % 4),
            double_percent: 10 * (seed % 3),
            disorder: [0, 3, 200][seed as usize % 3],
        };
        let lengths: Vec<usize> = (0..40)
            .map(|_| match dice.below(4) {
                0 => 1 + dice.below(60_000) as usize,
                _ => 1 + dice.below(3_000) as usize,
            })
            .collect();
        for arrived in send(seed, &path, &lengths, 1_200) {
            *if arrived { &mut whole } else { &mut torn } += 1;
        }
    }
    assert!(whole > 500 && torn > 100, "{whole} whole, {torn} torn");
}

#[test]
fn lengths_around_packet_size_round_trip() {
    let path = Path { drop_percent: 0, double_percent: 0, disorder: 0 };
    let lengths: Vec<usize> = (1..300).collect();
    assert!(send(7, &path, &lengths, 101).into_iter().all(|whole| whole));
    assert!(send(8, &path, &[1, 60_000, 2], 1_200).into_iter().all(|whole| whole));
}

#[test]
fn frame_is_bound_to_profile() {
    let (mut world, ada, bob) = call(2);
    let clock = world.clock();
    // Opus and VP9 have no envelope either: only the metadata tells them apart.
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
        let mut enveloped = vec![0; codec::max_sealed_bytes(codec, 5)];
        let session = &mut world.device(ada).session;
        let length = session.seal(clock, CAMERA, codec, FrameKind::Delta, b"frame", &mut enveloped).unwrap();
        enveloped.truncate(length);
        let range = codec::locate(codec, &enveloped).unwrap().range;
        let mut sframe = enveloped[range].to_vec();
        let length = codec::unescape(codec, &mut sframe).unwrap();
        sframe.truncate(length);
        assert_eq!(open(&mut world, bob, sframe), Err(OpenError::NotAuthentic), "{codec:?}");
        // Neither attempt affects the frame under its own profile.
        assert!(world.device(bob).session.open(clock, codec, &mut enveloped).is_ok());

        let bare = seal(&mut world, ada, b"frame").unwrap();
        let mut disguised = bare.clone();
        let failure = world.device(bob).session.open(clock, codec, &mut disguised).unwrap_err();
        let expected =
            if matches!(codec, Codec::Opus | Codec::Vp9) { OpenError::NotAuthentic } else { OpenError::Malformed };
        assert_eq!(failure, expected, "{codec:?}");
        assert_eq!(open(&mut world, bob, bare).unwrap(), b"frame");
    }
}

#[test]
fn bare_frame_failures_match_enveloped() {
    let (mut world, ada, bob) = call(3);
    let clock = world.clock();
    let sealed = seal(&mut world, ada, b"frame").unwrap();
    let session = &mut world.device(ada).session;
    assert_eq!(session.seal_bare(clock, StreamId::SCREEN, b"frame", &mut [0; 64]), Err(SealError::StreamNotOpen));
    assert_eq!(session.seal_bare(clock, CAMERA, b"frame", &mut [0; 20]), Err(SealError::Buffer));
    assert_eq!(open(&mut world, bob, Vec::new()), Err(OpenError::Malformed));
    assert_eq!(open(&mut world, bob, sealed[..10].to_vec()), Err(OpenError::Malformed));
    for byte in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[byte] ^= 1;
        open(&mut world, bob, altered).unwrap_err();
    }
    assert_eq!(open(&mut world, bob, sealed.clone()).unwrap(), b"frame");
    assert_eq!(open(&mut world, bob, sealed.clone()), Err(OpenError::Replay));

    let cy = world.join("Cy");
    let mut early = sealed.clone();
    let clock = world.clock();
    assert_eq!(world.device(cy).session.open_bare(clock, &mut early), Err(OpenError::UnknownSender));
    world.run(10);
    let next = seal(&mut world, ada, b"next").unwrap();
    let mut early = next.clone();
    assert_eq!(world.device(cy).session.open_bare(clock, &mut early), Err(OpenError::MissingKey));
    assert_eq!(early, next, "it may be retried");
}
