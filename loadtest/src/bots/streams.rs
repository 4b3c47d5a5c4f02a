//! The tracks that a bot sends: from a scenario to feeds and to publications.

use crate::{
    bots::cast::{self, Kind, Part},
    bots::feed::{Feed, Sealing},
    bots::frame,
    bots::pattern::{AudioPattern, LayeredEncoding, LayersPattern, Pattern, VideoPattern, layers},
    bots::sender::EncodingStreams,
    measure::accounting::Window,
    measure::clock::Time,
    measure::layer::Step,
    measure::send_log::{Class, RoomLog, StreamLog, TrackLog},
    scenario::{ImageSize, Layers, Scenario, Video},
};
use e2ee_frames::{Codec as FrameCodec, StreamId};
use rtp_wire::dependency_descriptor::ScalabilityMode;
use std::sync::Arc;
use tacet_native::keys::SharedKeys;
use tacet_proto::{
    client::{Encoding, Publish},
    media::{Codec, CodecParameters, Kind as MediaKind, Source},
};

const MICROPHONE: Sealing = Sealing { stream: StreamId::MICROPHONE, codec: FrameCodec::Opus };
const CAMERA: Sealing = Sealing { stream: StreamId::CAMERA, codec: FrameCodec::Vp8 };

/// A track before its encodings have SSRCs.
#[derive(Debug)]
pub(crate) struct TrackPlan {
    pub(crate) sealing: Sealing,
    pattern: Pattern,
    pub(crate) log: Arc<TrackLog>,
    /// MID of its m-line, and the client's id of the track.
    pub(crate) mid: String,
    /// The lowest quality first.
    pub(crate) encodings: Vec<EncodingPlan>,
}

/// An encoding before it has an SSRC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodingPlan {
    /// Its RID, if the track has several.
    pub(crate) rid: Option<&'static str>,
    height: Option<u16>,
    kbps: Option<u32>,
}

/// Start of all random processes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(Time);

impl Origin {
    pub(crate) fn now() -> Self {
        Self(Time::now())
    }
}

/// The tracks of one bot.
pub(crate) fn plans(scenario: &Scenario, part: &Part, origin: Origin) -> Vec<TrackPlan> {
    let Some(own) = part.sender else { return Vec::new() };
    let (seed, room) = (scenario.seed, part.room as u64);
    let of_canary = |class| if part.kind == Kind::Canary { Class::OfCanaries } else { class };
    let mut plans = Vec::new();
    if let Some(audio) = scenario.audio.or_else(|| (part.kind == Kind::Canary).then(Default::default)) {
        let microphones = cast::senders(scenario, part.room);
        let pattern = AudioPattern::new(&audio, microphones, own, origin.0, seed, room);
        let log = TrackLog::new(of_canary(Class::Audio), Feed::remembered(50.0));
        plans.push(TrackPlan::new(MICROPHONE, Pattern::Audio(Box::new(pattern)), log));
    }
    if part.kind != Kind::Canary
        && let Some(packets) = scenario.packets
    {
        let bytes = frame::contents_for_payload(packets.bytes);
        let pattern = Pattern::packets(packets.per_second, packets.burst, bytes);
        let log = TrackLog::new(Class::Video, Feed::remembered(f64::from(packets.per_second)));
        plans.push(TrackPlan::new(CAMERA, pattern, log));
    }
    if part.kind != Kind::Canary
        && let Some(video) = scenario.video
    {
        plans.push(camera(&video, seed, part.number as u64));
    }
    for (n, plan) in plans.iter_mut().enumerate() {
        plan.mid = format!("s{n}");
    }
    plans
}

