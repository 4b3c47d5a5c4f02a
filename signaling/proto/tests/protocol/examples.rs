//! An example of each message, in the order of the types.

use tacet_proto::{
    CallId, ClientEnvelope, ClientMessage as C, ErrorCode, PROTOCOL, ParticipantId, Role, RoomId, Seat, ServerEnvelope,
    ServerMessage as S, SessionId, TrackId,
    bytes::{Base64, Fixed},
    client::{
        Ack, Announce, Assign, ClientTransport, Credential, Empty, Hand, Hello, Join, Layers, Lock, Ping, Publish,
        SlotsReady, Speech, Subscribe, Target, Tile, TrackRef, Unsubscribe,
    },
    encoding::Encoding,
    layers::{Downlink, DownlinkCause, Layer, LayerReason, SlotLayer, TrackWant, Want},
    limits::{MAX_MESSAGE_BYTES, MESSAGES_PER_WINDOW},
    media::{
        Candidate, ClientIce, Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce, Slot, SlotContent,
        SlotSource, SlotSpeaker, SlotTrack, Source, Track,
    },
    resume::{Continues, Expected, Resume, Tokens},
    server::{
        Bye, ByeReason, Challenge, ErrorMessage, Joined, Limits, MuteRequest, Ok, Policy, Pong, Published, RoleChange,
        Roster, RosterEntry, ServerTransport, Slots, Speaker, Speakers, Tracks, TransportState, TransportStateChange,
        Welcome,
    },
};

const ADA: ParticipantId = ParticipantId(2_884_011_203);
const BOB: ParticipantId = ParticipantId(918_273_645);
const CAMERA: TrackId = TrackId(1_404_402_771);
const MICROPHONE: TrackId = TrackId(77_310_948);
/// Long byte strings are cut short: the text explains their length.
const SHORT: [u8; 9] = [0xa5; 9];

fn tokens() -> Tokens {
    Tokens { session: Base64(SHORT.to_vec()), reload: Base64(SHORT.to_vec()) }
}

fn dtls() -> Dtls {
    Dtls { fingerprint: Fixed([0x5d; 32]) }
}

fn encoding(rid: &str, height: u16, kbps: u32) -> Encoding {
    Encoding { rid: Some(rid.to_owned()), height: Some(height), kbps: Some(kbps), ..Encoding::default() }
}

fn camera(muted: bool) -> Track {
    Track {
        track: CAMERA,
        participant: ADA,
        kind: Kind::Video,
        source: Source::Camera,
        codec: Codec::Vp8,
        muted,
        stalled: false,
    }
}

/// Requests have numbers; the rest is answered by nothing.
pub(crate) fn of_client() -> Vec<ClientEnvelope> {
    let (announce, display) = (Base64(SHORT.to_vec()), Base64(SHORT.to_vec()));
    let (track, own) = (TrackRef { track: CAMERA }, TrackRef { track: MICROPHONE });
    let messages = [
        C::Hello(Hello {
            room: RoomId(Fixed([0x11; 16])),
            credential: Credential::GuestAccess { token: Fixed([0x22; 32]) },
            client: "example 1.0".to_owned(),
            features: vec![],
            resume: Some(Resume::Session { token: Base64(SHORT.to_vec()), last_seq: 41, proof: Fixed([0x33; 64]) }),
        }),
        C::Join(Join {
            announce: announce.clone(),
            display: display.clone(),
            expects: vec![Expected { participant: BOB, seat: Seat(1) }],
        }),
        C::Announce(Announce { announce, display }),
        C::Transport(ClientTransport {
            ice: ClientIce { ufrag: "Qc4X".to_owned(), pwd: "9uB0sYHc3cI5gqzv6wYw4nN8".to_owned() },
            dtls: dtls(),
        }),
        C::Publish(Publish {
            cid: "camera".to_owned(),
            kind: Kind::Video,
            source: Source::Camera,
            codec: Codec::Vp8,
            mid: "sv".to_owned(),
            encodings: vec![encoding("q", 180, 150), encoding("h", 360, 500), encoding("f", 720, 1_700)],
            muted: false,
        }),
        C::Unpublish(track),
        C::Mute(own),
        C::Unmute(own),
        C::Speech(Speech { track: MICROPHONE, speaking: true }),
        C::Subscribe(Subscribe { auto: true, tracks: vec![] }),
        C::Unsubscribe(Unsubscribe { tracks: vec![CAMERA] }),
        C::Layers(Layers {
            tiles: vec![Tile { track: CAMERA, height: 360, pinned: true, paused: false }],
            downlink: true,
        }),
        C::SlotsReady(SlotsReady { rev: 3 }),
        C::Resync(Empty {}),
        C::Ack(Ack { seq: 41 }),
        C::Heartbeat(Empty {}),
        C::Away(Empty {}),
        C::IceRestart(Empty {}),
        C::Hand(Hand { raised: true }),
        C::MuteRequest(Target { participant: BOB }),
        C::Kick(Target { participant: BOB }),
        C::Ban(Target { participant: BOB }),
        C::Lock(Lock { locked: true }),
        C::Role(Assign { participant: BOB, role: Role::Moderator }),
        C::End(Empty {}),
        C::Ping(Ping { ms: 81_234 }),
        C::Leave(Empty {}),
    ];
    let is_request = |message: &C| !matches!(message, C::Ack(_) | C::Heartbeat(_) | C::Away(_) | C::SlotsReady(_));
    messages
        .into_iter()
        .zip(1..)
        .map(|(message, number)| ClientEnvelope { id: is_request(&message).then_some(number), message })
        .collect()
}

