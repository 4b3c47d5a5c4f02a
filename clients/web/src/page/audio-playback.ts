// Plays the others' audio. An element belongs to a track of the browser, and goes on playing when the audio of another
// participant follows in it, as in the slots of active speakers: a new element would swallow a syllable.

import type { AudioTrack, ParticipantId, Source } from "../index.ts";
import { h } from "./element.ts";
import { notify } from "./notice.ts";

/** How long an element plays on whose audio no one claims: that of the next speaker may begin in it. */
const KEEP_MS = 500;

/** The audio of one call. */
export class AudioPlayback {
  /** Elements, by the id of the track that each plays. */
  readonly #elements = new Map<string, HTMLAudioElement>();
  /** Id of the track with the audio of each participant's source. */
  readonly #playing = new Map<string, string>();

  /** Plays a track in place of another of that participant's source. */
  play({ participant, source, track }: AudioTrack): void {
    this.#playing.set(key(participant, source), track.id);
    if (!this.#elements.has(track.id)) {
      const element = h("audio", { autoplay: true });
      element.srcObject = new MediaStream([track]);
      element.play().catch(() => this.#playAfterClick());
      this.#elements.set(track.id, element);
    }
    this.#stopUnusedSoon();
  }

  /** Plays a participant's source no longer. */
  stop(participant: ParticipantId, source: Source): void {
    this.#playing.delete(key(participant, source));
    this.#stopUnusedSoon();
  }

  /** Plays nothing any more. */
  close(): void {
    this.#playing.clear();
    this.#stopUnused();
  }

  #stopUnusedSoon(): void {
    setTimeout(() => this.#stopUnused(), KEEP_MS);
  }

  #stopUnused(): void {
    const used = new Set(this.#playing.values());
    for (const [id, element] of this.#elements) {
      if (used.has(id)) continue;
      element.srcObject = null;
      this.#elements.delete(id);
    }
  }

  /** Browsers that block autoplay allow playback after a click. */
  #playAfterClick(): void {
    notify("Click anywhere to hear the others.");
    const play = (): void => {
      // An element that is still blocked stays silent until the next track asks again.
      for (const element of this.#elements.values()) element.play().catch(() => {});
    };
    document.addEventListener("click", play, { once: true });
  }
}

function key(participant: ParticipantId, source: Source): string {
  return `${source} ${participant}`;
}
