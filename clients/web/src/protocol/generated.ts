// Generated from signaling/proto by `make types`. Do not edit.

export type RoomId = string;

export type CallId = string;

export type SessionId = string;

export type ParticipantId = number;

export type Seat = number;

export type TrackId = number;

export type Empty = Record<never, never>;

export type Kind = "audio" | "video";

export type Source = "microphone" | "camera" | "screen" | "screen-audio";

export type Codec = "opus" | "vp8" | "vp9" | "av1" | "h264";

export type CodecParameters = { 
/**
 * The codec.
 */
codec: Codec, 
/**
 * RTP payload type.
 */
pt: number, 
/**
 * Payload type of its retransmissions (RFC 4588), video only.
 */
rtx?: number, 
/**
 * RTP clock in Hz.
 */
clock: number, 
/**
 * `a=fmtp` parameters, empty where there are none.
 */
fmtp: string, };

export type HeaderExtension = { 
/**
 * The extension's URI.
 */
uri: string, 
/**
 * Its id on the wire, 1..=14.
 */
id: number, 
/**
 * Kinds of section that carry it.
 */
kinds: Array<Kind>, };

export type Candidate = { 
/**
 * IP address, textual.
 */
ip: string, 
/**
 * UDP port.
 */
port: number, };

export type ServerIce = { 
/**
 * Username fragment.
 */
ufrag: string, 
/**
 * Password.
 */
pwd: string, 
/**
 * Host candidates.
 */
candidates: Array<Candidate>, };

export type ClientIce = { 
/**
 * Username fragment.
 */
ufrag: string, 
/**
 * Password.
 */
pwd: string, };

export type Dtls = { 
/**
 * SHA-256 of the certificate's DER form.
 */
fingerprint: string, };

export type Track = { 
/**
 * Its id.
 */
track: TrackId, 
/**
 * Its publisher.
 */
participant: ParticipantId, 
/**
 * Kind of media.
 */
kind: Kind, 
/**
 * Where the media come from.
 */
source: Source, 
/**
 * Its codec.
 */
codec: Codec, 
/**
 * Whether its publisher has muted it. The server can neither mute nor unmute it.
 */
muted: boolean, 
/**
 * Whether it should send and no packet of it has arrived for some seconds.
 */
stalled?: boolean, };

export type Slot = { 
/**
 * Media identification (RFC 8843), chosen by the server.
 */
mid: string, 
/**
 * Kind of media.
 */
kind: Kind, 
/**
 * Codec of the slot's class.
 */
codec: Codec, 
/**
 * SSRC of every packet in the slot.
 */
ssrc: number, 
/**
 * SSRC of its retransmissions, video only.
 */
rtx?: number, };

export type SlotTrack = { 
/**
 * The track.
 */
track: TrackId, 
/**
 * Its publisher: the msid under which the client pairs audio and video.
 */
participant: ParticipantId, };

export type SlotSpeaker = { 
/**
 * Number of the position, from 0.
 */
speaker: number, };

export type SlotContent = SlotTrack | SlotSpeaker;

export type SlotSource = { 
/**
 * The slot.
 */
mid: string, 
/**
 * What is in it, or `null` if it is empty.
 */
source: SlotContent | null, };

export type Base64 = string;

export type Credential = { "type": "guest", 
/**
 * HKDF of the link's invite secret, label "access". It admits to the room and opens no frame.
 */
token: string, } | { "type": "room", 
/**
 * A JWT, at most [`crate::limits::MAX_ROOM_TOKEN_BYTES`] bytes.
 */
token: string, };

export type Capability = "publish_microphone" | "publish_camera" | "publish_screen" | "subscribe" | "chat" | "moderate" | "manage";

export type Capabilities = Capability[];

export type Role = "listener" | "speaker" | "moderator" | "host";

export type Resume = { "type": "session", 
/**
 * The latest token of `welcome` or `pong`.
 */
token: Base64, 
/**
 * Number of the last message that arrived from the server; 0 for none.
 */
last_seq: number, 
/**
 * Ed25519 signature of the session's device key over the resume statement with this connection's nonce.
 */
proof: string, } | { "type": "reload", 
/**
 * The latest `reload` token of `welcome` or `pong`.
 */
token: Base64, };

