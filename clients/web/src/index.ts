// @tacet/client: end-to-end encrypted calls in the browser.
//
// ```ts
// const call = await Call.join({ link, name: "Ada", audio: true, video: true });
// call.on("trackAdded", ({ participant, track }) => attach(participant, track));
// ```

export {
  Call,
  type CallState,
  type ChatMessage,
  type JoinOptions,
  type JoinRetry,
  type LayerChange,
  type SourceEnd,
} from "./call.ts";
export type { CallCode } from "./call-code.ts";
export type { ChatKind } from "./chat.ts";
export type { ConnectionState, ConnectionStatus, LossCause } from "./connection-status.ts";
export { preload } from "./crypto-code.ts";
export { openCamera, openMicrophone, openScreen, type ScreenOptions } from "./devices.ts";
export type { RoomToken } from "./entrance.ts";
export { ClockSkewError, type Remedy, TacetError, type TacetErrorCode } from "./errors.ts";
export { type LevelMeter, meter } from "./level.ts";
export { formatLink, parseLink, type RoomLink, type RoomLinkParts } from "./link.ts";
export type { MediaState } from "./media-watch.ts";
export type { AudioTrack, Participant, ParticipantTrack, Presence, VideoTrack } from "./participant.ts";
export type { KeyEpoch, Problem } from "./problem.ts";
export type { Capabilities, Capability, Downlink, ParticipantId, Role, Source } from "./protocol/generated.ts";
export { parseTicket, type ReturnTicket } from "./return-ticket.ts";
export { createRoom, roomsAreOpen } from "./rooms.ts";
export type { VideoLayer } from "./slots.ts";
export type { VideoSource } from "./sources.ts";
export { assertSupported } from "./support.ts";
export type { VideoView, ViewOptions } from "./video-views.ts";
export type { TransformCounters } from "./worker/messages.ts";
