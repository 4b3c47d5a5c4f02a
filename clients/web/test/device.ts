// A device of a call, for tests: a session of the wasm module, and its actions.

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Clock, FrameCrypto, FrameCryptoSession } from "../src/e2ee/wasm.ts";
import { type Action, EventKind, readAction } from "../src/worker/action.ts";
import { keyBatchAcceptedEvent } from "../src/worker/event.ts";
import { u16 } from "./peer/bytes.ts";
import { announcement, boxed } from "./wire.ts";

export const WALL = Date.UTC(2026, 10, 22);

/** The clocks of a device, `now` milliseconds after the start. */
export function at(now: number): Clock {
  return { now, wall: WALL + now };
}
export const ROOM = new Uint8Array(16).fill(1);
export const CALL = new Uint8Array(16).fill(2);

/** Returns the bytes of the built module. */
export function moduleBytes(): Buffer<ArrayBuffer> {
  try {
    return readFileSync(new URL("../src/e2ee/e2ee_frames.wasm", import.meta.url)) as Buffer<ArrayBuffer>;
  } catch {
    throw new Error("src/e2ee/e2ee_frames.wasm is not built: run `make web`");
  }
}

export class Device {
  readonly actions: Action[] = [];
  announce: Action & { kind: "announce" };
  readonly session: FrameCryptoSession;
  readonly number: number;
  #now = 0;

  constructor(library: FrameCrypto, number: number, name: string, invite: Uint8Array) {
    this.number = number;
    this.session = library.session(ROOM, CALL, invite, name, at(0));
    const first = this.drain().find((action) => action.kind === "announce");
    if (first === undefined) throw new Error("no announce");
    this.announce = first;
    this.event(EventKind.Joined, u16(number), 0);
  }

  event(kind: number, body: Uint8Array, now: number): void {
    this.#now = now;
    expect(this.session.event(kind, at(now), body)).toBe(true);
    this.drain();
  }

  tick(now: number): void {
    this.event(EventKind.Tick, new Uint8Array(0), now);
  }

  /** Receives a key that is sealed to this device. */
  keys(header: Uint8Array, entry: Uint8Array, now: number): void {
    this.event(EventKind.Keys, boxed({ header, entry }), now);
  }

  /** Collects the actions. A server that accepts every key batch at once is assumed. */
  drain(): Action[] {
    const drained: Action[] = [];
    for (let bytes = this.session.poll(); bytes !== null; bytes = this.session.poll()) {
      const action = readAction(bytes);
      if (action === null) continue;
      drained.push(action);
      if (action.kind !== "key-batch") continue;
      const { kind, body } = keyBatchAcceptedEvent(action.number);
      expect(this.session.event(kind, at(this.#now), body)).toBe(true);
    }
    this.actions.push(...drained);
    return drained;
  }

  /** Removes and returns the oldest action of a kind. */
  take<Kind extends Action["kind"]>(kind: Kind): (Action & { kind: Kind }) | undefined {
    const index = this.actions.findIndex((action) => action.kind === kind);
    return index < 0 ? undefined : (this.actions.splice(index, 1)[0] as Action & { kind: Kind });
  }
}

/** Announces two devices to each other. */
export function introduce(one: Device, other: Device): void {
  for (const [to, { number, announce }] of [
    [one, other],
    [other, one],
  ] as const) {
    to.event(EventKind.Announces, announcement(number, announce.announce, announce.display), 0);
  }
}
