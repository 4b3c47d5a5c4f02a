/* e2ee-frames: end-to-end encrypted frames and their keys, one session per device and call.
 *
 * Generated from e2ee-frames/ffi/src by `make header`. Do not edit. How to embed it: e2ee-frames/ffi/README.md.
 *
 * A session is a state machine without clock, thread or I/O. `now` is monotonic time in milliseconds, `wall`
 * milliseconds since 1970. Drain ef_session_poll after every other call of a session, and tell it EF_EVENT_TICK when
 * ef_session_deadline has come. A session belongs to one thread at a time; different sessions are independent.
 *
 * Lengths are in bytes. A NULL pointer is an empty buffer if its length is 0. No function keeps a pointer to a buffer.
 * Bodies are written as names with their lengths: `seat2` is a seat in two bytes, `{x4}*` any number of x; numbers in
 * bodies are big endian. Results below 0 are errors, named by the enum that the function names, or EF_MISUSE.
 */

#ifndef E2EE_FRAMES_H
#define E2EE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

/// Any function: a null session, a null buffer that has a length, buffers that overlap, or one of more than 2^31 - 1
/// bytes. A bug of the caller; nothing was done.
#define EF_MISUSE -64

/// How a stream is coded.
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

/// What `ef_session_event` takes: something that happened, and the body that tells of it. The bodies of announces, keys
/// and key requests are those of the server's binary messages without type and number.
typedef enum {
  /// Time has passed. Empty body.
  EF_EVENT_TICK = 0,
  /// The server has let this device in: `seat2`.
  EF_EVENT_JOINED = 1,
  /// Announces of others: `count1 {participant4 seat2 announce298 length2 display}*`.
  EF_EVENT_ANNOUNCES = 2,
  /// These participants have left: `participant4*`.
  EF_EVENT_LEFT = 3,
  /// Keys of others: `count1 {header171 entry86}*`, cut from their key batches by the server.
  EF_EVENT_KEYS = 4,
  /// Somebody lacks keys: `requester_seat2 count1 {join_id16 kid8}*`.
  EF_EVENT_KEY_REQUEST = 5,
  /// A stream is about to send: `stream4`, which is kind + 8 * index; kind 0 is a microphone, 1 a camera, 2 a screen,
  /// 3 the sound of a screen, 4 application data.
  EF_EVENT_STREAM_OPENED = 6,
  /// A stream has stopped: `stream4`.
  EF_EVENT_STREAM_CLOSED = 7,
} ef_event;

/// The first byte of what `ef_session_poll` writes: something to send or to show. The body follows.
typedef enum {
  /// Send the own announce: `first1 announce298 display`. `first1` is 1 for the one that belongs into the join, 0 for
  /// a renewal.
  EF_ACTION_SEND_ANNOUNCE = 1,
  /// Send a key batch: `header171 entry86*`, at most 188 entries. Each entry begins with the `seat2` it is for.
  EF_ACTION_SEND_KEY_BATCH = 2,
  /// Ask for keys: `{join_id16 kid8}*`, at most 200. The sender of the message puts the count in front.
  EF_ACTION_SEND_KEY_REQUEST = 3,
  /// Show this participant on the roster: `participant4 seat2 name`, the name in UTF-8 up to the end.
  EF_ACTION_PARTICIPANT_VERIFIED = 4,
  /// Take this participant off the roster: `participant4`.
  EF_ACTION_PARTICIPANT_REMOVED = 5,
  /// An open stream has a key now, media may start: `stream4`.
  EF_ACTION_STREAM_READY = 6,
  /// A key of this sender became usable: `participant4 seat2`. Retry held frames and ask for a key frame.
  EF_ACTION_KEY_INSTALLED = 7,
  /// Something of this participant was refused: `participant4 problem1`; participant 2^32 - 1 if it is unknown.
  EF_ACTION_PROBLEM = 8,
  /// The own key in use has changed: `generation4 step1`.
  EF_ACTION_GENERATION_CHANGED = 9,
  /// The session is over and its keys are erased: `reason1`. Leave, and join with a new one.
  EF_ACTION_ENDED = 10,
} ef_action;

