// What this tab keeps for a call as long as it lasts, apart from its screen: the room's lock, and the place to which a
// reload or another tab returns.

import type { Call, TacetError } from "../index.ts";
import { offerPlace } from "./hand-over.ts";
import type { LocalMedia } from "./local-media.ts";
import { forgetPlace, keepPlace, type Place } from "./place.ts";
import type { RoomLock } from "./room-lock.ts";

/** A call in this tab. */
export class CallSession {
  readonly #media: LocalMedia;
  readonly #name: string;
  readonly #lock: RoomLock;
  readonly #room: string;
  readonly #started = performance.now();
  readonly #endings: (() => void)[] = [];
  /** Which devices are on. Kept here, because an ended call closes them. */
  #on: Place["on"];
  #over = false;

  /** @param ended is called once, with `null` if the person left */
  constructor(call: Call, media: LocalMedia, name: string, lock: RoomLock, ended: (error: TacetError | null) => void) {
    this.#media = media;
    this.#name = name;
    this.#lock = lock;
    this.#room = call.link.room;
    this.#on = this.#devices();

    const onHide = (): void => keepPlace({ ...this.place, ticket: call.away() });
    const onShow = ({ persisted }: PageTransitionEvent): void => {
      // The browser kept the page, and with it the call.
      if (persisted) forgetPlace();
    };
    addEventListener("pagehide", onHide);
    addEventListener("pageshow", onShow);
    this.#endings.push(
      () => removeEventListener("pagehide", onHide),
      () => removeEventListener("pageshow", onShow),
      offerPlace(this.#room, () => ({ ...this.place, ticket: call.handOver() })),
      media.on("changed", () => {
        if (!this.#over) this.#on = this.#devices();
      }),
      call.on("state", ({ state, error }) => {
        if (state === "ended") this.#end(() => ended(error));
      }),
    );
    // Another tab took the lock without an answer from this one. A goodbye from here would end the call there.
    void lock.lost.then(() => call.handOver());
  }

  /** Where and how this device is in the call, or was when it ended. It proves nothing, so it may be used any time. */
  get place(): Place {
    return { room: this.#room, name: this.#name, on: this.#on, ticket: null };
  }

  /** How long the call has lasted, in milliseconds. */
  get lasted(): number {
    return performance.now() - this.#started;
  }

  #end(then: () => void): void {
    if (this.#over) return;
    this.#over = true;
    for (const end of this.#endings) end();
    this.#lock.release();
    then();
  }

  #devices(): Place["on"] {
    return { microphone: this.#media.track("microphone") !== null, camera: this.#media.track("camera") !== null };
  }
}
