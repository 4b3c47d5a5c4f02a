// The problems with encryption that the page shows: those that happened, and those that last until they are solved.

import type { ParticipantId, Problem } from "../index.ts";

/** Problems that last. All others are events, and stay listed. */
const UNTIL_SOLVED: ReadonlySet<Problem["code"]> = new Set(["roster-differs", "key-missing"] as const);
/** An event after which everything is as it was. It is listed, and no warning. */
const REPAIRED: ReadonlySet<Problem["code"]> = new Set(["encryption-stopped"] as const);

interface Entry {
  readonly problem: Problem;
  readonly sentence: string;
}

/** The problems of one call. */
export class ProblemLog {
  readonly #entries = new Map<string, Entry>();

  /** Sentences about the problems, each once, oldest first. */
  get sentences(): string[] {
    return [...new Set([...this.#entries.values()].map(({ sentence }) => sentence))];
  }

  /** Whether any of them is worth a warning. */
  get warns(): boolean {
    return [...this.#entries.values()].some(({ problem }) => !REPAIRED.has(problem.code));
  }

  /** There is a problem. */
  add(problem: Problem, sentence: string): void {
    this.#entries.set(key(problem), { problem, sentence });
  }

  /** A problem that lasted does so no longer. */
  solve(problem: Problem): void {
    this.#entries.delete(key(problem));
  }

  /** A participant has left, and with it the problems that last. */
  left(participant: ParticipantId): void {
    for (const code of UNTIL_SOLVED) this.#entries.delete(key({ code, participant }));
  }
}

function key({ code, participant }: Problem): string {
  return `${code} ${participant ?? ""}`;
}
