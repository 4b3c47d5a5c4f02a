// The place in a call to which a reload of this tab returns: the name, what is switched on, and the return ticket. It is
// written when the page is hidden and read once. The room's secret is never stored; it is in the address.

import { parseTicket, type ReturnTicket } from "../index.ts";
import type { Device } from "./local-media.ts";

/** How long after the page was hidden the server still accepts the ticket. */
const RETURN_MS = 30_000;

const KEY = "tacet.place";

/** Where and how this device is in a call. */
export interface Place {
  /** Room id of the link. */
  readonly room: string;
  readonly name: string;
  /** Which devices are switched on. */
  readonly on: Readonly<Record<Device, boolean>>;
  /** The one-time proof that this is the same participant. */
  readonly ticket: ReturnTicket | null;
}

/** A place that was found again. */
export interface FoundPlace extends Place {
  /** Whether so little time has passed that the page returns without a question. */
  readonly fresh: boolean;
}

/** Stores the place. `now` is in milliseconds since 1970. */
export function keepPlace(place: Place, now = Date.now(), storage = tabStorage()): void {
  try {
    storage?.setItem(KEY, JSON.stringify({ ...place, left: now }));
  } catch {
    // The browser blocks storage, or it is full: a reload asks for the name again.
  }
}

/** Returns the place in this room, if the tab had one, and removes it: its ticket is good for one return. */
export function takePlace(room: string, now = Date.now(), storage = tabStorage()): FoundPlace | null {
  const stored = storage?.getItem(KEY) ?? null;
  storage?.removeItem(KEY);
  const place = stored === null ? null : parse(stored);
  if (place === null || place.room !== room) return null;
  const { left, ...rest } = place;
  const age = now - left;
  return { ...rest, fresh: age >= 0 && age < RETURN_MS };
}

/** Removes the place: the person has left. */
export function forgetPlace(storage = tabStorage()): void {
  storage?.removeItem(KEY);
}

/** Returns the storage of this tab, or `null` if the browser blocks it. */
function tabStorage(): Pick<Storage, "getItem" | "setItem" | "removeItem"> | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function parse(stored: string): (Place & { readonly left: number }) | null {
  try {
    const { room, name, on, ticket, left }: Record<string, unknown> = JSON.parse(stored);
    const { microphone, camera } = on as Record<Device, unknown>;
    if (typeof room !== "string" || typeof name !== "string" || typeof left !== "number") return null;
    return {
      room,
      name,
      on: { microphone: microphone === true, camera: camera === true },
      ticket: parseTicket(JSON.stringify(ticket)),
      left,
    };
  } catch {
    return null;
  }
}
