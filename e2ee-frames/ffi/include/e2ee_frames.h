/* e2ee-frames: end-to-end encrypted frames and their keys, one session per device and call.
 *
 * Generated from e2ee-frames/ffi/src by `make header`. Do not edit. How to embed it: e2ee-frames/ffi/README.md.
 *
 * A session is a state machine without clock, thread or I/O: pass an ef_clock to each call that depends on time. Drain
 * ef_session_poll after every other call of a session, and pass it EF_EVENT_TICK at ef_session_deadline. A session
 * belongs to one thread at a time; different sessions are independent.
 *
 * Lengths are in bytes. A NULL pointer is an empty buffer if its length is 0. No function keeps a pointer to a buffer.
 * Bodies are written as names with their lengths: `seat2` is a seat in two bytes, `{x4}*` any number of x; numbers in
 * bodies are big endian. Results below 0 are errors, named by the enum that the function names, or EF_MISUSE.
 */

#ifndef E2EE_FRAMES_H
#define E2EE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/// Returned by any function for a NULL session, clock or buffer with a length, for overlapping buffers, or for one of more
/// than 2^31 - 1 bytes. A bug of the caller; nothing was done.
#define EF_MISUSE -64

/// The codec of a stream.
typedef enum {
  /// Opus. The wire shows no kind of frame.
  EF_CODEC_OPUS = 0,
  /// VP8.
  EF_CODEC_VP8 = 1,
  /// VP9. The wire shows no kind of frame.
  EF_CODEC_VP9 = 2,
  /// AV1.
  EF_CODEC_AV1 = 3,
  /// H.264.
  EF_CODEC_H264 = 4,
} ef_codec;

/// Whether a frame can be decoded alone.
typedef enum {
  /// Needs frames before it. Every frame of Opus counts as one.
  EF_FRAME_KIND_DELTA = 0,
  /// A key frame.
  EF_FRAME_KIND_KEY = 1,
} ef_frame_kind;

/// Kinds of events for `ef_session_event`, and their bodies. The bodies of announces, keys and key requests are those of
/// the server's binary messages without type and number.
typedef enum {
  /// Time has passed. Empty body.
  EF_EVENT_TICK = 0,
  /// The server has admitted this device: `seat2`.
  EF_EVENT_JOINED = 1,
  /// Announces of others: `count1 {participant4 seat2 announce298 length2 display}*`.
  EF_EVENT_ANNOUNCES = 2,
  /// These participants have left: `participant4*`.
  EF_EVENT_LEFT = 3,
  /// Keys of others: `count1 {header171 entry86}*`, which the server cuts from their key batches.
  EF_EVENT_KEYS = 4,
  /// Another device requests keys: `requester_seat2 count1 {join_id16 kid8}*`.
  EF_EVENT_KEY_REQUEST = 5,
  /// A stream is about to send: `stream4`, which is kind + 8 * index; kind 0 is a microphone, 1 a camera, 2 a screen,
  /// 3 the audio of a screen. Kind 4, application data, is opened by `EF_EVENT_SEND_CHAT`.
  EF_EVENT_STREAM_OPENED = 6,
  /// A stream has stopped: `stream4`.
  EF_EVENT_STREAM_CLOSED = 7,
  /// The server has accepted a key batch: `number4`, from its `EF_ACTION_SEND_KEY_BATCH`.
  EF_EVENT_KEY_BATCH_ACCEPTED = 8,
  /// The connection to the server is lost. Empty body.
  EF_EVENT_DETACHED = 9,
  /// The session goes on over a new connection: `fresh1`. 1 if the server has forgotten this device but has granted its
  /// participant id and seat again, so that it joins with the announce that follows, and `EF_EVENT_JOINED` is due once
  /// more; else 0.
  EF_EVENT_ATTACHED = 10,
  /// A chat message of another: `participant4 id8 sealed`.
  EF_EVENT_CHAT = 11,
  /// The user of this device says something: `id8 type1 text`. The id is `kind1 number7`: kind 0 for a text, 1 for a
  /// reaction, and a larger number than any before. Type 1 is a text of up to 4,096 bytes of UTF-8, 2 a reaction of up to 64.
  EF_EVENT_SEND_CHAT = 12,
  /// The server has accepted a chat message of this device, or has refused it for good: `id8`.
  EF_EVENT_CHAT_ANSWERED = 13,
} ef_event;

