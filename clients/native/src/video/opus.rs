//! Opus (RFC 7587): one frame per packet.

use super::{
    MAX_PAYLOAD_BYTES,
    payload_format::{PayloadFormat, Place, Start},
};
use e2ee_frames::FrameKind;

#[derive(Debug)]
pub(super) struct Opus;

impl PayloadFormat for Opus {
    fn overhead(&self) -> usize {
        0
    }

    fn packetize(&self, frame: &[u8], _kind: FrameKind, _picture_id: u16, _max: usize) -> Option<Vec<Vec<u8>>> {
        (frame.len() <= MAX_PAYLOAD_BYTES).then(|| vec![frame.to_vec()])
    }

    fn place(&self, _payload: &[u8], _marker: bool) -> Option<Place> {
        Some(Place { start: Start::Yes, ends: true })
    }

    fn depacketize(&self, payloads: &[&[u8]]) -> Option<Vec<u8>> {
        Some(payloads.concat())
    }
}
