// The screen-sharing button. It is hidden where the browser cannot share the screen.

import { type Call, openScreen, TacetError } from "../index.ts";
import { notify } from "./notice.ts";
import { Toggle } from "./toggle.ts";

/** The button, and the track while the screen is shared. */
export class ScreenShare {
  readonly element: HTMLButtonElement;
  readonly #call: Call;
  readonly #toggle: Toggle;
  #track: MediaStreamTrack | null = null;

  constructor(call: Call) {
    this.#call = call;
    const options = {
      label: "Share screen",
      icons: { on: "screen", off: "screen" },
      hints: { on: "Stop sharing", off: "Share screen" },
      testId: "screen",
    } as const;
    this.#toggle = new Toggle(options, () => void (this.#track === null ? this.#start() : this.#stop()));
    this.element = this.#toggle.element;
    this.element.classList.add("share");
    this.element.hidden = !("getDisplayMedia" in navigator.mediaDevices);
    call.on("unpublished", ({ source, error }) => {
      if (source !== "screen" || this.#track === null) return;
      void this.#stop();
      notify(`Your screen is no longer shared. ${error.message}`, "bad");
    });
  }

  async #start(): Promise<void> {
    this.#toggle.busy = true;
    try {
      const track = await openScreen();
      track.onended = () => void this.#stop();
      this.#track = track;
      await this.#call.publish(track, "screen");
    } catch (thrown) {
      await this.#stop();
      // The user who cancels the browser's dialog needs no notice.
      const declined = thrown instanceof DOMException && thrown.name === "NotAllowedError";
      if (!declined && this.#call.state !== "ended")
        notify(`Your screen could not be shared. ${reason(thrown)}`, "bad");
    } finally {
      this.#toggle.busy = false;
      this.#toggle.set(this.#track !== null);
    }
  }

  async #stop(): Promise<void> {
    this.#track?.stop();
    this.#track = null;
    this.#toggle.set(false);
    // Rejects if the call has ended, which has unpublished the track already.
    await this.#call.unpublish("screen").catch(() => {});
  }
}

function reason(thrown: unknown): string {
  return thrown instanceof TacetError ? thrown.message : "The browser did not allow it.";
}