/// Kinds of actions, in the first byte that `ef_session_poll` writes. The body follows.
typedef enum {
  /// Send this device's announce: `first1 announce298 display`. `first1` is 1 for one that is part of a join, 0 for a
  /// renewal.
  EF_ACTION_SEND_ANNOUNCE = 1,
  /// Send a key batch: `number4 header171 entry86*`, at most 188 entries. Each entry begins with the `seat2` it is for.
  /// `number4` is for `EF_EVENT_KEY_BATCH_ACCEPTED` and not sent. If the connection ends before the server has accepted
  /// the batch, send it again over the next one.
  EF_ACTION_SEND_KEY_BATCH = 2,
  /// Request keys: `{join_id16 kid8}*`, at most 200. The message has the count in front.
  EF_ACTION_SEND_KEY_REQUEST = 3,
  /// Show this participant on the roster: `participant4 seat2 name`, the name in UTF-8 up to the end. It can be shown as it
  /// is, isolated from text around it, which may run the other way.
  EF_ACTION_PARTICIPANT_VERIFIED = 4,
  /// Take this participant off the roster: `participant4`.
  EF_ACTION_PARTICIPANT_REMOVED = 5,
  /// An open stream has a key now, media may start: `stream4`.
  EF_ACTION_STREAM_READY = 6,
  /// A key of this sender became usable: `participant4 seat2`. Retry held frames and request a key frame.
  EF_ACTION_KEY_INSTALLED = 7,
  /// Something of this participant was refused, or is wrong: `participant4 problem1`; participant 2^32 - 1 if it is unknown.
  EF_ACTION_PROBLEM = 8,
  /// This device's current key has changed: `generation4 step1`.
  EF_ACTION_GENERATION_CHANGED = 9,
  /// The session has ended and its keys are erased: `reason1`. Leave, and join with a new one.
  EF_ACTION_ENDED = 10,
  /// A problem that lasts is over: `participant4 problem1`.
  EF_ACTION_PROBLEM_SOLVED = 11,
  /// The call code is this one from now on, once after each event that changed the roster: `code32`.
  EF_ACTION_CALL_CODE_CHANGED = 12,
  /// Send a chat message: `id8 sealed`, and pass on the answer by `EF_EVENT_CHAT_ANSWERED`. Drop it when the connection ends:
  /// on the next one this action follows again.
  EF_ACTION_SEND_CHAT = 13,
  /// A participant says something: `participant4 id8 type1 text`, the types as in `EF_EVENT_SEND_CHAT`. The text can be shown
  /// as it is, isolated from text around it.
  EF_ACTION_CHAT_RECEIVED = 14,
} ef_action;

/// What `EF_ACTION_PROBLEM` reports.
typedef enum {
  /// Its announce is not authentic: made with another link or for another call, or altered.
  EF_PROBLEM_ANNOUNCE_REFUSED = 1,
  /// Its keys were not sealed to this device, or were altered.
  EF_PROBLEM_KEYS_REFUSED = 2,
  /// Its clock and this device's differ by more than ten minutes.
  EF_PROBLEM_CLOCK_SKEW = 3,
  /// It distributed different keys under one name.
  EF_PROBLEM_EQUIVOCATION = 4,
  /// It shows other participants than this device does: the server tells the two of them different things. Lasts until
  /// `EF_ACTION_PROBLEM_SOLVED`.
  EF_PROBLEM_ROSTER_DIFFERS = 5,
  /// Its frames name a key that has not come for 5 s, although it was requested. Lasts until `EF_ACTION_PROBLEM_SOLVED`.
  EF_PROBLEM_KEY_MISSING = 6,
  /// A chat message under its name was not sealed by it, was altered, or could not be opened within 10 s.
  EF_PROBLEM_CHAT_REFUSED = 7,
} ef_problem;

/// Why a session ended, in `EF_ACTION_ENDED`: its counters may be in use elsewhere.
typedef enum {
  /// The wall clock jumped by more than half a minute against the monotonic one.
  EF_ENDED_CLOCK_JUMPED = 1,
  /// This is a forked copy of the process that made the session.
  EF_ENDED_FORKED = 2,
} ef_ended;

