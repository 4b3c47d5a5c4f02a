//! Sections on frames: key ids and sealed frames.

use super::{
    json::{Json, hex, number, text},
    scene::{BareFrame, Chat, Frame, Scene},
};
use crate::{
    Codec, FrameKind, Seat, StreamId, codec,
    sframe::{
        header::{self, Header},
        kdf::{self, FrameKeys},
        kid::Kid,
    },
};
use alloc::{vec, vec::Vec};
use e2ee_core::Standard;

/// A field of an object.
type Field = (&'static str, Json);

pub(super) fn kids() -> Json {
    let cases = [
        (0, 0, 0, StreamId::MICROPHONE),
        (7, 0, 0, StreamId::MICROPHONE),
        (0, 7, 0, StreamId::MICROPHONE),
        (0, 0, 4_095, StreamId::MICROPHONE),
        (0, 0, 0, StreamId::CAMERA),
        (3, 9, 1_234, StreamId::SCREEN_AUDIO),
        (5, 18, 2_749, StreamId(StreamId::CAMERA.0 + 8)),
        (7, 4_294_967_295, 4_095, StreamId::MAX),
    ];
    let kids = cases.map(|(step, generation, seat, stream): (u8, u32, u16, StreamId)| {
        let kid = Kid { step, generation: (generation % 8) as u8, seat: Seat(seat), stream };
        Json::Object(vec![
            ("step", number(step)),
            ("generation", number(generation)),
            ("seat", number(seat)),
            ("stream", number(stream.0)),
            ("kid", number(kid.pack())),
            ("header_of_ctr_0", hex(Header { kid: kid.pack(), ctr: 0 }.encode().as_bytes())),
        ])
    });
    Json::List(kids.into())
}

pub(super) fn frames(scene: &Scene) -> Json {
    Json::List(scene.frames.iter().map(|sealed| frame(scene, sealed)).collect())
}

fn frame(scene: &Scene, frame: &Frame) -> Json {
    // The content of the envelope, without H.264's escaping.
    let located = codec::locate(frame.codec, &frame.sealed).unwrap();
    let mut sframe = frame.sealed[located.range].to_vec();
    let length = codec::unescape(frame.codec, &mut sframe).unwrap();
    sframe.truncate(length);
    let said = [
        (
            "codec",
            text(match frame.codec {
                Codec::Opus => "opus",
                Codec::Vp8 => "vp8",
                Codec::Vp9 => "vp9",
                Codec::Av1 => "av1",
                Codec::H264 => "h264",
            }),
        ),
        (
            "kind",
            text(match frame.kind {
                FrameKind::Delta => "delta",
                FrameKind::Key => "key",
            }),
        ),
        ("metadata", hex(crate::codec::metadata(frame.codec, frame.kind))),
    ];
    let mut fields = keyed(scene, frame.sender, &sframe, said);
    fields.extend([("plain", hex(&frame.plain)), ("sframe", hex(&sframe)), ("sealed", hex(&frame.sealed))]);
    Json::Object(fields)
}

/// The sender of a ciphertext and its inputs, with further fields in between.
fn keyed<const N: usize>(scene: &Scene, sender: usize, sframe: &[u8], said: [Field; N]) -> Vec<Field> {
    let (Header { kid: packed, ctr }, _) = header::parse(sframe).unwrap();
    let kid = Kid::unpack(packed).unwrap();
    let key = scene.key(sender, kid);
    let keys = FrameKeys::derive::<Standard>(&*key.base_key::<Standard>(), packed);
    let mut fields = vec![
        ("sender", text(scene.devices[sender].name)),
        ("generation", number(key.epoch().generation)),
        ("step", number(kid.step)),
        ("stream", number(kid.stream.0)),
        ("kid", number(packed)),
        ("ctr", number(ctr)),
    ];
    fields.extend(said);
    fields.extend([
        ("sframe_key", hex(keys.key())),
        ("sframe_salt", hex(*keys.salt)),
        ("nonce", hex(kdf::nonce(&keys.salt, ctr))),
    ]);
    fields
}

/// Chat messages.
pub(super) fn chats(scene: &Scene) -> Json {
    let chats = scene.chats.iter().map(|Chat { sender, id, content, sealed }| {
        let (kind, said) = content.parts();
        let said = [
            ("id", hex(id.to_bytes())),
            ("type", number(kind)),
            ("text", text(said)),
            ("metadata", hex(crate::chat::metadata(*id))),
        ];
        let mut fields = keyed(scene, *sender, sealed, said);
        fields.extend([("plain", hex(&*content.pad().unwrap())), ("sframe", hex(sealed))]);
        Json::Object(fields)
    });
    Json::List(chats.collect())
}

/// Profile N.
pub(super) fn bare_frames(scene: &Scene) -> Json {
    let frames =
        scene.bare_frames.iter().map(|BareFrame { sender, plain, sframe, max_payload, packetized, payloads }| {
            let mut fields = keyed(scene, *sender, sframe, []);
            fields.extend([
                ("plain", hex(plain)),
                ("sframe", hex(sframe)),
                ("max_payload", number(*max_payload as u64)),
                ("packetized", number(*packetized)),
                ("payloads", Json::List(payloads.iter().map(hex).collect())),
            ]);
            Json::Object(fields)
        });
    Json::List(frames.collect())
}
