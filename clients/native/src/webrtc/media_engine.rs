//! The server's codecs and header extensions in the form that the crate expects.

use super::engine;
use crate::{
    media::MediaError,
    sdp::{self, kind_of, parameters::Tables},
};
use ::webrtc::peer_connection::MediaEngine;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use tacet_proto::media::{Codec, CodecParameters, Kind};

pub(super) fn codec_kind(kind: Kind) -> RtpCodecKind {
    match kind {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    }
}

pub(super) fn codec(entry: &CodecParameters) -> RTCRtpCodec {
    let kind = if kind_of(entry.codec) == Kind::Audio { "audio" } else { "video" };
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    let rtcp_feedback = match kind_of(entry.codec) {
        Kind::Audio => vec![feedback("transport-cc", "")],
        Kind::Video => vec![feedback("transport-cc", ""), feedback("nack", ""), feedback("nack", "pli")],
    };
    RTCRtpCodec {
        mime_type: format!("{kind}/{}", sdp::encoding_name(entry.codec)),
        clock_rate: entry.clock,
        channels: if entry.codec == Codec::Opus { 2 } else { 0 },
        sdp_fmtp_line: entry.fmtp.clone(),
        rtcp_feedback,
    }
}

/// A media engine with all codecs and header extensions of the server.
pub(super) fn media_engine(tables: &Tables) -> Result<MediaEngine, MediaError> {
    let mut media_engine = MediaEngine::default();
    for entry in tables.codecs() {
        let kind = codec_kind(kind_of(entry.codec));
        let parameters = RTCRtpCodecParameters { rtp_codec: codec(entry), payload_type: entry.pt };
        media_engine.register_codec(parameters, kind).map_err(engine)?;
        if let Some(pt) = entry.rtx {
            let rtp_codec = RTCRtpCodec {
                mime_type: "video/rtx".to_owned(),
                clock_rate: entry.clock,
                channels: 0,
                sdp_fmtp_line: format!("apt={}", entry.pt),
                rtcp_feedback: Vec::new(),
            };
            let parameters = RTCRtpCodecParameters { rtp_codec, payload_type: pt };
            media_engine.register_codec(parameters, kind).map_err(engine)?;
        }
    }
    for extension in tables.extensions() {
        for kind in &extension.kinds {
            let capability = RTCRtpHeaderExtensionCapability { uri: extension.uri.clone() };
            media_engine.register_header_extension(capability, codec_kind(*kind), None).map_err(engine)?;
        }
    }
    Ok(media_engine)
}