export type Continues = "nothing" | "session" | "seat" | "participant";

export type Tokens = { 
/**
 * For [`Resume::Session`].
 */
session: Base64, 
/**
 * For [`Resume::Reload`].
 */
reload: Base64, };

export type Expected = { 
/**
 * Its id.
 */
participant: ParticipantId, 
/**
 * Its seat.
 */
seat: Seat, };

export type Hello = { 
/**
 * The room.
 */
room: RoomId, 
/**
 * What entitles the client to enter.
 */
credential: Credential, 
/**
 * Name and version of the client software.
 */
client: string, 
/**
 * Optional parts of the protocol that the client speaks.
 */
features?: Array<string>, 
/**
 * The session that the client continues, if any.
 */
resume?: Resume, };

export type Join = { 
/**
 * The signed announce of this device, [`crate::binary::ANNOUNCE_BYTES`] bytes.
 */
announce: Base64, 
/**
 * The sealed name, at most [`crate::binary::MAX_DISPLAY_BYTES`] bytes.
 */
display: Base64, 
/**
 * The others that a client which continues its seat still has on its roster, at most [`MAX_EXPECTED`].
 */
expects?: Array<Expected>, };

export type Announce = { 
/**
 * The renewed announce, whose number has grown.
 */
announce: Base64, 
/**
 * The sealed name.
 */
display: Base64, };

export type Ack = { 
/**
 * Number of the last message that arrived, text or binary.
 */
seq: number, };

export type ClientTransport = { 
/**
 * ICE credentials of the client.
 */
ice: ClientIce, 
/**
 * Certificate fingerprint of the client.
 */
dtls: Dtls, };

export type Encoding = { 
/**
 * RTP stream id (RFC 8851).
 */
rid?: string, 
/**
 * SSRC of its packets.
 */
ssrc?: number, 
/**
 * SSRC of its retransmissions, video only.
 */
rtx?: number, 
/**
 * Lines that it is meant to have.
 */
height?: number, 
/**
 * Its maximum bitrate in kbit/s.
 */
kbps?: number, };

export type Publish = { 
/**
 * The client's own name for the track, 1 to 64 visible characters, repeated in `published`.
 */
cid: string, 
/**
 * Kind of media.
 */
kind: Kind, 
/**
 * Where the media come from.
 */
source: Source, 
/**
 * Codec of its packets.
 */
codec: Codec, 
/**
 * MID of the sending m-line, 1 to 16 visible characters.
 */
mid: string, 
/**
 * Its encodings, at most [`MAX_ENCODINGS`], the lowest quality first. Audio has one.
 */
encodings: Array<Encoding>, 
/**
 * Whether it starts muted.
 */
muted?: boolean, };

export type TrackRef = { 
/**
 * The track.
 */
track: TrackId, };

export type Speech = { 
/**
 * The client's own track of audio.
 */
track: TrackId, 
/**
 * Whether its participant speaks from now on.
 */
speaking: boolean, };

export type Subscribe = { 
/**
 * Every track of the others, now and later.
 */
auto?: boolean, 
/**
 * These tracks, 1 to 50, if not `auto`.
 */
tracks?: Array<TrackId>, };

export type Unsubscribe = { 
/**
 * These tracks, at most 50.
 */
tracks: Array<TrackId>, };

export type Tile = { 
/**
 * The track. One that does not exist any more is ignored.
 */
track: TrackId, 
/**
 * Height in device pixels.
 */
height: number, 
/**
 * Whether it comes before all tiles that are not pinned.
 */
pinned?: boolean, 
/**
 * Whether no media of it is wanted for now.
 */
paused?: boolean, };

export type Layers = { 
/**
 * At most [`MAX_TILES`], one for each track.
 */
tiles: Array<Tile>, 
/**
 * Whether the client wants `downlink`.
 */
downlink?: boolean, };

export type SlotsReady = { 
/**
 * Highest revision of `slots` that has been applied locally.
 */
rev: number, };

export type Hand = { 
/**
 * Whether it is up. The server and all others see that.
 */
raised: boolean, };

