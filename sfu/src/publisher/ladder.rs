//! What subscribers of a track can choose from: the layers of all its encodings, from the lowest to the highest.
//!
//! It is shared by all subscribers, and refreshed when a timer of the room looks at the tracks.

use super::encoding::Encoding;
use crate::{
    keys::EncodingKey,
    units::{Bitrate, DataSize},
};

/// One choice: a decode target of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) encoding: EncodingKey,
    pub(crate) target: u8,
    /// Lines of its highest spatial layer, if the publisher tells.
    pub(crate) height: Option<u16>,
    /// Its highest temporal layer.
    pub(crate) temporal: u8,
    /// Average over two seconds; before anything was measured, what the publisher means to send at most.
    pub(crate) rate: Bitrate,
    /// The same with key frames spread over some seconds.
    pub(crate) sustained: Bitrate,
    /// Payload of the newest key frame of the encoding.
    pub(crate) key_frame: DataSize,
    /// The publisher sends it now.
    pub(crate) active: bool,
}

impl Step {
    /// Whether it is the same choice, at whatever bitrate.
    fn is_like(&self, other: &Self) -> bool {
        let Self { rate, sustained, key_frame, .. } = *other;
        Self { rate, sustained, key_frame, ..*self } == *other
    }
}

/// The choices of one track.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    /// Lowest first: by encoding, spatial layer, temporal layer.
    steps: Vec<Step>,
    generation: u32,
    spare: Vec<Step>,
}

impl Ladder {
    /// The steps, lowest first.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Changes when anything but bitrates does.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes the steps of these encodings, lowest quality first.
    pub(crate) fn refresh<'a>(&mut self, encodings: impl Iterator<Item = (EncodingKey, &'a Encoding)>) {
        let mut steps = std::mem::take(&mut self.spare);
        steps.clear();
        for (key, encoding) in encodings {
            let from = steps.len();
            add_steps(&mut steps, key, encoding);
            if let Some(added) = steps.get_mut(from..) {
                let layer = |step: &Step| (encoding.layers.spatial_of(step.target), step.temporal, step.target);
                added.sort_unstable_by_key(layer);
            }
        }
        let same =
            steps.len() == self.steps.len() && steps.iter().zip(&self.steps).all(|(one, other)| one.is_like(other));
        if !same {
            self.generation = self.generation.wrapping_add(1);
        }
        self.spare = std::mem::replace(&mut self.steps, steps);
    }
}

