/* Every buffer is a block of the heap of just its length, and outputs are not initialised: valgrind sees each byte that
 * the library reads or writes beside a buffer, each branch on an uninitialised byte, and what is not freed.
 *
 * Run by `make test-c`. */
#include "e2ee_frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANNOUNCE = 298, HEADER = 171, CAMERA = 1 };

static const ef_clock now = {0, 1800000000000};

#define DEMAND(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      exit(EXIT_FAILURE); \
    } \
  } while (0)

static uint8_t *block(size_t length) {
  uint8_t *bytes = malloc(length > 0 ? length : 1);
  DEMAND(bytes != NULL);
  return bytes;
}

static uint8_t *copy(const void *bytes, size_t length) {
  uint8_t *copied = block(length);
  if (length > 0) memcpy(copied, bytes, length);
  return copied;
}

static ef_session *join(const char *name, uint8_t seat) {
  uint8_t *room = copy("room 16 bytes...", 16), *call = copy("call 16 bytes...", 16);
  uint8_t *invite = copy("invite secret of thirty-two byte", 32), *text = copy(name, strlen(name));
  ef_session *session = ef_session_new(room, call, invite, text, strlen(name), &now);
  DEMAND(session != NULL);
  free(room), free(call), free(invite), free(text);
  uint8_t *body = copy((uint8_t[]){0, seat}, 2);
  DEMAND(ef_session_event(session, EF_EVENT_JOINED, &now, body, 2) == 0);
  free(body);
  return session;
}

/* The next action in a separate block, or NULL. */
static uint8_t *poll(ef_session *session, size_t *length) {
  int32_t needed = ef_session_poll(session, NULL, 0);
  if (needed == 0) return NULL;
  DEMAND(needed < 0);
  uint8_t *small = block((size_t)-needed - 1), *action = block((size_t)-needed);
  DEMAND(ef_session_poll(session, small, (size_t)-needed - 1) == needed);
  DEMAND(ef_session_poll(session, action, (size_t)-needed) == -needed);
  free(small);
  *length = (size_t)-needed;
  return action;
}

/* Hands the actions of one device to the other as the server would. */
static void carry(ef_session *from, uint8_t seat, ef_session *to) {
  size_t length;
  for (uint8_t *action; (action = poll(from, &length)) != NULL; free(action)) {
    if (action[0] == EF_ACTION_SEND_ANNOUNCE) {
      size_t display = length - 2 - ANNOUNCE, total = 1 + 4 + 2 + ANNOUNCE + 2 + display;
      uint8_t *body = block(total);
      memcpy(body, (uint8_t[]){1, 0, 0, 0, seat, 0, seat}, 7);
      memcpy(body + 7, action + 2, ANNOUNCE);
      memcpy(body + 7 + ANNOUNCE, (uint8_t[]){(uint8_t)(display >> 8), (uint8_t)display}, 2);
      memcpy(body + 9 + ANNOUNCE, action + 2 + ANNOUNCE, display);
      for (size_t cut = 0; cut < total; cut += 7) {
        uint8_t *part = copy(body, cut);
        DEMAND(ef_session_event(to, EF_EVENT_ANNOUNCES, &now, part, cut) == EF_EVENT_ERROR_MALFORMED);
        free(part);
      }
      DEMAND(ef_session_event(to, EF_EVENT_ANNOUNCES, &now, body, total) == 0);
      free(body);
    } else if (action[0] == EF_ACTION_SEND_KEY_BATCH) {
      uint8_t *body = copy(action + 4, length - 4), *number = copy(action + 1, 4);
      body[0] = 1;
      DEMAND(ef_session_event(to, EF_EVENT_KEYS, &now, body, length - 4) == 0);
      DEMAND(ef_session_event(from, EF_EVENT_KEY_BATCH_ACCEPTED, &now, number, 3) == EF_EVENT_ERROR_MALFORMED);
      DEMAND(ef_session_event(from, EF_EVENT_KEY_BATCH_ACCEPTED, &now, number, 4) == 0);
      free(body), free(number);
    }
  }
}

static int32_t open_exactly(ef_session *session, ef_codec codec, const uint8_t *sealed, size_t length, uint8_t *out) {
  uint8_t *frame = copy(sealed, length);
  ef_frame_origin *origin = (ef_frame_origin *)block(sizeof *origin);
  int32_t opened = ef_open(session, &now, codec, frame, length, out, length, origin);
  if (opened >= 0) DEMAND(origin->stream == CAMERA && origin->kind <= EF_FRAME_KIND_KEY);
  free(frame), free(origin);
  return opened;
}