export type Target = { 
/**
 * The participant.
 */
participant: ParticipantId, };

export type Lock = { 
/**
 * Whether the room is locked from now on.
 */
locked: boolean, };

export type Assign = { 
/**
 * The participant.
 */
participant: ParticipantId, 
/**
 * What it is from now on.
 */
role: Role, };

export type Ping = { 
/**
 * The sender's clock in milliseconds, repeated in the answer.
 */
ms: number, };

export type ClientMessage = { "t": "hello" } & Hello | { "t": "join" } & Join | { "t": "announce" } & Announce | { "t": "transport" } & ClientTransport | { "t": "publish" } & Publish | { "t": "unpublish" } & TrackRef | { "t": "mute" } & TrackRef | { "t": "unmute" } & TrackRef | { "t": "speech" } & Speech | { "t": "subscribe" } & Subscribe | { "t": "unsubscribe" } & Unsubscribe | { "t": "layers" } & Layers | { "t": "slots.ready" } & SlotsReady | { "t": "resync" } & Empty | { "t": "ack" } & Ack | { "t": "heartbeat" } & Empty | { "t": "away" } & Empty | { "t": "ice.restart" } & Empty | { "t": "hand" } & Hand | { "t": "mute.request" } & Target | { "t": "kick" } & Target | { "t": "ban" } & Target | { "t": "lock" } & Lock | { "t": "role" } & Assign | { "t": "end" } & Empty | { "t": "ping" } & Ping | { "t": "leave" } & Empty;

export type ErrorCode = "bad_message" | "unknown_type" | "unauthenticated" | "token_expired" | "forbidden" | "banned" | "room_locked" | "no_room" | "room_full" | "not_member" | "no_participant" | "no_track" | "codec_unsupported" | "limit_tracks" | "not_yours" | "rate_limited" | "out_of_order" | "not_resumable" | "server_busy" | "internal";

export type Challenge = { 
/**
 * Protocol name, [`crate::PROTOCOL`].
 */
protocol: string, 
/**
 * Optional parts of the protocol that the server speaks.
 */
features: Array<string>, 
/**
 * To be signed by a client that continues a session.
 */
nonce: string, };

export type Limits = { 
/**
 * Maximum number of messages in any second.
 */
rate: number, 
/**
 * Largest message in bytes.
 */
bytes: number, };

export type Welcome = { 
/**
 * The client's participant id.
 */
participant: ParticipantId, 
/**
 * The call.
 */
call: CallId, 
/**
 * The client's session.
 */
session: SessionId, 
/**
 * What the client still has of the session that it asked to continue.
 */
continues: Continues, 
/**
 * What the client is in the room.
 */
role: Role, 
/**
 * What it may do there: that of its role, or less if its token says so.
 */
capabilities: Capabilities, 
/**
 * How to continue this session. Those of a client that has not joined yet are good while the server runs; it gets
 * better ones with `joined`.
 */
tokens: Tokens, 
/**
 * The server's wall clock, milliseconds since 1970.
 */
time: number, 
/**
 * Limits of this connection.
 */
limits: Limits, 
/**
 * Payload types.
 */
codecs: Array<CodecParameters>, 
/**
 * Header extensions.
 */
hdrext: Array<HeaderExtension>, 
/**
 * Optional parts of the protocol that both sides speak.
 */
features: Array<string>, };

export type RosterEntry = { 
/**
 * Its id.
 */
participant: ParticipantId, 
/**
 * Its seat.
 */
seat: Seat, 
/**
 * Whether neither the participant nor its media has been heard of for some seconds; it may return.
 */
away?: boolean, 
/**
 * What it is in the room; a speaker if absent.
 */
role?: Role, 
/**
 * Whether its hand is up.
 */
hand?: boolean, };

export type Joined = { 
/**
 * The client's own seat.
 */
seat: Seat, 
/**
 * Revision of the roster that follows.
 */
rev: number, 
/**
 * The other participants.
 */
roster: Array<RosterEntry>, 
/**
 * Their tracks.
 */
tracks: Array<Track>, 
/**
 * Who may come in.
 */
policy: Policy, 
/**
 * The server has restarted, and more participants of this call are expected back: those that the client knows have not
 * left until a `full` roster says so, or for 40 seconds.
 */
gathering: boolean, 
/**
 * How to continue the session, also on a server that has restarted.
 */
tokens?: Tokens, };

