// The worker's end of a session, for tests: it makes announces and proofs, and records what it receives.

import type { Action } from "../src/worker/action.ts";
import { EventKind } from "../src/worker/action.ts";
import { holdLock } from "../src/worker/life-lock.ts";
import type { FromWorker, ToWorker } from "../src/worker/messages.ts";
import type { FakeLocks } from "./fake-locks.ts";

/** A transform that its worker attaches at once. */
export class FakeTransform {
  constructor(worker: FakeWorker, { id }: { readonly id: string }) {
    worker.post({ t: "attached", id });
  }
}

/** A worker whose other end is the test. */
export class FakeWorker {
  /** All workers that were started, oldest first. */
  static all: FakeWorker[] = [];

  onmessage: ((event: { data: FromWorker }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly received: ToWorker[] = [];
  terminated = false;
  /** Whether it answers nothing. */
  hangs = false;
  #announces = 0;
  #lock = "";

  constructor() {
    FakeWorker.all.push(this);
  }

  static get last(): FakeWorker {
    const last = FakeWorker.all.at(-1);
    if (last === undefined) throw new Error("no worker was started");
    return last;
  }

  postMessage(message: ToWorker): void {
    this.received.push(message);
    if (this.hangs) return;
    if (message.t === "load") {
      this.#lock = message.lock;
      void holdLock(message.lock).then((locked) =>
        this.post({ t: "loaded", guestAccess: new Uint8Array(32).fill(3), locked }),
      );
    }
    if (message.t === "start") this.#announce();
    if (message.t === "event" && message.kind === EventKind.Attached && message.body[0] === 1) this.#announce();
    if (message.t === "prove") {
      this.post({ t: "proof", request: message.request, proof: new Uint8Array(64).fill(6) });
    }
    if (message.t === "event" && message.kind === EventKind.StreamOpened) {
      this.act({ kind: "stream-ready", stream: new DataView(message.body.slice().buffer).getUint32(0) });
    }
    if (message.t === "ask") this.post({ t: "alive" });
    if (message.t === "counters") this.post({ t: "counters", request: message.request, transforms: [] });
  }

  post(data: FromWorker): void {
    queueMicrotask(() => {
      if (!this.terminated) this.onmessage?.({ data });
    });
  }

  act(action: Action): void {
    this.post({ t: "action", action });
  }

  terminate(): void {
    this.terminated = true;
    (globalThis.navigator?.locks as unknown as FakeLocks | undefined)?.endHolder(this.#lock);
  }

  /** The events of the session that belong to the connection and its members, in order, as `NAME BODY`. */
  get events(): string[] {
    const names = Object.fromEntries(Object.entries(EventKind).map(([name, kind]) => [kind, name]));
    return this.received.flatMap((message) =>
      message.t === "event" ? [`${names[message.kind]} ${[...message.body]}`.trim()] : [],
    );
  }

  #announce(): void {
    this.#announces += 1;
    const announce = new Uint8Array(298).fill(this.#announces);
    this.act({ kind: "announce", first: true, announce, display: new Uint8Array([5, 6]) });
  }
}