/* Seals a frame into outputs of every length, and opens it and every part of it. */
static void seal_and_open(ef_session *from, ef_session *to, ef_codec codec, ef_frame_kind kind, size_t length) {
  uint8_t *frame = block(length), *sealed = NULL;
  for (size_t index = 0; index < length; index++) frame[index] = (uint8_t)(index * 7 % 5);
  int32_t sealed_length = -1;
  for (size_t capacity = 0; sealed_length < 0; capacity++) {
    free(sealed);
    sealed = block(capacity);
    sealed_length = ef_seal(from, &now, CAMERA, codec, kind, frame, length, sealed, capacity);
    DEMAND(sealed_length == EF_SEAL_ERROR_BUFFER || (sealed_length > 0 && (size_t)sealed_length <= capacity));
  }
  for (size_t cut = 0; cut < (size_t)sealed_length; cut += 1 + cut / 8) {
    uint8_t *out = block(cut);
    DEMAND(open_exactly(to, codec, sealed, cut, out) < 0);
    free(out);
  }
  size_t size = (size_t)sealed_length;
  uint8_t *out = block(size);
  DEMAND(ef_open(to, &now, codec, sealed, size, out, size - 1, NULL) == EF_OPEN_ERROR_BUFFER);
  DEMAND(open_exactly(to, codec, sealed, size, out) == (int32_t)length);
  DEMAND(length == 0 || memcmp(out, frame, length) == 0);
  DEMAND(open_exactly(to, codec, sealed, size, out) == EF_OPEN_ERROR_REPLAY);
  free(out), free(sealed), free(frame);
}

int main(void) {
  ef_session *ada = join("Ada", 1), *bob = join("Bob", 2);
  uint8_t *camera = copy((uint8_t[]){0, 0, 0, CAMERA}, 4);
  DEMAND(ef_session_event(ada, EF_EVENT_STREAM_OPENED, &now, camera, 4) == 0);
  free(camera);
  carry(ada, 1, bob);
  carry(bob, 2, ada);
  carry(ada, 1, bob);

  static const size_t lengths[] = {0, 1, 2, 3, 15, 16, 17, 100, 257};
  for (ef_codec codec = EF_CODEC_OPUS; codec <= EF_CODEC_H264; codec++) {
    for (size_t index = 0; index < sizeof lengths / sizeof *lengths; index++) {
      seal_and_open(ada, bob, codec, EF_FRAME_KIND_DELTA, lengths[index]);
      seal_and_open(ada, bob, codec, EF_FRAME_KIND_KEY, lengths[index]);
    }
  }

  uint8_t *secret = copy("invite secret of thirty-two byte", 32), *token = block(32);
  DEMAND(ef_access_token(secret, token) == 0 && memcmp(secret, token, 32) != 0);
  DEMAND(ef_access_token(secret, secret + 31) == EF_MISUSE);
  free(secret), free(token);

  uint8_t *one = block(32), *other = block(32);
  DEMAND(ef_call_code(ada, one) == 0 && ef_call_code(bob, other) == 0 && memcmp(one, other, 32) == 0);
  free(one), free(other);

  uint8_t *origin = copy("https://call.example", 20), *resumed = copy("session 16 bytes", 16);
  uint8_t *seal = copy("token", 5), *nonce = copy("a challenge of thirty-two bytes.", 32), *proof = block(64);
  DEMAND(ef_prove_resume(ada, origin, 20, resumed, 7, seal, 5, nonce, 32, proof) == 0);
  DEMAND(ef_prove_resume(ada, origin, 20, resumed, 7, NULL, 0, nonce, 32, proof) == 0);
  DEMAND(ef_prove_resume(ada, origin, 20, resumed, 7, seal, 5, nonce, 31, proof) == EF_MISUSE);
  free(origin), free(resumed), free(seal), free(nonce), free(proof);

  uint8_t *given = ef_alloc(33);
  DEMAND(given != NULL && given[0] == 0 && given[32] == 0);
  ef_free(given, 33);
  DEMAND(ef_alloc(SIZE_MAX) == NULL);
  ef_free(NULL, 1);

  ef_session_free(ada), ef_session_free(bob), ef_session_free(NULL);
  return EXIT_SUCCESS;
}
