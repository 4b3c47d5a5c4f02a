// The screen after a call: why it ended, how long it was, and the way back.

import type { TacetError } from "../index.ts";
import { message, type NextStep } from "./message.ts";
import type { Screen } from "./screen.ts";
import { duration } from "./words.ts";

const TITLES: Partial<Record<TacetError["code"], string>> = {
  "no-room": "The room was closed",
  "access-refused": "The server no longer accepts this link",
  removed: "You were removed from the call",
  moved: "The call moved to another tab",
  "server-violation": "The call was ended for your safety",
};

/** What is to be said besides the title. */
const REASONS: Partial<Record<TacetError["code"], string>> & { readonly left: string } = {
  left: "The keys of the call were erased from this device.",
  removed: "The keys of the call were erased from this device.",
  moved: "It goes on there. This tab no longer sends or plays anything.",
};

/** Ways on from here. */
export interface AfterCall {
  /** Joins again, with the same name and devices. */
  rejoin(): void;
  home(): void;
}

/**
 * Returns the screen after a call.
 *
 * @param error why it ended; `null` if the person left
 * @param lasted in milliseconds
 */
export function ended(error: TacetError | null, lasted: number, { rejoin, home }: AfterCall): Screen {
  const title = error === null ? "You left the call" : (TITLES[error.code] ?? "The call ended");
  const why = error === null ? REASONS.left : (REASONS[error.code] ?? error.message);
  const steps: NextStep[] = [
    // From another tab, the call is moved back and not left.
    { label: error?.code === "moved" ? "Move it back here" : "Rejoin", run: rejoin },
    { label: "Home", run: home },
  ];
  return message(title, `${why} You were in the call for ${duration(lasted)}.`, steps);
}