/// What `EF_ACTION_PROBLEM` says was wrong.
typedef enum {
  /// Its announce is not authentic: made with another link, for another call, or altered.
  EF_PROBLEM_ANNOUNCE_REFUSED = 1,
  /// Its keys were not meant for this device or were altered.
  EF_PROBLEM_KEYS_REFUSED = 2,
  /// Its clock or the own one is off by more than ten minutes.
  EF_PROBLEM_CLOCK_SKEW = 3,
  /// It gave different keys out under one name.
  EF_PROBLEM_EQUIVOCATION = 4,
} ef_problem;

/// What `EF_ACTION_ENDED` says was the reason: the session's counters may be used elsewhere.
typedef enum {
  /// The wall clock jumped by more than half a minute against the monotonic one.
  EF_ENDED_CLOCK_JUMPED = 1,
  /// This is a forked copy of the process that made the session.
  EF_ENDED_FORKED = 2,
} ef_ended;

/// Why `ef_session_event` refuses an event. Nothing changed.
typedef enum {
  /// An unknown kind, a body that does not add up, or a number out of range.
  EF_EVENT_ERROR_MALFORMED = -1,
  /// The stream is open already: two senders on one stream would count frames twice.
  EF_EVENT_ERROR_STREAM_ALREADY_OPEN = -2,
  /// Something of the call before `EF_EVENT_JOINED`.
  EF_EVENT_ERROR_NOT_JOINED = -3,
  /// Joined already, on another seat: that takes a new session.
  EF_EVENT_ERROR_ALREADY_JOINED = -4,
  /// The session is over: see `EF_ACTION_ENDED`.
  EF_EVENT_ERROR_ENDED = -7,
} ef_event_error;

/// Why `ef_seal` refuses a frame, which must then be dropped: it may not be sent in clear.
typedef enum {
  /// There is no key yet: wait for `EF_ACTION_STREAM_READY`.
  EF_SEAL_ERROR_NO_KEY = -1,
  /// The stream was not opened by `EF_EVENT_STREAM_OPENED`.
  EF_SEAL_ERROR_STREAM_NOT_OPEN = -2,
  /// The output is too small.
  EF_SEAL_ERROR_BUFFER = -3,
  /// An unknown codec or kind of frame, too many streams, or a frame beyond what its codec can hold.
  EF_SEAL_ERROR_UNSUPPORTED = -4,
  /// The key has sealed as many frames as it may.
  EF_SEAL_ERROR_EXHAUSTED = -5,
  /// The session is over: see `EF_ACTION_ENDED`.
  EF_SEAL_ERROR_ENDED = -7,
} ef_seal_error;

/// Why `ef_open` refuses a frame, which must then be dropped, or held if its key is missing. The output is zeroed.
typedef enum {
  /// The key may come: the frame may be tried again after `EF_ACTION_KEY_INSTALLED`.
  EF_OPEN_ERROR_MISSING_KEY = -1,
  /// Not sealed by whom it claims, or altered.
  EF_OPEN_ERROR_NOT_AUTHENTIC = -2,
  /// Opened before, or too old to tell.
  EF_OPEN_ERROR_REPLAY = -3,
  /// An unknown codec, or not an SFrame ciphertext in the envelope of its codec.
  EF_OPEN_ERROR_MALFORMED = -4,
  /// Nobody on the roster sits where it claims to be from.
  EF_OPEN_ERROR_UNKNOWN_SENDER = -5,
  /// The output is smaller than the input.
  EF_OPEN_ERROR_BUFFER = -6,
  /// The session is over: see `EF_ACTION_ENDED`.
  EF_OPEN_ERROR_ENDED = -7,
} ef_open_error;

/// A device in a call. Made by `ef_session_new`, freed by `ef_session_free`; what is inside is not for C.
typedef struct ef_session ef_session;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// What a client shows the server to be let in, derived from the invite secret of the link, which the server never sees.
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
/// `name` (`name_len` bytes of UTF-8, 256 at most, no final NUL) is what others are shown, sealed. `now` is monotonic
/// time in milliseconds, `wall` milliseconds since 1970. All bytes are copied.
///
/// Returns a session to be freed by `ef_session_free`; NULL if the name is longer than 256 bytes or not UTF-8, or if a
/// pointer is NULL.
///
/// # Safety
/// The pointers name as many readable bytes as said; `name` may be NULL if `name_len` is 0.
ef_session *ef_session_new(const uint8_t *room,
                           const uint8_t *call,
                           const uint8_t *invite,
                           const uint8_t *name,
                           size_t name_len,
                           uint64_t now,
                           uint64_t wall);

