// The other participants of a call, and their tracks, as an application sees them.

import type { ParticipantId } from "./protocol/generated.ts";
import type { RemoteTrack } from "./slots.ts";
import { type AudioSource, isAudio, type VideoSource } from "./sources.ts";

/** Whether a participant can be reached. One that is away keeps its place until it returns or leaves. */
export type Presence = "present" | "away";

/** A participant whose announce was verified with the room's secret. A snapshot: changes make a new object. */
export interface Participant {
  /** Stays the same when the participant reconnects or reloads its page. */
  readonly id: ParticipantId;
  /**
   * Safe to show: without control and invisible characters, never empty, and with a number if someone else's name looks the
   * same. To be isolated from the text around it (`<bdi>`).
   */
  readonly name: string;
  readonly presence: Presence;
  /** Whether it was in the call when this device joined. */
  readonly wasHere: boolean;
}

/** An audio track of a participant. `participant` is authenticated, and not taken from the server. */
export interface AudioTrack {
  readonly kind: "audio";
  readonly participant: ParticipantId;
  readonly source: AudioSource;
  readonly track: MediaStreamTrack;
}

/** A video track of a participant. `participant` is authenticated, and not taken from the server. */
export interface VideoTrack {
  readonly kind: "video";
  readonly participant: ParticipantId;
  readonly source: VideoSource;
  readonly track: MediaStreamTrack;
}

/** A track of a participant. */
export type ParticipantTrack = AudioTrack | VideoTrack;

/** Returns a shown track with its media. */
export function participantTrack({ participant, source }: RemoteTrack, track: MediaStreamTrack): ParticipantTrack {
  return isAudio(source)
    ? { kind: "audio", participant, source, track }
    : { kind: "video", participant, source, track };
}
