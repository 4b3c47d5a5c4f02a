//! The streams that a bot sends: from a scenario to feeds and to publications.

use crate::{
    bots::cast::{self, Kind, Part},
    bots::feed::{Feed, Sealing},
    bots::frame,
    bots::pattern::{AudioPattern, Floor, Pattern, VideoPattern},
    measure::accounting::Window,
    measure::clock::Time,
    measure::send_log::{Class, RoomLog, StreamLog},
    scenario::Scenario,
};
use e2ee_frames::{Codec as FrameCodec, StreamId};
use std::sync::Arc;
use tacet_native::keys::SharedKeys;
use tacet_proto::{
    client::{Encoding, Publish},
    media::{Codec, CodecParameters, Kind as MediaKind, Source},
};

/// A stream before it has an SSRC.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    pub(crate) sealing: Sealing,
    pattern: Pattern,
    pub(crate) log: Arc<StreamLog>,
    /// MID of its m-line, and the client's id of the track.
    pub(crate) mid: String,
}

/// Start of all random processes of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(Time);

impl Origin {
    pub(crate) fn now() -> Self {
        Self(Time::now())
    }
}

/// The streams of one bot.
pub(crate) fn plans(scenario: &Scenario, part: &Part, origin: Origin) -> Vec<StreamPlan> {
    let Some(own) = part.sender else { return Vec::new() };
    let (seed, room) = (scenario.seed, part.room as u64);
    let mut plans = Vec::new();
    let mut add = |stream: StreamId, class: Class, encoding: Option<usize>, pattern: Pattern, rate: f64| {
        let codec = if class == Class::Video { FrameCodec::Vp8 } else { FrameCodec::Opus };
        let class = if part.kind == Kind::Canary { Class::OfCanaries } else { class };
        let log = Arc::new(StreamLog::new(class, encoding, Feed::remembered(rate)));
        let mid = format!("s{}", plans.len());
        plans.push(StreamPlan { sealing: Sealing { stream, codec }, pattern, log, mid });
    };
    if let Some(audio) = scenario.audio.or_else(|| (part.kind == Kind::Canary).then(Default::default)) {
        let floor = Floor::new(cast::senders(scenario, part.room), seed, room);
        let pattern = AudioPattern::new(&audio, floor, own, origin.0, seed, room);
        add(StreamId::MICROPHONE, Class::Audio, None, Pattern::Audio(Box::new(pattern)), 50.0);
    }
    if part.kind == Kind::Canary {
        return plans;
    }
    if let Some(packets) = scenario.packets {
        let bytes = frame::contents_for_payload(packets.bytes);
        let pattern = Pattern::packets(packets.per_second, packets.burst, bytes);
        add(StreamId::CAMERA, Class::Video, None, pattern, f64::from(packets.per_second));
    }
    if let Some(video) = scenario.video {
        for (encoding, (share, frames)) in video.encodings().enumerate() {
            let bits_per_second = f64::from(video.kilobits_per_second) * 1_000.0 * share;
            // The encodings of one camera show the same scenes.
            let camera = part.number as u64;
            let pattern = VideoPattern::new(&video, bits_per_second, frames.round() as u32, seed, camera);
            let stream = StreamId(StreamId::CAMERA.0 + 8 * encoding as u32);
            // Room for bursts of large frames.
            let rate = 4.0 * (frames + bits_per_second / 8_000.0);
            let encoding = video.simulcast.then_some(encoding);
            add(stream, Class::Video, encoding, Pattern::Video(Box::new(pattern)), rate);
        }
    }
    plans
}

impl StreamPlan {
    /// Codec in signaling.
    pub(crate) fn codec(&self) -> Codec {
        if self.sealing.codec == FrameCodec::Opus { Codec::Opus } else { Codec::Vp8 }
    }

    /// How the stream is announced to the server.
    pub(crate) fn publish(&self, ssrc: u32, rtx: Option<u32>) -> Publish {
        let (kind, source) = match self.codec() {
            Codec::Opus => (MediaKind::Audio, Source::Microphone),
            _ => (MediaKind::Video, Source::Camera),
        };
        Publish {
            cid: self.mid.clone(),
            kind,
            source,
            codec: self.codec(),
            mid: self.mid.clone(),
            encodings: Encoding::single(ssrc, rtx),
            muted: false,
        }
    }

    /// The stream's packets, sealed with these keys.
    pub(crate) fn feed(self, keys: SharedKeys, room: Arc<RoomLog>, window: Arc<Window>) -> Feed {
        Feed::new(keys, self.sealing, self.pattern, (room, self.log), window)
    }
}

/// The server's table entry of a codec.
pub(crate) fn entry(codecs: &[CodecParameters], codec: Codec) -> Option<&CodecParameters> {
    codecs.iter().find(|entry| entry.codec == codec)
}

/// The encoding of a simulcast publisher that a receiver subscribes to, so that all are used equally.
pub(crate) fn takes(receiver: usize, publisher: u32, encodings: usize) -> usize {
    (receiver + publisher as usize) % encodings.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Audio, Video};

    fn part(kind: Kind) -> Part {
        Part { kind, room: 0, number: 3, sender: Some(1), when: cast::When::First, churns: false, needs: 0 }
    }

    fn scenario() -> Scenario {
        Scenario {
            participants: 3,
            audio: Some(Audio::default()),
            video: Some(Video { simulcast: true, ..Video::default() }),
            ..Scenario::default()
        }
    }

    #[test]
    fn simulcast_has_a_stream_per_encoding() {
        let plans = plans(&scenario(), &part(Kind::Participant), Origin(Time::default()));
        assert_eq!(plans.len(), 4);
        let streams: Vec<u32> = plans.iter().map(|plan| plan.sealing.stream.0).collect();
        assert_eq!(streams, [0, 1, 9, 17], "a microphone and three cameras");
        assert_eq!(plans.iter().map(|plan| plan.log.encoding).collect::<Vec<_>>(), [None, Some(0), Some(1), Some(2)]);
        let published = plans[1].publish(5, Some(6));
        assert_eq!(
            (published.kind, published.codec, published.encodings),
            (MediaKind::Video, Codec::Vp8, Encoding::single(5, Some(6)))
        );
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

    #[test]
    fn encodings_are_taken_equally() {
        let mut taken = [0; 3];
        (0..30).for_each(|receiver| taken[takes(receiver, 7, 3)] += 1);
        assert_eq!(taken, [10, 10, 10]);
    }
}
