//! The Dependency Descriptor, payload descriptors and key frame detection. Asserts that only the bytes in clear are read,
//! and that rewriting changes no others.

use rtp_wire::{
    dependency_descriptor::{self, Descriptor},
    key_frame::starts_key_frame,
    vp8::Vp8Descriptor,
};
use sfu::media::Codec;
use tacet_fuzz::Script;

/// Maximum number of payload bytes that may be read: the descriptor and, for VP8, the byte with the key frame bit.
const CLEAR: [(Codec, usize); 5] =
    [(Codec::Opus, 0), (Codec::Vp8, 7), (Codec::Vp9, 4), (Codec::Av1, 1), (Codec::H264, 4)];

/// Input: the length of a Dependency Descriptor, the descriptor, and a payload.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(length) = script.byte() else { return };
    let dependency = Some(script.bytes(usize::from(length))).filter(|value| !value.is_empty());
    let payload = script.0;
    if let Some(value) = dependency {
        descriptor(value);
    }
    for (codec, clear) in CLEAR {
        let clear = if dependency.and_then(Descriptor::parse).is_some() { 0 } else { clear };
        let mut sealed = payload.to_vec();
        sealed.iter_mut().skip(clear).for_each(|byte| *byte = !*byte);
        let starts = starts_key_frame(codec, dependency, payload);
        assert_eq!(starts, starts_key_frame(codec, dependency, &sealed), "{codec:?} depends on sealed bytes");
    }
    if let Some(read) = Vp8Descriptor::parse(payload) {
        vp8(&read, payload);
    }
}

fn descriptor(value: &[u8]) {
    let mut renumbered = value.to_vec();
    dependency_descriptor::set_frame_number(&mut renumbered, 0xabcd);
    match Descriptor::parse(value) {
        Some(read) => {
            assert_eq!(Descriptor::parse(&renumbered), Some(Descriptor { frame_number: 0xabcd, ..read }));
            dependency_descriptor::set_frame_number(&mut renumbered, read.frame_number);
        }
        None => assert!(value.len() < 3),
    }
    assert_eq!(renumbered, value);
}

fn vp8(read: &Vp8Descriptor, payload: &[u8]) {
    assert!(read.length <= payload.len());
    let mut rewritten = payload.to_vec();
    read.rewrite(&mut rewritten, 0x7abc, 0xde);
    let again = Vp8Descriptor::parse(&rewritten).expect("a descriptor as before");
    assert_eq!(again.tl0_pic_idx, read.tl0_pic_idx.map(|_| 0xde));
    assert_eq!(again.picture_id.map(|id| id.value), read.picture_id.map(|id| if id.long { 0x7abc } else { 0x3c }));
    assert_eq!(again.starts_key_frame(&rewritten), read.starts_key_frame(payload));
    let (picture_id, tl0) = (read.picture_id.map_or(0, |id| id.value), read.tl0_pic_idx.unwrap_or(0));
    again.rewrite(&mut rewritten, picture_id, tl0);
    assert_eq!(rewritten, payload);
}
