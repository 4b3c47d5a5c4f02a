//! Envelopes: a located range is in the frame, unescaping is the inverse of escaping, and content survives a round trip.

use e2ee_frames::{Codec, FrameKind, codec, hazmat};
use std::ops::Range;
use tacet_fuzz::Script;

/// The target: a codec, a kind, half a length, a content, and an edit of the frame with it.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let (Some(codec), Some(kind), Some(half)) = (crate::codec(&mut script), script.byte(), script.byte()) else {
        return;
    };
    let kind = if kind % 2 == 0 { FrameKind::Delta } else { FrameKind::Key };
    let content = script.bytes(2 * usize::from(half));
    let frame = round_trip(codec, kind, content);
    unwrap(codec, &script.edit(&[&frame, content]));
}

/// The kind and the content of a frame.
fn unwrap(codec: Codec, frame: &[u8]) -> Option<(FrameKind, Vec<u8>)> {
    let located = codec::locate(codec, frame).ok()?;
    let escaped = frame.get(located.range.clone()).expect("inside the frame");
    let mut content = escaped.to_vec();
    let length = codec::unescape(codec, &mut content).ok()?;
    content.truncate(length);
    assert_eq!(content.len(), length, "unescaping does not lengthen");
    let again = hazmat::wrap(codec, located.kind, &content).expect("it was in an envelope");
    let relocated = codec::locate(codec, &again).expect("an envelope");
    assert_eq!(relocated.kind, located.kind);
    assert_eq!(&again[relocated.range.clone()], escaped, "one content has one form");
    let around =
        |frame: &[u8], range: &Range<usize>| (constant(codec, &frame[..range.start]), frame[range.end..].to_vec());
    assert_eq!(around(frame, &located.range), around(&again, &relocated.range), "an envelope is constant");
    Some((located.kind, content))
}

/// What stands before the content, without what a depacketizer may have changed: AV1's temporal delimiter, and the
/// zeros of H.264's start codes.
fn constant(codec: Codec, prefix: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Av1 => prefix.strip_prefix(&[0x12, 0x00]).unwrap_or(prefix).to_vec(),
        Codec::H264 => prefix.iter().copied().filter(|byte| *byte != 0).collect(),
        _ => prefix.to_vec(),
    }
}

fn round_trip(codec: Codec, kind: FrameKind, content: &[u8]) -> Vec<u8> {
    let frame = hazmat::wrap(codec, kind, content).expect("short enough");
    assert!(frame.len() <= codec::max_sealed_bytes(codec, content.len()));
    assert_eq!(unwrap(codec, &frame), Some((codec::shown(codec, kind), content.to_vec())));
    if codec == Codec::H264 {
        let escaped = codec::locate(codec, &frame).expect("an envelope").range;
        let unit = &frame[escaped.start..];
        let start_code = unit.windows(3).any(|window| matches!(window, [0, 0, 0..=2]));
        assert!(!start_code, "no start code inside a unit");
    }
    frame
}
