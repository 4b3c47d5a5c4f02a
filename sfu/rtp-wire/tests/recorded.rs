//! Dependency Descriptors that browsers sent for sealed video, in every mode that the project uses.
//!
//! The recordings hold RTP headers and no payload: a line for each packet with the time in ms, the number of payload bytes
//! and the header. Each starts at a key frame. `make record-descriptors` makes new ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use rtp_wire::{
    dependency_descriptor::{
        Frame, FrameSequence, Indication, List, ScalabilityMode, Structure, Template, read, write,
    },
    extension::KnownExtensions,
    rtp::RtpPacket,
};
use std::{collections::BTreeMap, fs, path::Path};

/// Size of the source.
const SIZE: (u16, u16) = (960, 544);
const HALF: (u16, u16) = (480, 272);
const QUARTER: (u16, u16) = (240, 136);

/// Templates of three temporal layers, and of two.
const T3: [&str; 5] =
    ["S0T0 SSS [] [0]", "S0T0 SSS [4] [4]", "S0T1 -DS [2] [2]", "S0T2 --D [1] [1]", "S0T2 --D [1] [3]"];
const T2: [&str; 3] = ["S0T0 SS [] [0]", "S0T0 SS [2] [2]", "S0T1 -D [1] [1]"];
/// VP8 refers to two frames at times and has no chains, and not every frame of its base layer is a switch point.
const VP8_T3: [&str; 7] = [
    "S0T0 SSS [] []",
    "S0T0 SSS [4] []",
    "S0T0 SRR [4] []",
    "S0T1 -SS [2] []",
    "S0T1 -DS [4, 2] []",
    "S0T2 --D [1] []",
    "S0T2 --D [3, 1] []",
];
const VP8_T2: [&str; 5] = ["S0T0 SS [] []", "S0T0 SS [2] []", "S0T0 SR [2] []", "S0T1 -S [1] []", "S0T1 -D [2, 1] []"];

/// A packet of a recording.
struct Packet {
    seq: u16,
    marker: bool,
    frame: Frame,
}

/// The packets of one SSRC.
struct Stream {
    structure: Structure,
    packets: Vec<Packet>,
}

impl Stream {
    /// Returns each whole frame once.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.packets.iter().map(|packet| &packet.frame).filter(|frame| frame.starts)
    }

    fn templates(&self) -> Vec<String> {
        let templates = &self.structure.parts().templates;
        templates.iter().map(|template| in_words(template, self.structure.targets())).collect()
    }
}

/// Describes a template in the notation of codecs: layers, an indication for each target, differences, chain differences.
fn in_words(template: &Template, targets: u8) -> String {
    let letter = |target| match template.indications.get(target) {
        Indication::NotPresent => '-',
        Indication::Discardable => 'D',
        Indication::Switch => 'S',
        Indication::Required => 'R',
    };
    let Template { spatial, temporal, differences, chain_differences, .. } = template;
    let indications: String = (0..targets).map(letter).collect();
    format!("S{spatial}T{temporal} {indications} {differences:?} {chain_differences:?}")
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Reads a recording as a server does: by SSRC, against the structure of the latest key frame.
fn streams(name: &str) -> Vec<Stream> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name).with_extension("txt");
    let text = fs::read_to_string(path).unwrap();
    let mut streams = BTreeMap::<_, Stream>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let header = bytes(line.rsplit(' ').next().unwrap());
        let packet = RtpPacket::parse(&header).unwrap();
        let descriptor = KnownExtensions::read(packet.extensions).dependency.expect("a descriptor");
        let known = streams.get(&packet.ssrc).map(|stream| &stream.structure);
        let (frame, attached) = read(descriptor, known).unwrap();
        let read = Packet { seq: packet.seq.0, marker: packet.marker, frame };
        match (streams.get_mut(&packet.ssrc), attached) {
            (Some(stream), attached) => {
                stream.structure = attached.unwrap_or(stream.structure.clone());
                stream.packets.push(read);
            }
            (None, Some(structure)) => drop(streams.insert(packet.ssrc, Stream { structure, packets: vec![read] })),
            (None, None) => panic!("{name} does not start at a key frame"),
        }
    }
    let mut streams: Vec<_> = streams.into_values().collect();
    streams.sort_by_key(|stream| stream.structure.resolution(0));
    streams
}