/// Why `ef_session_event` refuses an event. Nothing changed.
typedef enum {
  /// An unknown kind, a malformed body, or a number out of range.
  EF_EVENT_ERROR_MALFORMED = -1,
  /// The stream is open already: two senders on one stream would count frames twice.
  EF_EVENT_ERROR_STREAM_ALREADY_OPEN = -2,
  /// An event of the call before `EF_EVENT_JOINED`.
  EF_EVENT_ERROR_NOT_JOINED = -3,
  /// Already joined, on another seat: that needs a new session.
  EF_EVENT_ERROR_ALREADY_JOINED = -4,
  /// Too many chat messages wait for the server.
  EF_EVENT_ERROR_CHAT_FULL = -5,
  /// The session has ended: see `EF_ACTION_ENDED`.
  EF_EVENT_ERROR_ENDED = -7,
} ef_event_error;

/// Why `ef_seal` refuses a frame, which must then be dropped: it must not be sent in clear.
typedef enum {
  /// There is no key yet: wait for `EF_ACTION_STREAM_READY`.
  EF_SEAL_ERROR_NO_KEY = -1,
  /// The stream was not opened by `EF_EVENT_STREAM_OPENED`.
  EF_SEAL_ERROR_STREAM_NOT_OPEN = -2,
  /// The output is too small.
  EF_SEAL_ERROR_BUFFER = -3,
  /// An unknown codec or kind of frame, too many streams, or a frame beyond what its codec can hold.
  EF_SEAL_ERROR_UNSUPPORTED = -4,
  /// The key has sealed its maximum number of frames.
  EF_SEAL_ERROR_EXHAUSTED = -5,
  /// The session has ended: see `EF_ACTION_ENDED`.
  EF_SEAL_ERROR_ENDED = -7,
} ef_seal_error;

/// Why `ef_open` refuses a frame, which must then be dropped, or held if its key is missing. The output is zeroed.
typedef enum {
  /// The key may still arrive: retry the frame after `EF_ACTION_KEY_INSTALLED`.
  EF_OPEN_ERROR_MISSING_KEY = -1,
  /// Not sealed by the sender that it names, or altered.
  EF_OPEN_ERROR_NOT_AUTHENTIC = -2,
  /// Opened before, or older than the replay window.
  EF_OPEN_ERROR_REPLAY = -3,
  /// An unknown codec, or not an SFrame ciphertext in the envelope of its codec.
  EF_OPEN_ERROR_MALFORMED = -4,
  /// No participant on the roster has the seat that it names.
  EF_OPEN_ERROR_UNKNOWN_SENDER = -5,
  /// The output is smaller than the input.
  EF_OPEN_ERROR_BUFFER = -6,
  /// The session has ended: see `EF_ACTION_ENDED`.
  EF_OPEN_ERROR_ENDED = -7,
} ef_open_error;

/// A device in a call. Opaque: created by `ef_session_new`, freed by `ef_session_free`.
typedef struct ef_session ef_session;

/// One reading of both clocks of the caller, in milliseconds. The two must be independent: a session that sees one jump
/// against the other ends, since the machine slept or was restored from a snapshot.
typedef struct {
  /// Monotonic time, from any start.
  uint64_t now;
  /// Time of day, since 1970-01-01 00:00 UTC.
  uint64_t wall;
} ef_clock;

/// The origin of an opened frame, from its key and not from any label of the server.
typedef struct {
  /// The participant that sealed it.
  uint32_t participant;
  /// The seat in its KID.
  uint32_t seat;
  /// The stream in its KID.
  uint32_t stream;
  /// The `ef_frame_kind` that the sender stated.
  uint32_t kind;
} ef_frame_origin;

/// All codecs.
#define ef_codec_ALL { ef_codec_Opus, ef_codec_Vp8, ef_codec_Vp9, ef_codec_Av1, ef_codec_H264, }

/// Both kinds.
#define ef_frame_kind_ALL { ef_frame_kind_Delta, ef_frame_kind_Key, }

/// All kinds of events.
#define ef_event_ALL { ef_event_Tick, ef_event_Joined, ef_event_Announces, ef_event_Left, ef_event_Keys, ef_event_KeyRequest, ef_event_StreamOpened, ef_event_StreamClosed, ef_event_KeyBatchAccepted, ef_event_Detached, ef_event_Attached, ef_event_Chat, ef_event_SendChat, ef_event_ChatAnswered, }

