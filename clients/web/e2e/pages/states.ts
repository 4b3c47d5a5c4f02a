// The screens of the call page in states that are hard to bring about, around a call that does nothing.

import { Emitter } from "../../src/emitter.ts";
import {
  type Call,
  type CallCode,
  type ConnectionStatus,
  type Participant,
  type ParticipantId,
  parseLink,
  type Source,
  TacetError,
  type VideoView,
} from "../../src/index.ts";
import { callScreen } from "../../src/page/call-screen.ts";
import { ended } from "../../src/page/ended.ts";
import { LocalMedia } from "../../src/page/local-media.ts";
import { message } from "../../src/page/message.ts";
import { prejoin } from "../../src/page/prejoin.ts";
import { show } from "../../src/page/screen.ts";

const CODE: CallCode = {
  groups: ["27775", "00001", "94360", "41788", "05512", "60033"],
  text: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
};
const OTHER_CODE: CallCode = { groups: ["11111", "22222", "33333", "44444", "55555", "66666"], text: "other" };

type Events = { [name: string]: unknown };

const NOW = (): number => performance.now();

/** A call with these people, of which the page shows the state. */
class FakeCall extends Emitter<Events> {
  readonly link = parseLink(`https://call.example/r/AAAAAAAAAAAAAAAAAAAAAA#${"A".repeat(43)}`);
  readonly self = 1 as ParticipantId;
  readonly state = "connected";
  readonly callCode = CODE;
  readonly media: string;
  readonly tracks: readonly unknown[];
  readonly participants: readonly Participant[];
  readonly connection: ConnectionStatus;
  readonly #stalled: ReadonlySet<string>;

  constructor({ people, connection = {}, media = "connected", stalled = [], tracks = [] }: FakeOptions) {
    super();
    this.participants = people.map(([name, presence], index) => ({
      id: (index + 2) as ParticipantId,
      name,
      presence,
      wasHere: true,
    }));
    this.connection = { state: "connected", since: NOW(), cause: null, error: null, nextAttempt: null, ...connection };
    this.media = media;
    this.tracks = tracks;
    this.#stalled = new Set(stalled);
  }

  isMuted(_: ParticipantId, source: Source): boolean {
    return source !== "microphone";
  }

  isStalled(participant: ParticipantId, source: Source): boolean {
    return this.#stalled.has(`${participant} ${source}`);
  }

  isLeftOut(): boolean {
    return false;
  }

  /** Of no video. */
  view(): VideoView {
    return { pinned: false, paused: false, close: () => {} };
  }
  layer(): null {
    return null;
  }

  async publish(): Promise<void> {}
  async setMuted(): Promise<void> {}
  async counters(): Promise<readonly never[]> {
    return [];
  }
  tryNow(): void {}
  leave(): void {}

  tell(name: string, event: unknown): void {
    this.emit(name, event);
  }
}

interface FakeOptions {
  readonly people: readonly (readonly [name: string, presence: Participant["presence"]])[];
  readonly connection?: Partial<ConnectionStatus>;
  readonly media?: string;
  /** `PARTICIPANT SOURCE`. */
  readonly stalled?: readonly string[];
  readonly tracks?: readonly unknown[];
}

const PEOPLE = [
  ["Bo", "present"],
  ["Cy with a rather long name", "present"],
  ["Di", "away"],
] as const;

/** A loss that has lasted for some seconds. */
function lost(cause: ConnectionStatus["cause"], state: ConnectionStatus["state"], seconds: number): FakeOptions {
  return {
    people: PEOPLE.map(([name]) => [name, "present"] as const),
    connection: { state, cause, since: NOW() - seconds * 1_000 },
    media: state === "reconnecting" ? "interrupted" : cause === "media" ? "blocked" : "connected",
  };
}

function call(options: FakeOptions): FakeCall {
  const fake = new FakeCall(options);
  show(callScreen(fake as unknown as Call, new LocalMedia(), "Ada"));
  return fake;
}

function join(server: string): void {
  show(prejoin(new LocalMedia(), null, server, () => Promise.resolve()));
}

/** A call with the protection dialog open. */
function callWithCode(): FakeCall {
  const fake = call({ people: [["Bo", "present"]] });
  return press(fake, "encryption");
}

function press<T>(result: T, testId: string): T {
  document.querySelector<HTMLElement>(`[data-testid=${testId}]`)?.click();
  return result;
}

const AFTER = { rejoin: () => {}, home: () => {} };

const STATES: Readonly<Record<string, () => void>> = {
  away: () => void call({ people: PEOPLE }),
  stalled: () => void call({ people: PEOPLE, stalled: ["2 camera", "3 microphone"] }),
  offline: () => void call(lost("offline", "reconnecting", 12)),
  unreachable: () => void call(lost("server", "reconnecting", 12)),
  signaling: () => void call(lost("server", "interrupted", 12)),
  "encryption-stopped": () => void call(lost("encryption", "reconnecting", 1)),
  code: () => void callWithCode(),
  "code-matches": () => press(callWithCode(), "code-matches"),
  "code-differs": () => press(callWithCode(), "code-differs"),
  "code-outdated": () => {
    const fake = press(callWithCode(), "code-matches");
    fake.tell("participantJoined", { id: 9, name: "Cy", presence: "present", wasHere: false });
    fake.tell("callCode", OTHER_CODE);
  },
  blocked: () => void call(lost("media", "interrupted", 12)),
  slept: () => {
    const fake = call({ people: [["Bo", "present"]] });
    fake.tell("connection", { ...fake.connection, state: "reconnecting", cause: "device-slept" });
    fake.tell("connection", fake.connection);
  },
  "leave-question": () => {
    call({ people: [["Bo", "present"]] });
    document.querySelector<HTMLElement>(".wordmark")?.click();
  },
  "server-down": () => join("http://127.0.0.1:9"),
  left: () => show(ended(null, 754_000, AFTER)),
  removed: () => show(ended(new TacetError("removed"), 754_000, AFTER)),
  moved: () => show(ended(new TacetError("moved"), 754_000, AFTER)),
  returning: () => show(message("Returning to the call…", "Your name, microphone and camera stay as they were.", [])),
};

STATES[location.search.slice(1)]?.();
