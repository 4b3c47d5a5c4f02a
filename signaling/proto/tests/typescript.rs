//! The TypeScript types of the web client are generated from the wire messages.
//!
//! `UPDATE=1 cargo test -p tacet-proto --test typescript` writes the file; without it the test fails when the file is
//! stale.

#![allow(clippy::expect_used)]

use std::{fmt::Write as _, fs, path::PathBuf};
use tacet_proto::{MessageType, binary, client, encoding, error, ids, layers, limits, media, resume, role, server};
use ts_rs::{Config, TS};

fn declarations() -> String {
    let config = Config::new();
    let mut text = String::from("// Generated from signaling/proto by `make types`. Do not edit.\n\n");
    macro_rules! declare {
        ($($type:ty),* $(,)?) => {$(
            let _ = writeln!(text, "export {}\n", <$type as TS>::decl(&config));
        )*};
    }
    declare![
        ids::RoomId,
        ids::CallId,
        ids::SessionId,
        ids::ParticipantId,
        ids::Seat,
        ids::TrackId,
        client::Empty,
        media::Kind,
        media::Source,
        media::Codec,
        media::CodecParameters,
        media::HeaderExtension,
        media::Candidate,
        media::ServerIce,
        media::ClientIce,
        media::Dtls,
        media::Track,
        media::Slot,
        media::SlotTrack,
        media::SlotSpeaker,
        media::SlotContent,
        media::SlotSource,
        tacet_proto::bytes::Base64,
        client::Credential,
        role::Capability,
        role::Capabilities,
        role::Role,
        resume::Resume,
        resume::Continues,
        resume::Tokens,
        resume::Expected,
        client::Hello,
        client::Join,
        client::Announce,
        client::Ack,
        client::ClientTransport,
        encoding::Encoding,
        client::Publish,
        client::TrackRef,
        client::Speech,
        client::Subscribe,
        client::Unsubscribe,
        layers::Tile,
        layers::Layers,
        client::SlotsReady,
        client::Hand,
        client::Target,
        client::Lock,
        client::Assign,
        client::Ping,
        client::ClientMessage,
        error::ErrorCode,
        server::Challenge,
        server::Limits,
        server::Welcome,
        server::RosterEntry,
        server::Joined,
        server::Roster,
        server::ServerTransport,
        server::Published,
        server::Tracks,
        server::Slots,
        layers::LayerReason,
        layers::SlotLayer,
        layers::Layer,
        layers::DownlinkCause,
        layers::Downlink,
        layers::TrackWant,
        layers::Want,
        server::TransportState,
        server::TransportStateChange,
        server::Speaker,
        server::Speakers,
        server::RoleChange,
        server::MuteRequest,
        server::Policy,
        server::Ok,
        server::ByeReason,
        server::Bye,
        server::Pong,
        server::ErrorMessage,
        server::ServerMessage,
    ];
    for (name, value) in [
        ("MAX_MESSAGE_BYTES", limits::MAX_MESSAGE_BYTES),
        ("CLIENT_OUTBOX_PER_SECOND", limits::CLIENT_OUTBOX_PER_SECOND as usize),
        ("BATCH_HEADER_BYTES", binary::BATCH_HEADER_BYTES),
        ("BATCH_ENTRY_BYTES", binary::BATCH_ENTRY_BYTES),
        ("ANNOUNCE_BYTES", binary::ANNOUNCE_BYTES),
        ("MAX_DISPLAY_BYTES", binary::MAX_DISPLAY_BYTES),
        ("WANTED_KEY_BYTES", binary::WANTED_KEY_BYTES),
        ("MAX_WANTED_KEYS", binary::MAX_WANTED_KEYS),
        ("MAX_TEXT_BYTES", binary::MAX_TEXT_BYTES),
        ("MAX_REACTION_BYTES", binary::MAX_REACTION_BYTES),
        ("MAX_EXPECTED", client::MAX_EXPECTED),
        ("MAX_ENCODINGS", encoding::MAX_ENCODINGS),
        ("MAX_ROOM_TOKEN_BYTES", limits::MAX_ROOM_TOKEN_BYTES),
        ("MAX_TILES", layers::MAX_TILES),
    ] {
        let _ = writeln!(text, "export const {name} = {value};");
    }
    text.push_str(
        "\n/** How often one session may send messages of a type: `burst` at once, and one more each `every_ms`. */\n",
    );
    text.push_str("export const TYPE_RATES = {\n");
    for kind in MessageType::ALL {
        let limits::TypeRate { burst, every_ms } = limits::type_rate(*kind);
        let _ = writeln!(text, "  \"{}\": {{ burst: {burst}, every_ms: {every_ms} }},", kind.name());
    }
    text.push_str("} as const;\n");
    let _ = writeln!(text, "export const SUBPROTOCOL = \"{}\";", tacet_proto::SUBPROTOCOL);
    text
}

#[test]
fn generated_types_are_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/web/src/protocol/generated.ts");
    let wanted = declarations();
    if std::env::var_os("UPDATE").is_some() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("the folder of the generated types");
        }
        fs::write(&path, &wanted).expect("write the generated types");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run `make types`", path.display());
}