/// Every packet belongs to a whole frame, and the last packet of all layers of an instant has the marker.
fn is_well_formed(stream: &Stream) {
    let mut open = None;
    for pair in stream.packets.windows(2) {
        let [Packet { frame, .. }, next] = pair else { unreachable!() };
        // Padding between frames, by which Firefox probes the path, is not recorded.
        let step = next.seq.wrapping_sub(pair[0].seq);
        assert!(step == 1 || (frame.ends && step < 0x8000));
        assert_eq!(open.is_none(), frame.starts);
        open = (!frame.ends).then_some(frame.number);
        assert!(frame.ends || frame.number == next.frame.number);
        assert_eq!(pair[0].marker, frame.ends && next.frame.spatial == 0);
    }
    assert!(stream.frames().filter(|frame| frame.spatial == 0).count() >= 20);
    assert!(stream.packets[0].frame.structure);
}

/// Every reference, and every chain, leads to an earlier frame of the same stream; that of a chain protects its targets.
fn references_lead_to_the_stream(stream: &Stream) {
    let mut before = BTreeMap::<u16, Frame>::new();
    for frame in stream.frames() {
        let earlier = |difference: u16| before.get(&frame.number.wrapping_sub(difference)).unwrap();
        for difference in frame.differences.iter() {
            let reference = earlier(*difference);
            assert_eq!(reference.targets() & frame.targets(), frame.targets());
            assert!(reference.temporal <= frame.temporal && reference.spatial <= frame.spatial);
        }
        for difference in frame.chain_differences.iter().filter(|difference| **difference > 0) {
            assert_eq!(earlier((*difference).into()).temporal, 0);
        }
        before.insert(frame.number, *frame);
    }
}

/// Chromium's spatial layers are frame by frame those of [`FrameSequence`].
#[test]
fn layers_of_one_encoding_are_as_generated() {
    for (name, mode) in [
        ("chromium-vp9-l1t3", ScalabilityMode::L1T3),
        ("chromium-av1-l1t3", ScalabilityMode::L1T3),
        ("chromium-vp9-l3t3", ScalabilityMode::L3T3),
        ("chromium-av1-l3t3", ScalabilityMode::L3T3),
        ("chromium-vp9-l3t3_key", ScalabilityMode::L3T3_KEY),
        ("chromium-av1-l3t3_key", ScalabilityMode::L3T3_KEY),
    ] {
        let streams = streams(name);
        let [stream] = &streams[..] else { panic!("{name} has several streams") };
        is_well_formed(stream);
        references_lead_to_the_stream(stream);

        let sizes = if mode.spatial() == 1 { vec![SIZE] } else { vec![QUARTER, HALF, SIZE] };
        let mut sequence = FrameSequence::new(mode, &sizes);
        let (recorded, generated) = (&stream.structure, sequence.structure());
        let sorted = |structure: &Structure| {
            let templates = &structure.parts().templates;
            let mut words: Vec<_> = templates.iter().map(|template| in_words(template, structure.targets())).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(recorded), sorted(generated), "{name}");
        assert_eq!(recorded.parts().resolutions, generated.parts().resolutions);
        for target in 0..mode.spatial() * mode.temporal() {
            let of = |structure: &Structure| {
                let layers = (structure.spatial_of(target), structure.temporal_of(target));
                (layers, structure.chain_of(target), structure.contained_in(target))
            };
            assert_eq!(of(recorded), of(generated), "{name}, target {target}");
        }

        let first = stream.packets[0].frame.number;
        let mut frames = stream.frames();
        while let Some(frame) = frames.next() {
            let mut unit = sequence.next_unit(false).to_vec().into_iter();
            let layers = std::iter::once(frame).chain(frames.by_ref().take(usize::from(mode.spatial()) - 1));
            for (recorded, generated) in layers.zip(unit.by_ref()) {
                let number = generated.number.wrapping_add(first);
                assert_eq!(*recorded, Frame { number, ends: recorded.ends, ..generated }, "{name}");
            }
        }
    }
}