fn welcome() -> Welcome {
    Welcome {
        participant: ADA,
        call: CallId(Fixed([0x44; 16])),
        session: SessionId(Fixed([0x55; 16])),
        continues: Continues::Nothing,
        role: Role::Speaker,
        capabilities: Role::Speaker.capabilities(),
        tokens: tokens(),
        time: 1_800_000_000_000,
        limits: Limits { rate: MESSAGES_PER_WINDOW as u32, bytes: MAX_MESSAGE_BYTES as u32 },
        codecs: vec![
            CodecParameters {
                codec: Codec::Opus,
                pt: 111,
                rtx: None,
                clock: 48_000,
                fmtp: "minptime=10;useinbandfec=1".to_owned(),
            },
            CodecParameters { codec: Codec::Vp8, pt: 96, rtx: Some(97), clock: 90_000, fmtp: String::new() },
        ],
        hdrext: vec![HeaderExtension {
            uri: "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned(),
            id: 1,
            kinds: vec![Kind::Audio, Kind::Video],
        }],
        features: vec![],
    }
}

/// A message, and the request that it answers.
type Example = (S, Option<u32>);

/// As many messages as a client might receive in a call, in the order of the types.
fn server_messages() -> [Example; 20] {
    let entry =
        |participant, seat, away| RosterEntry { participant, seat: Seat(seat), away, role: Role::Speaker, hand: away };
    let ice = ServerIce {
        ufrag: "k3Pf".to_owned(),
        pwd: "0pYqk2u8m1nB7wXz4rT6vC9e".to_owned(),
        candidates: vec![Candidate { ip: "192.0.2.7".to_owned(), port: 3_478 }],
    };
    let slot = |mid: &str, kind, codec, ssrc, rtx| Slot { mid: mid.to_owned(), kind, codec, ssrc, rtx };
    let content = |mid: &str, source| SlotSource { mid: mid.to_owned(), source };
    [
        (S::Challenge(Challenge { protocol: PROTOCOL.to_owned(), features: vec![], nonce: Fixed([0x66; 32]) }), None),
        (S::Welcome(welcome()), Some(1)),
        (
            S::Joined(Joined {
                seat: Seat(2),
                rev: 5,
                roster: vec![entry(BOB, 1, false)],
                tracks: vec![camera(false)],
                policy: Policy { locked: false },
                gathering: false,
                tokens: Some(tokens()),
            }),
            Some(2),
        ),
        (
            S::Roster(Roster {
                rev: 6,
                full: false,
                add: vec![entry(ADA, 2, false)],
                del: vec![],
                upd: vec![entry(BOB, 1, true)],
            }),
            None,
        ),
        (S::Transport(ServerTransport { ice, dtls: dtls() }), None),
        (S::Published(Published { cid: "camera".to_owned(), track: CAMERA }), Some(5)),
        (S::Tracks(Tracks { add: vec![], del: vec![MICROPHONE], upd: vec![camera(true)] }), None),
        (
            S::Slots(Slots {
                rev: 3,
                add: vec![
                    slot("a0", Kind::Audio, Codec::Opus, 1_001, None),
                    slot("v0", Kind::Video, Codec::Vp8, 1_002, Some(1_003)),
                ],
                set: vec![
                    content("a0", Some(SlotContent::Speaker(SlotSpeaker { speaker: 0 }))),
                    content("v0", Some(SlotContent::Track(SlotTrack { track: CAMERA, participant: ADA }))),
                    content("v1", None),
                ],
            }),
            None,
        ),
        (
            S::Layer(Layer {
                slots: vec![SlotLayer {
                    mid: "v0".to_owned(),
                    height: Some(360),
                    temporal: Some(2),
                    reason: LayerReason::Wish,
                }],
            }),
            None,
        ),
        (
            S::Want(Want { tracks: vec![TrackWant { track: CAMERA, active: vec![true, true, false], height: 360 }] }),
            None,
        ),
        (S::Downlink(Downlink { kbps: 1_900, wanted_kbps: 1_500, queue_ms: 4, cause: DownlinkCause::Limited }), None),
        (S::TransportState(TransportStateChange { state: TransportState::Connected }), None),
        (S::Speakers(Speakers { speakers: vec![Speaker { participant: BOB, level: 31 }] }), None),
        (
            S::Role(RoleChange {
                role: Role::Listener,
                capabilities: Role::Listener.capabilities(),
                withdrawn: vec![CAMERA],
            }),
            None,
        ),
        (S::MuteRequest(MuteRequest { by: BOB }), None),
        (S::Policy(Policy { locked: true }), None),
        (S::Ok(Ok {}), Some(10)),
        (S::Pong(Pong { ms: 81_234, tokens: Some(tokens()) }), Some(26)),
        (S::Bye(Bye { reason: ByeReason::Restart }), None),
        (
            S::Error(ErrorMessage {
                code: ErrorCode::RateLimited,
                retry_ms: Some(200),
                detail: "too many messages of type layers".to_owned(),
            }),
            Some(12),
        ),
    ]
}

/// Messages of the connection alone have the number 0.
pub(crate) fn of_server() -> Vec<ServerEnvelope> {
    let of_connection = |message: &S| {
        matches!(message, S::Challenge(_) | S::Welcome(_) | S::Pong(_) | S::Bye(_) | S::Speakers(_) | S::Error(_))
    };
    let messages = server_messages().into_iter().zip(1..);
    messages
        .map(|((message, re), number)| ServerEnvelope {
            seq: if of_connection(&message) { 0 } else { number },
            re,
            message,
        })
        .collect()
}
