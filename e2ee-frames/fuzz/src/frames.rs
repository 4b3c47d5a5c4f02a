//! Altered frames: a frame opens only unchanged, with its sender, codec and kind, and only once. The genuine one opens
//! after any number of altered ones.

use crate::stage::{ADA, ADA_SEAT, START, STREAM, Stage, at, drain, seal};
use e2ee_frames::{Codec, FrameKind, codec, hazmat};
use tacet_fuzz::Script;

/// A frame that may open, once.
struct Sealed {
    codec: Codec,
    kind: FrameKind,
    content: Vec<u8>,
    opened: bool,
}

/// The target: how many frames, each with codec, kind and content; then codecs and edits of frames to open.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(count) = script.byte() else { return };
    let mut stage = Stage::new();
    stage.hand_over_key();
    let (mut frames, mut sealed) = (Vec::new(), Vec::new());
    for _ in 0..=count % 4 {
        let (Some(codec), Some(shape)) = (crate::codec(&mut script), script.byte()) else { return };
        let kind = if shape % 2 == 0 { FrameKind::Delta } else { FrameKind::Key };
        let content = script.bytes(usize::from(shape / 2)).to_vec();
        let (frame, kind) = seal(&mut stage.ada, at(START), codec, kind, &content).expect("Ada has a key");
        frames.push(frame);
        sealed.push(Sealed { codec, kind, content, opened: false });
    }
    while let Some(codec) = crate::codec(&mut script) {
        let rewrapped = frames.iter().zip(&sealed).flat_map(|(frame, sealed)| rewrap(frame, sealed.codec, codec));
        let nearly: Vec<_> = frames.iter().cloned().chain(rewrapped).collect();
        let nearly: Vec<_> = nearly.iter().map(Vec::as_slice).collect();
        open(&mut stage, codec, script.edit(&nearly), &mut sealed);
        drain(&mut stage.bob);
    }
    // Those that opened before are refused as replayed.
    for (index, frame) in frames.into_iter().enumerate() {
        let codec = sealed[index].codec;
        open(&mut stage, codec, frame, &mut sealed);
    }
    assert!(sealed.iter().all(|sealed| sealed.opened), "every genuine frame opens");
}

/// The ciphertext of a frame in the envelopes of a codec: as another kind, or as of another codec.
fn rewrap(frame: &[u8], of: Codec, codec: Codec) -> [Vec<u8>; 2] {
    let located = codec::locate(of, frame).expect("a genuine frame");
    let mut content = frame.get(located.range).expect("inside the frame").to_vec();
    let length = codec::unescape(of, &mut content).expect("a genuine frame");
    content.truncate(length);
    [FrameKind::Delta, FrameKind::Key].map(|kind| hazmat::wrap(codec, kind, &content).expect("short enough"))
}

fn open(stage: &mut Stage, codec: Codec, mut frame: Vec<u8>, sealed: &mut [Sealed]) {
    let Ok(opened) = stage.bob.open(at(START), codec, &mut frame) else { return };
    let content = frame.get(opened.range.clone()).expect("inside the buffer");
    let is_it = |sealed: &&mut Sealed| sealed.codec == codec && sealed.kind == opened.kind && sealed.content == content;
    let once = sealed.iter_mut().filter(|sealed| !sealed.opened).find(is_it);
    once.expect("what opens was sealed, and opens once").opened = true;
    assert_eq!((opened.participant, opened.seat, opened.stream), (ADA, ADA_SEAT, STREAM));
}