/// All of them.
#define ef_action_ALL { ef_action_SendAnnounce, ef_action_SendKeyBatch, ef_action_SendKeyRequest, ef_action_ParticipantVerified, ef_action_ParticipantRemoved, ef_action_StreamReady, ef_action_KeyInstalled, ef_action_Problem, ef_action_GenerationChanged, ef_action_Ended, ef_action_ProblemSolved, ef_action_CallCodeChanged, ef_action_SendChat, ef_action_ChatReceived, }

/// All of them.
#define ef_problem_ALL { ef_problem_AnnounceRefused, ef_problem_KeysRefused, ef_problem_ClockSkew, ef_problem_Equivocation, ef_problem_RosterDiffers, ef_problem_KeyMissing, ef_problem_ChatRefused, }

/// All of them.
#define ef_ended_ALL { ef_ended_ClockJumped, ef_ended_Forked, }

/// All of them.
#define ef_event_error_ALL { ef_event_error_Malformed, ef_event_error_StreamAlreadyOpen, ef_event_error_NotJoined, ef_event_error_AlreadyJoined, ef_event_error_ChatFull, ef_event_error_Ended, }

/// All of them.
#define ef_seal_error_ALL { ef_seal_error_NoKey, ef_seal_error_StreamNotOpen, ef_seal_error_Buffer, ef_seal_error_Unsupported, ef_seal_error_Exhausted, ef_seal_error_Ended, }

/// All of them.
#define ef_open_error_ALL { ef_open_error_MissingKey, ef_open_error_NotAuthentic, ef_open_error_Replay, ef_open_error_Malformed, ef_open_error_UnknownSender, ef_open_error_Buffer, ef_open_error_Ended, }

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// Derives the guest access, which a client shows the server, from the invite secret of the link, which the server never
/// receives.
///
/// Returns 0 or `EF_MISUSE`.
///
/// # Safety
/// `invite` names 32 readable bytes, `out` 32 writable ones. They do not overlap.
int32_t ef_access_token(const uint8_t *invite,
                        uint8_t *out);

/// A new device with fresh keys in a call. Its announce is the first action.
///
/// `room` (16 bytes) and `call` (16) say where, as the server names them; `invite` (32) is the secret of the link;
/// `name` (`name_len` bytes of UTF-8, 256 at most, no final NUL) is what others are shown, sealed. All bytes are copied.
///
/// Returns a session to be freed by `ef_session_free`; NULL if the name is longer than 256 bytes or not UTF-8, or if a
/// pointer is NULL.
///
/// # Safety
/// The pointers name as many readable bytes as said, `clock` an `ef_clock`; `name` may be NULL if `name_len` is 0.
ef_session *ef_session_new(const uint8_t *room,
                           const uint8_t *call,
                           const uint8_t *invite,
                           const uint8_t *name,
                           size_t name_len,
                           const ef_clock *clock);

/// Erases a session's keys and frees it. NULL is ignored.
///
/// # Safety
/// `session` is NULL, or came from `ef_session_new` and was not freed before; no other thread is using it.
void ef_session_free(ef_session *session);

/// Passes an event to a session: a kind of `ef_event`, and its body, which is copied. Poll afterwards.
///
/// Returns 0, an `ef_event_error`, or `EF_MISUSE`. If negative, nothing changed but time.
///
/// # Safety
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `body` `body_len` readable bytes, or is
/// NULL if that is 0.
int32_t ef_session_event(ef_session *session,
                         uint32_t kind,
                         const ef_clock *clock,
                         const uint8_t *body,
                         size_t body_len);

/// Writes the next action: an `ef_action` in the first byte of `out`, then its body. To be called until it returns 0,
/// after every other call of this session.
///
/// Returns the bytes written; 0 if there is no action; minus the number of bytes needed if `out_cap` is too small, in
/// which case the next call returns the same action. 17,000 bytes always suffice. A NULL session has no action, a NULL
/// `out` is too small.
///
/// # Safety
/// `session` is live and used by no other thread; `out` names `out_cap` writable bytes, or is NULL.
int32_t ef_session_poll(ef_session *session, uint8_t *out, size_t out_cap);

/// When the next `EF_EVENT_TICK` is due, in the milliseconds of `ef_clock.now`; a time that has passed means at once.
/// `UINT64_MAX` for never, and for a NULL session.
///
/// # Safety
/// `session` is NULL, or live and used by no other thread.
uint64_t ef_session_deadline(const ef_session *session);

