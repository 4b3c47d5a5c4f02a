// @tacet/client: end-to-end encrypted calls in the browser.
//
// ```ts
// const call = await Call.join({ link, name: "Ada", audio: true, video: true });
// call.on("trackAdded", ({ participant, track }) => attach(participant, track));
// ```

export { Call, type CallState, type JoinOptions, type MediaState } from "./call.ts";
export { openCamera, openMicrophone } from "./devices.ts";
export { TacetError, type TacetErrorCode } from "./errors.ts";
export { type LevelMeter, meter } from "./level.ts";
export { formatLink, parseLink, type RoomLink, type RoomLinkParts } from "./link.ts";
export type { AudioTrack, Participant, ParticipantTrack, VideoTrack } from "./participant.ts";
export type { KeyEpoch, Problem } from "./problem.ts";
export type { ParticipantId, Source } from "./protocol/generated.ts";
export { createRoom, roomsAreOpen } from "./rooms.ts";
export { assertSupported } from "./support.ts";
export type { TransformCounters } from "./worker/messages.ts";
