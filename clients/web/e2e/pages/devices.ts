// Two devices of a call in one page, each with the SDK's worker. The page delivers the messages that a server would
// deliver.

import { CryptoWorker } from "../../src/crypto-worker.ts";
import { keyRequestBodies } from "../../src/protocol/binary.ts";
import { type Action, EventKind } from "../../src/worker/action.ts";
import { join, u16, u32 } from "../../test/peer/bytes.ts";
import { announcement, boxed, entryFor } from "../../test/wire.ts";

/** A device: its worker, and the worker's actions. */
export class Device {
  readonly actions: Action[] = [];
  #notify: () => void = () => {};

  private constructor(
    readonly number: number,
    readonly worker: CryptoWorker,
  ) {
    worker.on("action", (action) => {
      this.actions.push(action);
      this.#notify();
    });
  }

  static async load(number: number, invite: Uint8Array): Promise<Device> {
    const { worker } = await CryptoWorker.load(invite);
    return new Device(number, worker);
  }

  /** Waits for an action of this kind that matches. */
  async action<Kind extends Action["kind"]>(kind: Kind, is: (action: Action & { kind: Kind }) => boolean = () => true) {
    for (;;) {
      const matching = (action: Action): action is Action & { kind: Kind } => action.kind === kind;
      const found = this.actions.filter(matching).find(is);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const before = this.#notify;
        this.#notify = () => {
          before();
          resolve();
        };
      });
    }
  }

  /** Delivers this device's messages to another, as a server would. */
  deliverTo(other: Device): void {
    this.worker.on("action", (action) => {
      if (action.kind === "key-batch") {
        const box = entryFor(other.number, action.body);
        if (box !== undefined) other.worker.event(EventKind.Keys, boxed(box));
        this.worker.event(EventKind.KeyBatchAccepted, u32(action.number));
      } else if (action.kind === "key-request") {
        for (const body of keyRequestBodies(action.wanted)) {
          other.worker.event(EventKind.KeyRequest, join(u16(this.number), body));
        }
      }
    });
  }
}

/** Both devices join a call and have each other's announcement. */
export async function meet(ada: Device, bob: Device): Promise<void> {
  const [room, call] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  ada.deliverTo(bob);
  bob.deliverTo(ada);
  for (const device of [ada, bob]) device.worker.start({ room, call, name: `device ${device.number}` });
  const [ofAda, ofBob] = [await ada.action("announce"), await bob.action("announce")];
  for (const device of [ada, bob]) device.worker.event(EventKind.Joined, u16(device.number));
  ada.worker.event(EventKind.Announces, announcement(bob.number, ofBob.announce, ofBob.display));
  bob.worker.event(EventKind.Announces, announcement(ada.number, ofAda.announce, ofAda.display));
}

/** Plays a track, since browsers need not decode media that is not played. */
export function play(track: MediaStreamTrack): void {
  const element = document.createElement(track.kind === "audio" ? "audio" : "video");
  element.muted = true;
  element.autoplay = true;
  element.srcObject = new MediaStream([track]);
  document.body.append(element);
}
