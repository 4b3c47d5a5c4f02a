// Applies the encodings of a video track to its RTP sender, and switches off those that no one receives.
//
// Every change of what is active costs a key frame on all encodings, so nothing is set that is set already.

import { type Encoding, encodingsOf, type Layering, published, type VideoMedia, write } from "./encodings.ts";
import type { Encoding as PublishedEncoding } from "./protocol/generated.ts";
import type { VideoSource } from "./sources.ts";

/** What media counts as whose size the browser does not tell. */
const UNKNOWN_SIZE = { width: 1_280, height: 720 } as const;

/** The encodings of one sender. */
export class SenderEncodings {
  readonly #sender: RTCRtpSender;
  readonly #source: VideoSource;
  readonly #layering: Layering;
  #encodings: readonly Encoding[] = [];
  /** What was set last, to compare. */
  #set = "";
  /** Whether the browser takes the scalability modes. */
  #modes = true;

  constructor(sender: RTCRtpSender, source: VideoSource, layering: Layering) {
    this.#sender = sender;
    this.#source = source;
    this.#layering = layering;
  }

  /** Returns whether this media has the RIDs of the media before: what was published cannot get others. */
  fits(media: MediaStreamTrack): boolean {
    const rids = (encodings: readonly Encoding[]): string => encodings.map(({ rid }) => rid).join();
    return rids(this.#plan(media)) === rids(this.#encodings);
  }

  /**
   * Sets what is sent of this media. Returns its encodings as `publish` names them.
   *
   * @param wanted by encoding, whether it is active; those that are not named are
   */
  async set(media: MediaStreamTrack, wanted: readonly boolean[]): Promise<PublishedEncoding[]> {
    // The browser's choice for a screen would be video, of which it lowers the resolution.
    if (this.#source === "screen" && media.contentHint === "") media.contentHint = "detail";
    this.#encodings = this.#plan(media);
    await this.#apply(wanted, this.#source === "screen" ? degradation(media) : undefined);
    return published(this.#encodings);
  }

  #plan(media: MediaStreamTrack): readonly Encoding[] {
    return encodingsOf(this.#source, this.#layering, measure(media));
  }

  async #apply(wanted: readonly boolean[], preference: RTCDegradationPreference | undefined): Promise<void> {
    const active = this.#encodings.map((_, index) => wanted[index] ?? true);
    const next = JSON.stringify([this.#encodings, active, preference]);
    if (next === this.#set) return;
    const apply = (): Promise<void> => {
      const parameters = this.#sender.getParameters();
      write(parameters, this.#encodings, active, this.#modes);
      if (preference !== undefined) parameters.degradationPreference = preference;
      return this.#sender.setParameters(parameters);
    };
    try {
      await apply();
    } catch (thrown) {
      if (!this.#modes) throw thrown;
      this.#modes = false;
      await apply();
    }
    this.#set = next;
  }
}

function measure(media: MediaStreamTrack): VideoMedia {
  const { width = UNKNOWN_SIZE.width, height = UNKNOWN_SIZE.height } = media.getSettings();
  return { width, height, motion: media.contentHint === "motion" };
}

/** A shared screen stays readable: frames go before lines do, unless it shows a video. */
function degradation({ contentHint }: MediaStreamTrack): RTCDegradationPreference {
  return contentHint === "motion" ? "balanced" : "maintain-resolution";
}
