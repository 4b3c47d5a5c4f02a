// Sharing the screen: a button where the browser can, and a publication while it lasts.

import type { Call } from "../call.ts";
import { notify } from "./notice.ts";
import { Toggle } from "./toggle.ts";

/** The button. */
export class ScreenShare {
  readonly element: HTMLButtonElement;
  readonly #call: Call;
  readonly #toggle: Toggle;
  #track: MediaStreamTrack | null = null;

  constructor(call: Call) {
    this.#call = call;
    this.#toggle = new Toggle("Share screen", ["screen", "screen"], ["Stop sharing", "Share screen"], "screen", () => {
      void (this.#track === null ? this.#start() : this.#stop());
    });
    this.element = this.#toggle.element;
    this.element.classList.add("share");
    this.element.hidden = !("getDisplayMedia" in navigator.mediaDevices);
  }

  async #start(): Promise<void> {
    this.#toggle.busy = true;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } });
      const [track] = stream.getVideoTracks();
      if (track === undefined) return;
      track.contentHint = "detail";
      track.onended = () => void this.#stop();
      this.#track = track;
      await this.#call.publish(track, "screen");
    } catch (thrown) {
      await this.#stop();
      // Whoever closes the browser's dialogue wanted nothing, and needs no notice.
      const declined = thrown instanceof DOMException && thrown.name === "NotAllowedError";
      if (!declined && this.#call.state === "connected") notify("The screen cannot be shared.", "bad");
    } finally {
      this.#toggle.busy = false;
      this.#toggle.set(this.#track !== null);
    }
  }

  async #stop(): Promise<void> {
    this.#track?.stop();
    this.#track = null;
    this.#toggle.set(false);
    // A call that ended withdraws everything by itself.
    await this.#call.unpublish("screen").catch(() => {});
  }
}
