// Whether the server of a room can be reached, and how far this device's clock is from the server's. Asked while the
// person is still choosing a name and devices.

const RETRY_MS = 2_000;
const TIMEOUT_MS = 5_000;

/** What is known of the server. */
export type ServerState = "checking" | "reachable" | "unreachable";

/** The answer of one attempt. */
export interface ServerAnswer {
  /** By how many milliseconds this device's clock is ahead of the server's; `null` if the server did not say. */
  readonly ahead: number | null;
}

/** Asks a server until it answers. */
export class RoomCheck {
  readonly #server: string;
  readonly #changed: (state: ServerState, answer: ServerAnswer | null) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #attempt = 0;

  /** @param server origin of the server */
  constructor(server: string, changed: (state: ServerState, answer: ServerAnswer | null) => void) {
    this.#server = server;
    this.#changed = changed;
  }

  /** Asks now, and again until there is an answer. */
  async ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#attempt += 1;
    const mine = this.#attempt;
    const answer = await ask(this.#server);
    if (this.#stopped || mine !== this.#attempt) return;
    this.#changed(answer === null ? "unreachable" : "reachable", answer);
    if (answer === null) this.#timer = setTimeout(() => void this.ask(), RETRY_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}

async function ask(server: string): Promise<ServerAnswer | null> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(new URL("/healthz", server), { cache: "no-store", signal });
    // A proxy that answers for a server that is down has not reached it.
    if (response.status >= 500) return null;
    const date = Date.parse(response.headers.get("date") ?? "");
    return { ahead: Number.isNaN(date) ? null : Date.now() - date };
  } catch {
    return null;
  }
}
