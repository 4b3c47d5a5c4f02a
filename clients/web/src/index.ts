// @tacet/client: end-to-end encrypted calls in the browser.
//
// ```ts
// const call = await Call.join({ link, name: "Ada", audio: true, video: true });
// call.on("trackAdded", ({ participant, track }) => play(participant, track));
// ```

export {
  Call,
  type CallState,
  type JoinOptions,
  type MediaState,
  type Participant,
  type ParticipantTrack,
  type Problem,
} from "./call.ts";
export { openCamera, openMicrophone } from "./devices.ts";
export { TacetError, type TacetErrorCode } from "./errors.ts";
export { type LevelMeter, meter } from "./level.ts";
export { formatLink, parseLink, type RoomLink } from "./link.ts";
export type { Source } from "./protocol/generated.ts";
export { makeRoom, roomsAreOpen } from "./rooms.ts";
export { assertSupported } from "./support.ts";
export type { TransformCounters } from "./worker/messages.ts";