/// Encodings with RIDs number their frames together, so their references differ from the templates.
#[test]
fn encodings_with_rids_have_temporal_layers_each() {
    let sizes = [Some(QUARTER), Some(HALF), Some(SIZE)];
    for (name, templates, sizes, chain) in [
        ("chromium-vp8-rids", &VP8_T3[..], sizes, None),
        // Chromium's H.264 encoder does not say sizes.
        ("chromium-h264-rids", &T3, [None; 3], Some(0)),
        ("chromium-vp9-rids", &T3, sizes, Some(0)),
        ("chromium-av1-rids", &T3, sizes, Some(0)),
        ("firefox-vp8-rids", &VP8_T2, sizes, None),
        ("firefox-vp9-rids", &T2, sizes, Some(0)),
        ("firefox-av1-rids", &T2, sizes, Some(0)),
    ] {
        let streams = streams(name);
        assert_eq!(streams.iter().map(|stream| stream.structure.resolution(0)).collect::<Vec<_>>(), sizes, "{name}");
        for stream in &streams {
            is_well_formed(stream);
            references_lead_to_the_stream(stream);
            let Stream { structure, .. } = stream;
            assert_eq!(stream.templates(), templates, "{name}");
            assert_eq!(structure.targets(), if name.starts_with("firefox") { 2 } else { 3 });
            for target in 0..structure.targets() {
                assert_eq!((structure.spatial_of(target), structure.temporal_of(target)), (0, target));
                assert_eq!(structure.contained_in(target), (2 << target) - 1, "all temporal layers below");
                assert_eq!(structure.chain_of(target), chain);
            }
        }
        let mut numbers: Vec<_> = streams.iter().flat_map(Stream::frames).map(|frame| frame.number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{name}: a number in two encodings");
    }
}

/// A frame of the base layer that is no switch point for the layers above is marked so.
#[test]
fn vp8_says_where_temporal_layers_can_be_added() {
    for name in ["chromium-vp8-rids", "firefox-vp8-rids"] {
        for stream in streams(name) {
            let base = stream.frames().filter(|frame| frame.temporal == 0 && !frame.structure);
            let (switch, other): (Vec<&Frame>, Vec<&Frame>) =
                base.partition(|frame| frame.switch() == stream.structure.all_targets());
            assert!(!switch.is_empty());
            assert!(other.iter().all(|frame| frame.switch() == 0b001));
        }
    }
}

/// A key frame allocates for its structure, every other frame nothing.
#[test]
fn only_structures_allocate() {
    for (name, mode) in [("L1T3", ScalabilityMode::L1T3), ("L3T3_KEY", ScalabilityMode::L3T3_KEY)] {
        let mut sequence = FrameSequence::new(mode, &[]);
        let structure = sequence.structure().clone();
        for frame in (0..8).flat_map(|_| sequence.next_unit(false).to_vec()) {
            // With custom differences, as encodings with RIDs have them.
            let mut custom = frame;
            custom.differences = List::default();
            for difference in frame.differences.iter() {
                custom.differences.push(3 * difference).unwrap();
            }
            for frame in [frame, custom] {
                let mut descriptor = Vec::new();
                write(&mut descriptor, &frame, &structure).unwrap();
                let counted = allocation_counter::measure(|| drop(read(&descriptor, Some(&structure))));
                assert_eq!(counted.count_total > 0, frame.structure, "{name}, frame {}", frame.number);
            }
        }
    }
}