/// The track of a camera with this number.
pub(crate) fn camera(video: &Video, seed: u64, camera: u64) -> TrackPlan {
    let bits_per_second = |size: &ImageSize| f64::from(video.kilobits_per_second) * 1_000.0 * size.share;
    // All images show the same scenes.
    let pattern =
        |size: &ImageSize| VideoPattern::new(video, bits_per_second(size), video.frames_per_second, seed, camera);
    // Room for bursts of large frames.
    let remembered = |sizes: &[ImageSize]| {
        let packets = |size| f64::from(video.frames_per_second) + bits_per_second(size) / 8_000.0;
        Feed::remembered(4.0 * sizes.iter().map(packets).sum::<f64>())
    };
    let Some(layers_of_camera) = video.layers else {
        let only = ImageSize::ONLY;
        let log = TrackLog::new(Class::Video, remembered(&[only]));
        return TrackPlan::new(CAMERA, Pattern::Video(Box::new(pattern(&only))), log);
    };
    let sizes: Vec<ImageSize> = video.sizes().collect();
    let (codec, mode, encodings): (_, _, Vec<&[ImageSize]>) = match layers_of_camera {
        Layers::Simulcast => (FrameCodec::Vp8, ScalabilityMode::L1T3, sizes.chunks(1).collect()),
        Layers::Svc => (FrameCodec::Vp9, ScalabilityMode::L3T3_KEY, vec![&sizes]),
    };
    let layered = |sizes: &&[ImageSize]| {
        let resolutions: Vec<_> =
            sizes.iter().filter_map(|size| size.height).map(|height| (height / 9 * 16, height)).collect();
        LayeredEncoding::new(mode, &resolutions, sizes.iter().map(pattern).collect())
    };
    let plan = |sizes: &&[ImageSize]| EncodingPlan {
        rid: sizes.first().and_then(|size| size.rid),
        height: sizes.last().and_then(|size| size.height),
        kbps: Some((sizes.iter().map(bits_per_second).sum::<f64>() / 1_000.0).round() as u32),
    };
    let steps = (0..).zip(&encodings).flat_map(|(encoding, sizes)| {
        let step = move |(spatial, size): (u8, &ImageSize)| Some(Step { height: size.height?, encoding, spatial });
        (0..).zip(*sizes).filter_map(step)
    });
    let log = TrackLog {
        encodings: encodings.iter().map(|sizes| StreamLog::new(&layers(mode), remembered(sizes))).collect(),
        steps: steps.collect(),
        ..TrackLog::new(Class::Video, 0)
    };
    let pattern = LayersPattern::new(encodings.iter().map(layered).collect());
    TrackPlan {
        encodings: encodings.iter().map(plan).collect(),
        ..TrackPlan::new(Sealing { codec, ..CAMERA }, Pattern::Layers(pattern), log)
    }
}

impl TrackPlan {
    /// A track of one encoding.
    fn new(sealing: Sealing, pattern: Pattern, log: TrackLog) -> Self {
        Self { sealing, pattern, log: Arc::new(log), mid: String::new(), encodings: vec![EncodingPlan::default()] }
    }

    /// Codec in signaling.
    pub(crate) fn codec(&self) -> Codec {
        match self.sealing.codec {
            FrameCodec::Opus => Codec::Opus,
            FrameCodec::Vp9 => Codec::Vp9,
            _ => Codec::Vp8,
        }
    }

    /// How the track is announced to the server. It learns the SSRCs of encodings with RIDs from their packets.
    pub(crate) fn publish(&self, streams: &[EncodingStreams]) -> Publish {
        let (kind, source) = match self.codec() {
            Codec::Opus => (MediaKind::Audio, Source::Microphone),
            _ => (MediaKind::Video, Source::Camera),
        };
        let encoding = |(plan, streams): (&EncodingPlan, &EncodingStreams)| Encoding {
            rid: plan.rid.map(ToOwned::to_owned),
            ssrc: plan.rid.is_none().then_some(streams.ssrc),
            rtx: streams.rtx.filter(|_| plan.rid.is_none()),
            height: plan.height,
            kbps: plan.kbps,
        };
        Publish {
            cid: self.mid.clone(),
            kind,
            source,
            codec: self.codec(),
            mid: self.mid.clone(),
            encodings: self.encodings.iter().zip(streams).map(encoding).collect(),
            muted: false,
        }
    }

    /// The track's packets, sealed with these keys.
    pub(crate) fn feed(self, keys: SharedKeys, room: Arc<RoomLog>, window: Arc<Window>) -> Feed {
        Feed::new(keys, self.sealing, self.pattern, (room, self.log), window)
    }
}

