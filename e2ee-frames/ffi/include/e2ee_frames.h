/* e2ee-frames: end-to-end encrypted frames and their keys, one session per device and call.
 *
 * A session is a state machine without clock or I/O: `now` is monotonic milliseconds, `wall` milliseconds since 1970.
 * Drain ef_session_poll after every other call, and send EF_TICK when ef_session_deadline has come. A session belongs
 * to one thread at a time; buffers of one call may not overlap. Numbers in bodies are big endian.
 */
#ifndef E2EE_FRAMES_H
#define E2EE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ef_session ef_session;

enum ef_codec { EF_OPUS = 0, EF_VP8 = 1, EF_VP9 = 2, EF_AV1 = 3, EF_H264 = 4 };
enum ef_frame_kind { EF_DELTA = 0, EF_KEY = 1 };

/* Events; bodies of 2, 4 and 5 are those of the binary messages of tacet.v1 without type and number. */
enum ef_event {
  EF_TICK = 0,
  EF_JOINED = 1,        /* seat2 */
  EF_ANNOUNCES = 2,     /* count1 {participant4 seat2 announce298 len2 display}* */
  EF_LEFT = 3,          /* participant4* */
  EF_KEYS = 4,          /* count1 {header171 entry86}* */
  EF_KEY_REQUEST = 5,   /* requester_seat2 count1 {join_id16 kid8}* */
  EF_STREAM_OPENED = 6, /* stream4 = kind + 8 * index; kind 0 microphone, 1 camera, 2 screen, 3 its sound, 4 data */
  EF_STREAM_CLOSED = 7  /* stream4 */
};

/* Actions: the first byte, then a body. */
enum ef_action {
  EF_SEND_ANNOUNCE = 1,        /* first1 announce298 display */
  EF_SEND_KEY_BATCH = 2,       /* header171 entry86* */
  EF_SEND_KEY_REQUEST = 3,     /* {join_id16 kid8}* */
  EF_PARTICIPANT_VERIFIED = 4, /* participant4 seat2 name */
  EF_PARTICIPANT_REMOVED = 5,  /* participant4 */
  EF_STREAM_READY = 6,         /* stream4 */
  EF_KEY_INSTALLED = 7,        /* participant4 seat2 */
  EF_PROBLEM = 8,              /* participant4 code1: 1 announce, 2 keys refused, 3 clock skew, 4 equivocation */
  EF_GENERATION_CHANGED = 9    /* generation4 step1 */
};

/* Zeroed memory for hosts without an allocator; NULL if there is none. */
uint8_t *ef_alloc(size_t length);
void ef_free(uint8_t *pointer, size_t length);

/* What a client shows the server to be let in: 32 bytes of the 32-byte invite secret. 0, or -1. */
int32_t ef_access_token(const uint8_t *invite32, uint8_t *out32);

/* NULL if the name is longer than 256 bytes or not UTF-8. */
ef_session *ef_session_new(const uint8_t *room16, const uint8_t *call16, const uint8_t *invite32, const uint8_t *name,
                           size_t name_len, uint64_t now, uint64_t wall);

/* Erases the keys. */
void ef_session_free(ef_session *session);

/* 0; -1 malformed, -2 stream open already, -3 not joined yet, -4 joined already on another seat. */
int32_t ef_session_event(ef_session *session, uint32_t kind, uint64_t now, uint64_t wall, const uint8_t *body,
                         size_t body_len);

/* Length of the next action, 0 if there is none, the negative length needed if it does not fit (17,000 suffice). */
int32_t ef_session_poll(ef_session *session, uint8_t *out, size_t out_cap);

/* When the next tick is wanted; UINT64_MAX for never. */
uint64_t ef_session_deadline(const ef_session *session);

/* Length; -1 no key yet, -2 stream not open, -3 output too small, -4 unsupported, -5 key exhausted: drop the frame.
 * Output of frame_len + 64 suffices, for H.264 plus another frame_len / 2 + 32. */
int32_t ef_seal(ef_session *session, uint64_t now, uint32_t stream, uint32_t codec, uint32_t kind,
                const uint8_t *frame, size_t frame_len, uint8_t *out, size_t out_cap);

/* Length; -1 missing key (hold it, retry after EF_KEY_INSTALLED), -2 not authentic, -3 replayed, -4 malformed,
 * -5 unknown sender, -6 output smaller than the input. info16: participant, seat, stream, frame kind as little endian
 * 32-bit words. Nothing of the output may be used after an error. */
int32_t ef_open(ef_session *session, uint64_t now, uint32_t codec, const uint8_t *frame, size_t frame_len,
                uint8_t *out, size_t out_cap, uint8_t *info16);

#ifdef __cplusplus
}
#endif

#endif