fn add_steps(steps: &mut Vec<Step>, key: EncodingKey, encoding: &Encoding) {
    let Encoding { layers, meter, .. } = encoding;
    let announced = encoding.max_kbps.map_or(Bitrate::ZERO, |kbps| Bitrate::from_kbps(kbps.into()));
    for target in 0..layers.targets() {
        let spatial = layers.spatial_of(target);
        let measured = |rate: Option<Bitrate>| rate.filter(|_| encoding.has_begun()).unwrap_or(announced);
        steps.push(Step {
            encoding: key,
            target,
            height: layers.height_of(spatial, encoding.height),
            temporal: layers.temporal_of(target),
            rate: measured(meter.rate(target)),
            sustained: measured(meter.sustained_rate(target)),
            key_frame: encoding.key_frame_size(),
            active: encoding.has_begun() && layers.active_targets() >> target & 1 != 0 && !meter.has_stopped(spatial),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::EncodingParams,
        congestion::rtt::Rtt,
        ids::{Rid, Ssrc},
        keys::TrackKey,
        media::Codec,
        publisher::encoding::Stream,
        wire::{
            dependency_descriptor::{Frame, FrameSequence, ScalabilityMode, write},
            extension::KnownExtensions,
            header::{HeaderBuffer, HeaderExtensions, RtpHeader},
            rtp::RtpPacket,
            seq::SeqNum,
        },
    };
    use slotmap::SlotMap;
    use std::time::Instant;

    /// An encoding: RID, mode, width and height of its spatial layers.
    type Sent = (&'static str, ScalabilityMode, &'static [(u16, u16)]);

    /// A track, and the frames that its encodings send.
    struct Sender {
        encodings: SlotMap<EncodingKey, Encoding>,
        keys: Vec<EncodingKey>,
        frames: Vec<FrameSequence>,
        ladder: Ladder,
        seq: u16,
    }

    impl Sender {
        fn new(modes: &[Sent]) -> Self {
            let mut encodings = SlotMap::default();
            let keys = modes.iter().enumerate().map(|(position, (rid, ..))| {
                let params = EncodingParams {
                    ssrc: Some(Ssrc(1)),
                    max_kbps: Some(500),
                    ..EncodingParams::named(Rid::new(rid).unwrap())
                };
                encodings.insert(Encoding::new(TrackKey::default(), position, Codec::Vp9, &params))
            });
            let keys = keys.collect();
            let frames = modes.iter().map(|(_, mode, sizes)| FrameSequence::new(*mode, sizes)).collect();
            Self { encodings, keys, frames, ladder: Ladder::default(), seq: 0 }
        }

        /// A quarter of a second: eight frames of these encodings, those of them that `sends` selects. Then a look.
        fn send(&mut self, encodings: &[usize], key: bool, sends: impl Fn(&Frame) -> bool) {
            for n in 0..8 {
                for &encoding in encodings {
                    let unit = self.frames[encoding].next_unit(key && n == 0);
                    for frame in unit.iter().filter(|frame| sends(frame)) {
                        self.receive(encoding, frame);
                    }
                }
            }
            self.look();
        }

        fn receive(&mut self, encoding: usize, frame: &Frame) {
            let (mut buffer, mut descriptor) = (HeaderBuffer::default(), Vec::new());
            write(&mut descriptor, frame, self.frames[encoding].structure()).unwrap();
            self.seq += 1;
            let header =
                RtpHeader { marker: true, payload_type: 98, seq: SeqNum(self.seq), timestamp: 0, ssrc: Ssrc(1) };
            buffer.build(header, HeaderExtensions { dependency: Some(&descriptor), ..HeaderExtensions::default() });
            let bytes = [buffer.as_bytes(), &[0; 500]].concat();
            let packet = RtpPacket::parse(&bytes).unwrap();
            let known = KnownExtensions::read(packet.extensions);
            let encoding = &mut self.encodings[self.keys[encoding]];
            encoding.receive(Instant::now(), Stream::Media, &packet, &known, &mut Rtt::default()).unwrap();
        }

        fn look(&mut self) {
            let flows = self.encodings.values().any(|encoding| encoding.meter.is_flowing());
            self.encodings.values_mut().for_each(|encoding| encoding.meter.look(flows));
            self.ladder.refresh(self.keys.iter().map(|key| (*key, &self.encodings[*key])));
        }

        /// Height and temporal layer of the steps that are sent, and kbit/s.
        fn sent(&self) -> Vec<(Option<u16>, u8, u64)> {
            let sent = self.ladder.steps().iter().filter(|step| step.active);
            sent.map(|step| (step.height, step.temporal, step.rate.bps() / 1_000)).collect()
        }
    }

    const SIMULCAST: [Sent; 2] =
        [("h", ScalabilityMode::L1T2, &[(640, 360)]), ("f", ScalabilityMode::L1T2, &[(1_280, 720)])];

    #[test]
    fn steps_lead_from_the_lowest_layer_to_the_highest() {
        let mut sender = Sender::new(&SIMULCAST);
        sender.look();
        assert!(sender.sent().is_empty() && sender.ladder.steps().len() == 2, "nothing has begun");
        assert_eq!(sender.ladder.steps()[0].rate, Bitrate::from_kbps(500), "as announced");
        let before = sender.ladder.generation();
        sender.send(&[0, 1], true, |_| true);
        // 32 frames a second of 500 bytes, half of them of the base layer.
        let expected = [(Some(360), 0, 64), (Some(360), 1, 128), (Some(720), 0, 64), (Some(720), 1, 128)];
        assert_eq!(sender.sent(), expected);
        assert_ne!(sender.ladder.generation(), before);
        let before = sender.ladder.generation();
        sender.send(&[0, 1], false, |frame| frame.temporal == 0);
        assert_eq!(sender.ladder.generation(), before, "only bitrates have changed");
    }

    #[test]
    fn encoding_that_stops_leaves_the_ladder_after_a_second_and_a_half() {
        let mut sender = Sender::new(&SIMULCAST);
        sender.send(&[0, 1], true, |_| true);
        for _ in 0..5 {
            sender.send(&[0], false, |_| true);
            assert_eq!(sender.sent().len(), 4);
        }
        sender.send(&[0], false, |_| true);
        assert!(sender.sent().iter().all(|(height, ..)| *height == Some(360)));
        sender.send(&[0, 1], true, |_| true);
        assert_eq!(sender.sent().len(), 4, "back at once");
    }

    #[test]
    fn spatial_layer_that_stops_leaves_the_ladder() {
        let sizes = &[(320, 180), (640, 360), (1_280, 720)];
        let mut sender = Sender::new(&[("s", ScalabilityMode::L3T3_KEY, sizes)]);
        sender.send(&[0], true, |_| true);
        assert_eq!(sender.sent().len(), 9);
        for _ in 0..6 {
            sender.send(&[0], false, |frame| frame.spatial < 2);
        }
        assert_eq!(sender.sent().iter().map(|(height, ..)| *height).max(), Some(Some(360)));
        assert_eq!(sender.sent().len(), 6);
    }

    #[test]
    fn targets_that_the_publisher_calls_inactive_are_not_sent() {
        let mut sender = Sender::new(&[("s", ScalabilityMode::L1T3, &[(1_280, 720)])]);
        sender.send(&[0], true, |_| true);
        let mut frame = sender.frames[0].next_unit(false)[0];
        frame.active_targets = Some(0b011);
        sender.receive(0, &frame);
        sender.look();
        assert_eq!(sender.sent().iter().map(|(_, temporal, _)| *temporal).collect::<Vec<_>>(), [0, 1]);
    }
}