/// Erases a session's keys and frees it. NULL is ignored.
///
/// # Safety
/// `session` is NULL, or came from `ef_session_new` and was not freed before; no other thread is using it.
void ef_session_free(ef_session *session);

/// Tells a session that something happened: a kind of `ef_event`, and its body, which is copied. Poll afterwards.
///
/// Returns 0, an `ef_event_error`, or `EF_MISUSE`. If negative, nothing changed but time.
///
/// # Safety
/// `session` is live and used by no other thread; `body` names `body_len` readable bytes, or is NULL if that is 0.
int32_t ef_session_event(ef_session *session,
                         uint32_t kind,
                         uint64_t now,
                         uint64_t wall,
                         const uint8_t *body,
                         size_t body_len);

/// Takes the next thing to do: an `ef_action` in the first byte of `out`, then its body. To be called until it returns
/// 0, after every other call of this session.
///
/// Returns the bytes written; 0 if there is nothing to do; the negative number of bytes needed if `out_cap` is too
/// small, which loses nothing: the same action comes again. 17,000 bytes always suffice. A NULL session has nothing to
/// do, a NULL `out` is too small.
///
/// # Safety
/// `session` is live and used by no other thread; `out` names `out_cap` writable bytes, or is NULL.
int32_t ef_session_poll(ef_session *session, uint8_t *out, size_t out_cap);

/// When the next `EF_EVENT_TICK` is wanted, in the milliseconds of `now`; a time that has passed means at once.
/// `UINT64_MAX` for never, and for a NULL session.
///
/// # Safety
/// `session` is NULL, or live and used by no other thread.
uint64_t ef_session_deadline(const ef_session *session);

/// Seals a frame of an encoder. The stream must be open, and ready.
///
/// `codec` is an `ef_codec`, `kind` an `ef_frame_kind`: what the encoder says of the frame. An output of `frame_len` +
/// 64 bytes always suffices, for H.264 of `frame_len` * 3 / 2 + 96.
///
/// Returns the length of the sealed frame in `out`, an `ef_seal_error`, or `EF_MISUSE`. If negative, the frame must be
/// dropped.
///
/// # Safety
/// `session` is live and used by no other thread; `frame` names `frame_len` readable bytes, `out` `out_cap` writable
/// ones. They may not overlap: if they do, it is `EF_MISUSE`.
int32_t ef_seal(ef_session *session,
                uint64_t now,
                uint32_t stream,
                uint32_t codec,
                uint32_t kind,
                const uint8_t *frame,
                size_t frame_len,
                uint8_t *out,
                size_t out_cap);

/// Opens a frame that came from the network. Who sealed it is told by its key, not by any label of the server.
///
/// `out` must be as large as the frame. `info`, which may be NULL, gets four numbers of 4 bytes each, little endian:
/// participant, seat, stream, and the `ef_frame_kind` that the sender said.
///
/// Returns the length of the frame at the front of `out`, an `ef_open_error`, or `EF_MISUSE`. If negative, the frame must
/// be dropped, or held if its key is missing, and `info` was not written.
///
/// # Safety
/// `session` is live and used by no other thread; `frame` names `frame_len` readable bytes, `out` `out_cap` writable
/// ones, `info` 16 writable ones or is NULL. No two of them may overlap: if they do, it is `EF_MISUSE`.
int32_t ef_open(ef_session *session,
                uint64_t now,
                uint32_t codec,
                const uint8_t *frame,
                size_t frame_len,
                uint8_t *out,
                size_t out_cap,
                uint8_t *info);

/// Allocates zeroed memory, for hosts without an allocator of their own.
///
/// Returns `length` bytes, to be given back by `ef_free`; NULL if there is no memory.
uint8_t *ef_alloc(size_t length);

/// Frees what `ef_alloc` gave. NULL is ignored. Nothing is overwritten: do that before if it was secret.
///
/// # Safety
/// `pointer` is NULL, or came from `ef_alloc` with this very `length` and was not freed before. It is not memory of
/// `malloc`.
void ef_free(uint8_t *pointer, size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* E2EE_FRAMES_H */
