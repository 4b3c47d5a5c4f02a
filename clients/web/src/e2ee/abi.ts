// Generated from e2ee-frames/ffi by `make header`. Do not edit.
//
// Structs are little-endian; each object holds the size of one in bytes, and the offsets of its fields.

/** Kinds of events that a session handles. */
export const EventKind = {
  Tick: 0,
  Joined: 1,
  Announces: 2,
  Left: 3,
  Keys: 4,
  KeyRequest: 5,
  StreamOpened: 6,
  StreamClosed: 7,
  KeyBatchAccepted: 8,
  Detached: 9,
  Attached: 10,
  Chat: 11,
  SendChat: 12,
  ChatAnswered: 13,
} as const;

export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** Kinds of actions that a session returns. */
export const ActionKind = {
  SendAnnounce: 1,
  SendKeyBatch: 2,
  SendKeyRequest: 3,
  ParticipantVerified: 4,
  ParticipantRemoved: 5,
  StreamReady: 6,
  KeyInstalled: 7,
  Problem: 8,
  GenerationChanged: 9,
  Ended: 10,
  ProblemSolved: 11,
  CallCodeChanged: 12,
  SendChat: 13,
  ChatReceived: 14,
} as const;

export type ActionKind = (typeof ActionKind)[keyof typeof ActionKind];

/** What a `Problem` action reports. */
export const ProblemNumber = {
  AnnounceRefused: 1,
  KeysRefused: 2,
  ClockSkew: 3,
  Equivocation: 4,
  RosterDiffers: 5,
  KeyMissing: 6,
  ChatRefused: 7,
} as const;

export type ProblemNumber = (typeof ProblemNumber)[keyof typeof ProblemNumber];

/** Why a session ended. */
export const EndedNumber = {
  ClockJumped: 1,
  Forked: 2,
} as const;

export type EndedNumber = (typeof EndedNumber)[keyof typeof EndedNumber];

/** Why an event is refused. */
export const EventRefusal = {
  Malformed: -1,
  StreamAlreadyOpen: -2,
  NotJoined: -3,
  AlreadyJoined: -4,
  ChatFull: -5,
  Ended: -7,
} as const;

export type EventRefusal = (typeof EventRefusal)[keyof typeof EventRefusal];

/** Why a frame is not sealed. */
export const SealRefusal = {
  NoKey: -1,
  StreamNotOpen: -2,
  Buffer: -3,
  Unsupported: -4,
  Exhausted: -5,
  Ended: -7,
} as const;

export type SealRefusal = (typeof SealRefusal)[keyof typeof SealRefusal];

/** Why a frame is not opened. */
export const OpenRefusal = {
  MissingKey: -1,
  NotAuthentic: -2,
  Replay: -3,
  Malformed: -4,
  UnknownSender: -5,
  Buffer: -6,
  Ended: -7,
} as const;

export type OpenRefusal = (typeof OpenRefusal)[keyof typeof OpenRefusal];

/** Codecs. */
export const CodecNumber = {
  Opus: 0,
  Vp8: 1,
  Vp9: 2,
  Av1: 3,
  H264: 4,
} as const;

export type CodecNumber = (typeof CodecNumber)[keyof typeof CodecNumber];

/** Kinds of frames. */
export const FrameKindNumber = {
  Delta: 0,
  Key: 1,
} as const;

export type FrameKindNumber = (typeof FrameKindNumber)[keyof typeof FrameKindNumber];

/** One reading of both clocks. */
export const ClockLayout = {
  bytes: 16,
  now: 0,
  wall: 8,
} as const;

/** Where an opened frame comes from. */
export const OriginLayout = {
  bytes: 16,
  participant: 0,
  seat: 4,
  stream: 8,
  kind: 12,
} as const;

/** A frame whose cipher runs outside the module. */
export const JobLayout = {
  bytes: 88,
  kid: 0,
  ctr: 8,
  key: 16,
  opens: 20,
  additionalLength: 24,
  start: 28,
  length: 32,
  envelope: 36,
  participant: 40,
  seat: 44,
  stream: 48,
  kind: 52,
  nonce: 56,
  additional: 68,
} as const;