/// The call code: 32 bytes that are the same on all devices with the same roster, and on no others. People compare them
/// to learn that no other device is in the call, by a QR code of all bytes, or as 30 digits in six groups: group n, from
/// 0, is bytes 5n..5n + 5 as a big-endian number, modulo 100,000, with five digits. It changes when anyone joins or
/// leaves.
///
/// Returns 0 and writes `out`; -1 before `EF_EVENT_JOINED` and after the session has ended; or `EF_MISUSE`.
///
/// # Safety
/// `session` is live and used by no other thread; `out` names 32 writable bytes.
int32_t ef_call_code(const ef_session *session,
                     uint8_t *out);

/// Signs the statement by which a device continues its session with the server over a new connection. Works after
/// `EF_ENDED_CLOCK_JUMPED`, too, for a device that returns with new keys; free the session then.
///
/// `origin` (`origin_len` bytes of UTF-8) is the server's as the client reached it, such as `https://call.example`;
/// `server_session` (16 bytes) and `participant` are what the server named them; `token` (`token_len` bytes) is the latest
/// one of the server, and `nonce` the challenge of the new connection. Room and call are those of `ef_session_new`.
///
/// Returns 0 and writes `out`; -1 in a forked copy, which has no key to sign with; or `EF_MISUSE`, also for a nonce that does
/// not have 32 bytes: nothing is signed then.
///
/// # Safety
/// `session` is live and used by no other thread; the other pointers name as many readable bytes as said, `out` 64 writable
/// ones. `out` does not overlap the others.
int32_t ef_prove_resume(const ef_session *session,
                        const uint8_t *origin,
                        size_t origin_len,
                        const uint8_t *server_session,
                        uint32_t participant,
                        const uint8_t *token,
                        size_t token_len,
                        const uint8_t *nonce,
                        size_t nonce_len,
                        uint8_t *out);

/// Seals a frame of an encoder. The stream must be open, and ready.
///
/// `codec` is an `ef_codec`, `kind` an `ef_frame_kind`: what the encoder says of the frame. An output of `frame_len` +
/// 64 bytes always suffices, for H.264 of `frame_len` * 3 / 2 + 96.
///
/// Returns the length of the sealed frame in `out`, an `ef_seal_error`, or `EF_MISUSE`. If negative, the frame must be
/// dropped.
///
/// # Safety
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `frame` `frame_len` readable
/// bytes, `out` `out_cap` writable ones. They may not overlap: if they do, it is `EF_MISUSE`.
int32_t ef_seal(ef_session *session,
                const ef_clock *clock,
                uint32_t stream,
                uint32_t codec,
                uint32_t kind,
                const uint8_t *frame,
                size_t frame_len,
                uint8_t *out,
                size_t out_cap);

/// Opens a frame from the network.
///
/// `out` must be as large as the frame. `origin`, which may be NULL, receives where the frame comes from.
///
/// Returns the length of the frame at the front of `out`, an `ef_open_error`, or `EF_MISUSE`. If negative, the frame must
/// be dropped, or held if its key is missing, and `origin` was not written.
///
/// # Safety
/// `session` is live and used by no other thread; `clock` names an `ef_clock`, `frame` `frame_len` readable bytes, `out` `out_cap` writable
/// ones, `origin` a writable `ef_frame_origin` or is NULL. No two of them may overlap: if they do, it is `EF_MISUSE`.
int32_t ef_open(ef_session *session,
                const ef_clock *clock,
                uint32_t codec,
                const uint8_t *frame,
                size_t frame_len,
                uint8_t *out,
                size_t out_cap,
                ef_frame_origin *origin);

/// Allocates zeroed memory, for hosts without an allocator of their own.
///
/// Returns `length` bytes, to be freed by `ef_free`; NULL if there is no memory.
uint8_t *ef_alloc(size_t length);

/// Frees memory of `ef_alloc`. NULL is ignored. Nothing is overwritten: do that before if it was secret.
///
/// # Safety
/// `pointer` is NULL, or came from `ef_alloc` with this very `length` and was not freed before. It is not memory of
/// `malloc`.
void ef_free(uint8_t *pointer, size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* E2EE_FRAMES_H */
