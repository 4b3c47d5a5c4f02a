//! Builds the headers and payloads of the packets sent into slots, from stored packets.

use super::rewriter::Rewritten;
use crate::{
    ids::{Mid, Ssrc},
    publisher::packet_store::StoredPacket,
    wire::{
        header::{HeaderBuffer, HeaderExtensions, RtpHeader},
        seq::SeqNum,
    },
};

/// Builds a packet's header: the fields that are equal in all slots, and the MID of one of them. The fields of the slot's
/// stream are set later.
pub(crate) fn build_header(buffer: &mut HeaderBuffer, payload_type: u8, packet: &StoredPacket, mid: Option<&Mid>) {
    let meta = &packet.meta;
    let header = RtpHeader { marker: meta.marker, payload_type, seq: SeqNum(0), timestamp: 0, ssrc: Ssrc(0) };
    let extensions = HeaderExtensions {
        mid: mid.map(Mid::as_bytes),
        audio_level: meta.audio_level,
        twcc_seq: Some(0),
        dependency: packet.dependency(),
        ..HeaderExtensions::default()
    };
    buffer.build(header, extensions);
    buffer.set_padding(packet.padded().len() > packet.payload_len());
}

/// Builds the header of a packet without payload, which takes a number of the stream that is of no other packet. Decoders
/// take it for padding.
pub(crate) fn build_filler(buffer: &mut HeaderBuffer, payload_type: u8, mid: Option<&Mid>) {
    let header = RtpHeader { marker: false, payload_type, seq: SeqNum(0), timestamp: 0, ssrc: Ssrc(0) };
    let extensions = HeaderExtensions { mid: mid.map(Mid::as_bytes), twcc_seq: Some(0), ..HeaderExtensions::default() };
    buffer.build(header, extensions);
}

/// Writes a slot's picture id into the payload, which is shared by all slots. Returns the payload.
pub(crate) fn rewrite_payload<'a>(packet: &'a mut StoredPacket, rewritten: &Rewritten) -> &'a [u8] {
    let vp8 = packet.meta.vp8;
    let payload = packet.payload_mut();
    if let Some(vp8) = vp8 {
        vp8.rewrite(payload, rewritten.picture_id, rewritten.tl0_pic_idx);
    }
    payload
}
