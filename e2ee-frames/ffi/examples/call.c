/* Two devices in one call: they exchange announces and keys, one seals a frame of its camera, the other opens it, and
 * an altered frame is refused. `make test-c` builds and runs it.
 *
 * In an application each device is a separate process, and the server carries what deliver() carries here. */
#include "e2ee_frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACTION_BYTES = 17000, ANNOUNCE_BYTES = 298, HEADER_BYTES = 171, CAMERA = 1 };

/* An application reads its clocks for each call: monotonic milliseconds, and milliseconds since 1970. */
static const ef_clock now = {0, 1800000000000};

typedef struct {
  ef_session *session;
  uint32_t participant; /* as the server numbers them */
  uint16_t seat;
} device;

static void demand(int condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "failed: %s\n", what);
    exit(EXIT_FAILURE);
  }
}

static uint8_t *put(uint8_t *at, uint64_t number, int bytes) {
  while (bytes-- > 0) *at++ = (uint8_t)(number >> (8 * bytes));
  return at;
}

static void tell(const device *to, ef_event event, const uint8_t *body, size_t length) {
  demand(ef_session_event(to->session, event, &now, body, length) == 0, "an event was refused");
}

/* What a server does with an action of one device for the only other one. */
static void deliver(const device *from, const device *to, const uint8_t *action, size_t length) {
  static uint8_t body[ACTION_BYTES];
  uint8_t *end = put(body, 1, 1); /* of both messages: a count, of one */
  switch (action[0]) {
  case EF_ACTION_SEND_ANNOUNCE: { /* first1 announce298 display */
    const uint8_t *announce = action + 2, *display = announce + ANNOUNCE_BYTES;
    size_t display_length = length - 2 - ANNOUNCE_BYTES;
    end = put(put(end, from->participant, 4), from->seat, 2);
    memcpy(end, announce, ANNOUNCE_BYTES);
    end = put(end + ANNOUNCE_BYTES, display_length, 2);
    memcpy(end, display, display_length);
    tell(to, EF_EVENT_ANNOUNCES, body, (size_t)(end - body) + display_length);
    break;
  }
  case EF_ACTION_SEND_KEY_BATCH: /* number4 header171 entry86, for one recipient */
    memcpy(end, action + 5, length - 5);
    tell(to, EF_EVENT_KEYS, body, length - 4);
    tell(from, EF_EVENT_KEY_BATCH_ACCEPTED, action + 1, 4); /* the server's answer */
    break;
  case EF_ACTION_PARTICIPANT_VERIFIED: /* participant4 seat2 name */
    printf("participant %" PRIu32 " sees %.*s\n", from->participant, (int)(length - 7), (const char *)action + 7);
    break;
  default: /* A real application also shows who has gone and what was refused. */
    break;
  }
}

/* Carries out what a device wants. To be done after every other call of its session. */
static void drain(const device *from, const device *to) {
  static uint8_t action[ACTION_BYTES];
  int32_t length;
  while ((length = ef_session_poll(from->session, action, sizeof action)) > 0) {
    deliver(from, to, action, (size_t)length);
  }
  demand(length == 0, "an action did not fit");
}

static device join(const char *name, uint32_t participant, uint16_t seat) {
  static const uint8_t room[16] = {1}, call[16] = {2}, invite[32] = {3};
  uint8_t body[2];
  device self = {NULL, participant, seat};
  self.session = ef_session_new(room, call, invite, (const uint8_t *)name, strlen(name), &now);
  demand(self.session != NULL, "no session");
  put(body, seat, sizeof body);
  tell(&self, EF_EVENT_JOINED, body, sizeof body);
  return self;
}

int main(void) {
  static const uint8_t frame[] = "a frame of the encoder", camera[4] = {0, 0, 0, CAMERA};
  uint8_t sealed[sizeof frame + 64], opened[sizeof sealed];
  ef_frame_origin origin;
  const device ada = join("Ada", 10, 0), bob = join("Bob", 11, 1);

  tell(&ada, EF_EVENT_STREAM_OPENED, camera, sizeof camera);
  drain(&ada, &bob); /* Ada's announce */
  drain(&bob, &ada); /* Bob's announce */
  drain(&ada, &bob); /* Ada's key, sealed to Bob */
  drain(&bob, &ada);

  int32_t length =
      ef_seal(ada.session, &now, CAMERA, EF_CODEC_VP8, EF_FRAME_KIND_KEY, frame, sizeof frame, sealed, sizeof sealed);
  demand(length > 0, "a frame was not sealed");
  printf("%zu bytes sealed to %" PRId32 "\n", sizeof frame, length);

  sealed[length - 1] ^= 1;
  int32_t altered = ef_open(bob.session, &now, EF_CODEC_VP8, sealed, (size_t)length, opened, sizeof opened, &origin);
  demand(altered == EF_OPEN_ERROR_NOT_AUTHENTIC, "an altered frame was opened");
  sealed[length - 1] ^= 1;

  length = ef_open(bob.session, &now, EF_CODEC_VP8, sealed, (size_t)length, opened, sizeof opened, &origin);
  demand(length == sizeof frame && memcmp(opened, frame, sizeof frame) == 0, "a frame was not opened");
  printf("opened, of participant %" PRIu32 ": %s\n", origin.participant, (const char *)opened);

  ef_session_free(ada.session);
  ef_session_free(bob.session);
  return EXIT_SUCCESS;
}
