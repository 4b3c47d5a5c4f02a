//! The interface that all RTP payload formats of this crate implement.

use e2ee_frames::FrameKind;

/// How sealed frames of a codec are cut into RTP payloads and put together again.
pub(super) trait PayloadFormat: std::fmt::Debug + Sync {
    /// Bytes in front of each piece of a frame, at most.
    fn overhead(&self) -> usize;

    /// Cuts a frame into payloads of at most `max` bytes; `None` if it is not in the envelope of the codec.
    fn packetize(&self, frame: &[u8], kind: FrameKind, picture_id: u16, max: usize) -> Option<Vec<Vec<u8>>>;

    /// Where a payload belongs in its frame; `None` if it is malformed.
    fn place(&self, payload: &[u8], marker: bool) -> Option<Place>;

    /// Joins all payloads of one frame, in order; `None` if they are malformed.
    fn depacketize(&self, payloads: &[&[u8]]) -> Option<Vec<u8>>;
}

/// Where a payload belongs in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: Start,
    /// Whether it is the last payload of the frame.
    pub(super) ends: bool,
}

/// Whether a payload is the first of its frame, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Yes,
    No,
    /// It is, unless the packet before it belongs to an unfinished frame.
    UnlessContinued,
}