export type Roster = { 
/**
 * Revision after this change; a client that misses one sends `resync`.
 */
rev: number, 
/**
 * Whether `add` is the whole roster: as the answer to `resync`, and at the end of gathering.
 */
full: boolean, 
/**
 * Participants that joined.
 */
add: Array<RosterEntry>, 
/**
 * Participants that left.
 */
del: Array<ParticipantId>, 
/**
 * Participants that went away or are back, have another role, or raised or lowered their hand: in full.
 */
upd?: Array<RosterEntry>, };

export type ServerTransport = { 
/**
 * ICE parameters; the server is lite and sends no checks.
 */
ice: ServerIce, 
/**
 * Certificate fingerprint of the server.
 */
dtls: Dtls, };

export type Published = { 
/**
 * The client's own name for the track.
 */
cid: string, 
/**
 * Its id.
 */
track: TrackId, };

export type Tracks = { 
/**
 * New tracks.
 */
add: Array<Track>, 
/**
 * Withdrawn tracks.
 */
del: Array<TrackId>, 
/**
 * Tracks that were muted or unmuted, or whose media stopped or came back, in full.
 */
upd: Array<Track>, };

export type Slots = { 
/**
 * Revision, to be confirmed by `slots.ready` once applied; only then does media flow in new slots.
 */
rev: number, 
/**
 * New m-lines, in the order of appending.
 */
add: Array<Slot>, 
/**
 * New contents.
 */
set: Array<SlotSource>, };

export type LayerReason = "wish" | "bandwidth" | "network" | "server" | "sender" | "pause";

export type SlotLayer = { 
/**
 * The slot.
 */
mid: string, 
/**
 * Height of its video in lines, 0 if the server does not know it; none while nothing is forwarded.
 */
height?: number, 
/**
 * Its temporal layer, if the server knows it; none while nothing is forwarded.
 */
temporal?: number, 
/**
 * Why it changed.
 */
reason: LayerReason, };

export type Layer = { 
/**
 * The slots, each once.
 */
slots: Array<SlotLayer>, };

export type DownlinkCause = "start" | "growth" | "probe" | "limited" | "trend" | "queue" | "loss" | "no_feedback" | "path_change";

export type Downlink = { 
/**
 * Bitrate that the path is estimated to carry, in kbit/s.
 */
kbps: number, 
/**
 * Bitrate with which all that is shown would have its size, in kbit/s.
 */
wanted_kbps: number, 
/**
 * How long packets wait in the queues of the path, in milliseconds.
 */
queue_ms: number, 
/**
 * What changed the estimate last, or keeps it from changing.
 */
cause: DownlinkCause, };

export type TrackWant = { 
/**
 * The track.
 */
track: TrackId, 
/**
 * For each encoding, in the order of `publish`, whether a receiver needs it.
 */
active: Array<boolean>, 
/**
 * Height of the largest tile in device pixels.
 */
height: number, };

export type Want = { 
/**
 * The tracks, each once.
 */
tracks: Array<TrackWant>, };

export type TransportState = "connected" | "disconnected" | "failed";

export type TransportStateChange = { 
/**
 * The new state.
 */
state: TransportState, };

export type Speaker = { 
/**
 * The participant.
 */
participant: ParticipantId, 
/**
 * Level in -dBov (RFC 6464): 0 is loudest, 127 is silence.
 */
level: number, };

export type Speakers = { 
/**
 * Participants and their levels.
 */
speakers: Array<Speaker>, };

export type RoleChange = { 
/**
 * What it is from now on.
 */
role: Role, 
/**
 * What it may do.
 */
capabilities: Capabilities, 
/**
 * Its own tracks that it may no longer publish. The server forwards nothing of them any more; the client stops sending them.
 */
withdrawn: Array<TrackId>, };

export type MuteRequest = { 
/**
 * Who asks, according to the server.
 */
by: ParticipantId, };

export type Policy = { 
/**
 * Whether the room is locked.
 */
locked: boolean, };