/// How the frames of a slot with this codec are sealed: bots send no others.
pub(crate) fn frame_codec(codec: Codec) -> FrameCodec {
    match codec {
        Codec::Opus => FrameCodec::Opus,
        Codec::Vp9 => FrameCodec::Vp9,
        _ => FrameCodec::Vp8,
    }
}

/// The server's table entry of a codec.
pub(crate) fn entry(codecs: &[CodecParameters], codec: Codec) -> Option<&CodecParameters> {
    codecs.iter().find(|entry| entry.codec == codec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Audio, Layers};

    fn part(kind: Kind) -> Part {
        Part { kind, room: 0, number: 3, sender: Some(1), when: cast::When::First, churns: false, needs: 0 }
    }

    fn scenario() -> Scenario {
        Scenario {
            participants: 3,
            audio: Some(Audio::default()),
            video: Some(Video { layers: Some(Layers::Simulcast), kilobits_per_second: 1_700, ..Video::default() }),
            ..Scenario::default()
        }
    }

    fn streams(rid: Option<&'static str>) -> EncodingStreams {
        EncodingStreams { ssrc: 5, rtx: Some(6), rid }
    }

    #[test]
    fn simulcast_is_one_track_with_three_encodings() {
        let plans = plans(&scenario(), &part(Kind::Participant), Origin(Time::default()));
        assert_eq!(plans.iter().map(|plan| plan.sealing.stream.0).collect::<Vec<_>>(), [0, 1]);
        let camera = &plans[1];
        assert_eq!(camera.log.encodings.iter().map(|of| of.layers().len()).collect::<Vec<_>>(), [3, 3, 3]);
        assert_eq!(camera.log.steps.iter().map(|step| step.height).collect::<Vec<_>>(), [180, 360, 720]);
        let published = camera.publish(&["q", "h", "f"].map(|rid| streams(Some(rid))));
        let encodings: Vec<_> =
            published.encodings.iter().map(|of| (of.rid.as_deref(), of.ssrc, of.height, of.kbps)).collect();
        let expected = [("q", 180, 150), ("h", 360, 500), ("f", 720, 1_700)];
        assert_eq!(encodings, expected.map(|(rid, height, kbps)| (Some(rid), None, Some(height), Some(kbps))));
    }

    #[test]
    fn svc_is_one_encoding_with_three_image_sizes() {
        let video = Video { layers: Some(Layers::Svc), kilobits_per_second: 1_700, ..Video::default() };
        let svc = Scenario { video: Some(video), ..scenario() };
        let camera = &plans(&svc, &part(Kind::Participant), Origin(Time::default()))[1];
        assert_eq!((camera.codec(), camera.log.encodings.len()), (Codec::Vp9, 1));
        assert_eq!(
            camera.log.steps.iter().map(|step| (step.height, step.spatial)).collect::<Vec<_>>(),
            [(180, 0), (360, 1), (720, 2)]
        );
        let published = camera.publish(&[streams(None)]);
        let only = Encoding { rid: None, ssrc: Some(5), rtx: Some(6), height: Some(720), kbps: Some(2_350) };
        assert_eq!(published.encodings, [only]);
    }

    #[test]
    fn only_encoding_has_its_ssrcs_signaled() {
        let plan = &plans(&scenario(), &part(Kind::Participant), Origin(Time::default()))[0];
        let published = plan.publish(&[streams(None)]);
        assert_eq!((published.kind, published.codec, published.mid.as_str()), (MediaKind::Audio, Codec::Opus, "s0"));
        let only = Encoding { rid: None, ssrc: Some(5), rtx: Some(6), height: None, kbps: None };
        assert_eq!(published.encodings, [only]);
    }

    #[test]
    fn canary_audio_has_its_own_class() {
        let plans = plans(&scenario(), &part(Kind::Canary), Origin(Time::default()));
        assert_eq!(
            plans.iter().map(|plan| (plan.codec(), plan.log.class)).collect::<Vec<_>>(),
            [(Codec::Opus, Class::OfCanaries)]
        );
    }

    #[test]
    fn no_streams_without_sender() {
        let part = Part { sender: None, ..part(Kind::Subscriber) };
        assert!(plans(&scenario(), &part, Origin(Time::default())).is_empty());
    }
}
