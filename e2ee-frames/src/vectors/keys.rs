//! Sections on keys: the invite, the devices with their announces, key batches, the key schedule.

use super::{
    json::{Json, hex, number, text},
    scene::{ADA, CALL, Device, INVITE, Scene, Shown},
};
use crate::{
    access_token,
    keys::{invite::InviteKeys, schedule::SessionKey},
    sframe::{
        kdf::FrameKeys,
        kid::{Kid, STEPS},
    },
};
use alloc::{string::ToString, vec, vec::Vec};
use e2ee_core::{AgreementKey, Primitives, Standard};
use hkdf::Hkdf;
use sha2::Sha512;
use x25519_dalek::StaticSecret;

pub(super) fn invite() -> Json {
    let mut announce = [0; 32];
    Standard::derive(b"e2ee-frames/1 invite", &INVITE, &mut [(&[b"announce"], &mut announce)]);
    let keys = InviteKeys::new::<Standard>(&INVITE);
    assert_eq!(Standard::mac(&announce, b"any"), keys.mac::<Standard>(b"any"), "the formula is that of the code");
    Json::Object(vec![
        ("secret", hex(INVITE)),
        ("access", hex(access_token(&INVITE))),
        ("announce_key", hex(announce)),
        ("display_key", hex(*keys.display)),
    ])
}

pub(super) fn call() -> Json {
    Json::Object(vec![("room", hex(CALL.room)), ("call", hex(CALL.call))])
}

pub(super) fn devices(scene: &Scene) -> Json {
    Json::List(scene.devices.iter().map(device).collect())
}

fn device(device: &Device) -> Json {
    let announce = &device.announce;
    let number_at = |range: core::ops::Range<usize>| {
        number(announce[range].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    Json::Object(vec![
        ("name", text(device.name)),
        ("participant", number(device.id.0)),
        ("seat", number(device.seat.0)),
        ("signing_seed", hex(device.signing_seed)),
        ("ephemeral_secret", hex(device.ephemeral)),
        (
            "announce",
            Json::Object(vec![
                ("version", number_at(0..1)),
                ("auth", number_at(1..2)),
                ("room", hex(&announce[2..18])),
                ("call", hex(&announce[18..34])),
                ("device", hex(&announce[34..66])),
                ("incarnation", hex(&announce[66..82])),
                ("ephemeral", hex(&announce[82..114])),
                ("bundle_hash", hex(&announce[114..146])),
                ("display_hash", hex(&announce[146..178])),
                ("profiles", number_at(178..182)),
                ("seq", number_at(182..186)),
                ("not_before", number_at(186..194)),
                ("not_after", number_at(194..202)),
                ("signature", hex(&announce[202..266])),
                ("mac", hex(&announce[266..298])),
            ]),
        ),
        ("announce_bytes", hex(announce)),
        ("announce_hash", hex(device.announce_hash())),
        ("join_id", hex(device.join_id().0)),
        ("sealed_name", hex(&device.sealed_name)),
    ])
}

pub(super) fn batches(scene: &Scene) -> Json {
    let batches = scene.batches.iter().map(|batch| {
        let (header, sender) = (&batch.header, &scene.devices[batch.sender]);
        let entries = batch.entries.iter().map(|entry| {
            let recipient = &scene.devices[entry.recipient];
            let secret = StaticSecret::from(sender.ephemeral);
            let public = AgreementKey::public(&StaticSecret::from(recipient.ephemeral));
            Json::Object(vec![
                ("recipient", text(recipient.name)),
                ("recipient_seat", number(recipient.seat.0)),
                ("recipient_announce_seq", number(1u8)),
                ("x25519", hex(secret.diffie_hellman(&public.into()))),
                ("context", hex(&entry.plain[32..])),
                ("plain", hex(entry.plain)),
                ("box", hex(&entry.bytes[6..])),
                ("bytes", hex(entry.bytes)),
            ])
        });
        Json::Object(vec![
            ("sender", text(sender.name)),
            ("key", hex(batch.key.secret())),
            ("seat", number(header.seat.0)),
            ("join_id_half", hex(header.join_id)),
            ("announce_seq", number(header.announce_seq)),
            ("generation", number(header.epoch.generation)),
            ("step", number(header.epoch.step)),
            ("reason", number(header.reason)),
            ("created", number(header.created.as_millis())),
            ("roster", Json::List(batch.roster.iter().map(|member| text(scene.devices[*member].name)).collect())),
            ("roster_hash", hex(header.roster_hash)),
            ("commitment", hex(header.commitment)),
            ("nonce", hex(header.nonce)),
            ("header_bytes", hex(batch.header_bytes)),
            ("entries", Json::List(entries.collect())),
        ])
    });
    Json::List(batches.collect())
}

/// All steps of the first generation of the first device.
pub(super) fn schedule(scene: &Scene) -> Json {
    let device = &scene.devices[ADA];
    let steps = (0..STEPS).map(|step| {
        let kid = Kid { step, generation: 0, seat: device.seat, stream: crate::StreamId::SCREEN };
        schedule_step(&scene.key(ADA, kid), kid)
    });
    let steps: Vec<Json> = steps.collect();
    Json::Object(vec![
        ("sender", text(device.name)),
        ("join_id", hex(device.join_id().0)),
        ("generation", number(0u8)),
        ("steps", Json::List(steps)),
    ])
}

fn schedule_step(key: &SessionKey, kid: Kid) -> Json {
    let base_key = key.base_key::<Standard>();
    let frame_keys = FrameKeys::derive::<Standard>(&*base_key, kid.pack());
    let (prk, _) = Hkdf::<Sha512>::extract(Some(b"e2ee-frames/1"), key.secret());
    Json::Object(vec![
        ("step", number(key.epoch().step)),
        ("key", hex(key.secret())),
        ("prk", hex(prk)),
        ("context", hex(key.context::<Standard>())),
        ("commitment", hex(key.commitment::<Standard>())),
        ("base_key", hex(*base_key)),
        ("kid", number(kid.pack())),
        ("sframe_key", hex(frame_keys.key())),
        ("sframe_salt", hex(*frame_keys.salt)),
    ])
}

/// The call codes after each join and leave.
pub(super) fn call_codes(scene: &Scene) -> Json {
    let codes = scene.codes.iter().map(|Shown { roster, code }| {
        let mut ids: Vec<[u8; 32]> = roster.iter().map(|member| scene.devices[*member].join_id().0).collect();
        ids.sort_unstable();
        let parts: Vec<&[u8]> =
            [&b"e2ee-frames/1 roster"[..]].into_iter().chain(ids.iter().map(|id| &id[..])).collect();
        Json::Object(vec![
            ("roster", Json::List(roster.iter().map(|member| text(scene.devices[*member].name)).collect())),
            ("roster_hash", hex(Standard::digest(&parts.concat()))),
            ("code", hex(code.as_bytes())),
            ("digits", text(&code.to_string())),
        ])
    });
    Json::List(codes.collect())
}