export type Ok = Record<never, never>;

export type ByeReason = "left" | "restart";

export type Bye = { 
/**
 * The cause.
 */
reason: ByeReason, };

export type Pong = { 
/**
 * The clock of the `ping`.
 */
ms: number, 
/**
 * New tokens of a client that has joined.
 */
tokens?: Tokens, };

export type ErrorMessage = { 
/**
 * The cause.
 */
code: ErrorCode, 
/**
 * After how many milliseconds the request may be repeated.
 */
retry_ms?: number, 
/**
 * For people. Repeats nothing that another client sent.
 */
detail: string, };

export type ServerMessage = { "t": "challenge" } & Challenge | { "t": "welcome" } & Welcome | { "t": "joined" } & Joined | { "t": "roster" } & Roster | { "t": "transport" } & ServerTransport | { "t": "published" } & Published | { "t": "tracks" } & Tracks | { "t": "slots" } & Slots | { "t": "layer" } & Layer | { "t": "want" } & Want | { "t": "downlink" } & Downlink | { "t": "transport.state" } & TransportStateChange | { "t": "speakers" } & Speakers | { "t": "role" } & RoleChange | { "t": "mute.request" } & MuteRequest | { "t": "policy" } & Policy | { "t": "ok" } & Ok | { "t": "pong" } & Pong | { "t": "bye" } & Bye | { "t": "error" } & ErrorMessage;

export const MAX_MESSAGE_BYTES = 16384;
export const CLIENT_OUTBOX_PER_SECOND = 25;
export const BATCH_HEADER_BYTES = 171;
export const BATCH_ENTRY_BYTES = 86;
export const ANNOUNCE_BYTES = 298;
export const MAX_DISPLAY_BYTES = 512;
export const WANTED_KEY_BYTES = 24;
export const MAX_WANTED_KEYS = 200;
export const MAX_TEXT_BYTES = 4096;
export const MAX_REACTION_BYTES = 64;
export const MAX_EXPECTED = 300;
export const MAX_ENCODINGS = 3;
export const MAX_ROOM_TOKEN_BYTES = 1024;
export const MAX_TILES = 50;

/** How often one session may send messages of a type: `burst` at once, and one more each `every_ms`. */
export const TYPE_RATES = {
  "hello": { burst: 3, every_ms: 1000 },
  "join": { burst: 3, every_ms: 1000 },
  "announce": { burst: 3, every_ms: 10000 },
  "transport": { burst: 5, every_ms: 1000 },
  "publish": { burst: 16, every_ms: 200 },
  "unpublish": { burst: 16, every_ms: 200 },
  "mute": { burst: 16, every_ms: 200 },
  "unmute": { burst: 16, every_ms: 200 },
  "speech": { burst: 4, every_ms: 500 },
  "subscribe": { burst: 16, every_ms: 200 },
  "unsubscribe": { burst: 16, every_ms: 200 },
  "layers": { burst: 8, every_ms: 200 },
  "slots.ready": { burst: 30, every_ms: 50 },
  "resync": { burst: 5, every_ms: 1000 },
  "ack": { burst: 10, every_ms: 200 },
  "heartbeat": { burst: 5, every_ms: 500 },
  "away": { burst: 3, every_ms: 1000 },
  "ice.restart": { burst: 5, every_ms: 1000 },
  "hand": { burst: 4, every_ms: 500 },
  "mute.request": { burst: 10, every_ms: 500 },
  "kick": { burst: 10, every_ms: 500 },
  "ban": { burst: 10, every_ms: 500 },
  "lock": { burst: 3, every_ms: 2000 },
  "role": { burst: 10, every_ms: 500 },
  "end": { burst: 3, every_ms: 2000 },
  "ping": { burst: 30, every_ms: 100 },
  "leave": { burst: 3, every_ms: 1000 },
  "key_batch": { burst: 30, every_ms: 66 },
  "key_request": { burst: 10, every_ms: 500 },
  "chat": { burst: 5, every_ms: 200 },
  "reaction": { burst: 2, every_ms: 500 },
} as const;
export const SUBPROTOCOL = "tacet.v1.json";
