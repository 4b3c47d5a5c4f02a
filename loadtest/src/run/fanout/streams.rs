//! What publishers send and receivers get in a fan-out: the traffic, and the streams as they were negotiated.

use crate::{
    bots::{
        receiver::SlotStream,
        sender::{EncodingStreams, ExtensionIds, TrackStreams},
    },
    scenario::{Layers, Video},
};
use e2ee_frames::Codec;
use serde::{Deserialize, Serialize};

/// Traffic of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Packets a second.
    pub pps: u32,
    /// Packets sent at once.
    pub burst: u32,
    /// Bytes of RTP payload in each packet.
    pub size: usize,
}

/// Traffic of microphones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voices {
    /// Open microphones, each of which sends 50 packets a second.
    pub microphones: usize,
    /// How many have the floor at the same time.
    pub talkers: usize,
    /// Bytes of an Opus frame.
    pub bytes: usize,
}

/// Traffic of a camera in three encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Camera {
    /// Bitrate of the largest encoding in kbit/s; the others have 29 and 9 % of it.
    pub kbps: u32,
    /// Images a second.
    pub frames_per_second: u32,
}

impl Camera {
    /// RIDs of the encodings, the lowest quality first.
    pub const RIDS: [&str; 3] = ["q", "h", "f"];
    /// Their heights in lines.
    pub const HEIGHTS: [u16; 3] = [180, 360, 720];

    /// As in a scenario. Key frames are sent when the server asks for them.
    pub(super) fn video(self) -> Video {
        Video {
            frames_per_second: self.frames_per_second,
            kilobits_per_second: self.kbps,
            key_frame_every_s: 0.0,
            layers: Some(Layers::Simulcast),
            ..Video::default()
        }
    }
}

/// The publisher's video stream, as it was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedStream {
    /// SSRC of the packets.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx: u32,
    /// Payload type of VP8.
    pub payload_type: u8,
    /// Payload type of retransmissions.
    pub rtx_payload_type: u8,
    /// Id of the transport-wide sequence number.
    pub transport_cc: Option<u8>,
}

/// The stream of a microphone, as it was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoiceStream {
    /// SSRC of the packets.
    pub ssrc: u32,
    /// Payload type of Opus.
    pub payload_type: u8,
    /// Id of the transport-wide sequence number.
    pub transport_cc: Option<u8>,
    /// Id of the audio level.
    pub audio_level: Option<u8>,
}

/// A stream as the server forwards it to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedStream {
    /// SSRC of the packets.
    pub ssrc: u32,
    /// SSRC of retransmissions, if they have their own.
    pub rtx: Option<u32>,
    /// Whether it is audio.
    pub is_audio: bool,
}

/// The streams of a camera, as they were negotiated. A server that was not informed of SSRCs learns them from MID and RID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraStreams {
    /// MID of the m-line.
    pub mid: String,
    /// SSRC of each encoding, and that of its retransmissions, in the order of [`Camera::RIDS`].
    pub encodings: [(u32, u32); 3],
    /// Payload type of VP8.
    pub payload_type: u8,
    /// Payload type of retransmissions.
    pub rtx_payload_type: u8,
    /// Id of the transport-wide sequence number.
    pub transport_cc: Option<u8>,
    /// Id of the MID.
    pub mid_extension: Option<u8>,
    /// Id of the RID.
    pub rid: Option<u8>,
    /// Id of the RID in retransmissions.
    pub repaired_rid: Option<u8>,
    /// Id of the Dependency Descriptor.
    pub descriptor: Option<u8>,
}

impl From<CameraStreams> for TrackStreams {
    fn from(streams: CameraStreams) -> Self {
        let encoding = |((ssrc, rtx), rid)| EncodingStreams { ssrc, rtx: Some(rtx), rid: Some(rid) };
        Self {
            mid: streams.mid,
            payload_type: streams.payload_type,
            rtx_payload_type: Some(streams.rtx_payload_type),
            extensions: ExtensionIds {
                transport_cc: streams.transport_cc,
                mid: streams.mid_extension,
                rid: streams.rid,
                repaired_rid: streams.repaired_rid,
                descriptor: streams.descriptor,
                ..ExtensionIds::default()
            },
            encodings: streams.encodings.into_iter().zip(Camera::RIDS).map(encoding).collect(),
        }
    }
}

pub(super) fn stream_ssrcs(streams: &[ReceivedStream]) -> Vec<SlotStream> {
    let codec = |stream: &ReceivedStream| if stream.is_audio { Codec::Opus } else { Codec::Vp8 };
    let slot = |stream| SlotStream { codec: codec(stream), media: stream.ssrc, rtx: stream.rtx };
    streams.iter().map(slot).collect()
}
