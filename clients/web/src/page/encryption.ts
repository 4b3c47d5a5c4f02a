// The encryption badge and its dialog: what is encrypted, for which participants, and what is not promised. It claims no more than is
// true.

import type { Call, Participant, Problem } from "../index.ts";
import { summarize } from "./debug.ts";
import { h } from "./element.ts";
import { icon } from "./icon.ts";
import { clockSentence, type Presence, protectionSentence } from "./words.ts";

const REFRESH_MS = 1_000;

const PROBLEMS: Readonly<Record<Problem["code"], string>> = {
  "announce-refused": "Someone tried to join without proof of the room's secret and was kept out.",
  "keys-refused": "Keys that were not made for this call arrived and were rejected.",
  "clock-skew":
    "A participant's clock is off by more than ten minutes. They are left out of the call until it is corrected.",
  equivocation: "A participant sent different keys to different people. Their audio and video are not played.",
  "encryption-stopped":
    "Encryption stopped on this device. Nothing was sent or played meanwhile, and the call goes on with new keys.",
  "transform-bypassed": "This browser let media bypass encryption, so it was stopped. Update the browser.",
  unknown: "Some of your audio or video could not be sent.",
};

/** The badge in the top bar, and the dialog that it opens. */
export class EncryptionBadge {
  readonly element: HTMLButtonElement;
  readonly dialog: HTMLDialogElement;
  readonly #call: Call;
  readonly #label = h("span", { class: "badge-label" });
  readonly #facts = h("dl", { class: "facts" });
  readonly #problems = h("ul", { class: "problems" });
  /** Sentences about the problems so far. */
  readonly #seen = new Set<string>();
  #generation = "";
  #cutOff = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(call: Call) {
    this.#call = call;
    this.element = h("button", {
      type: "button",
      class: "badge",
      "data-testid": "encryption",
      onclick: () => this.#open(),
    });
    this.dialog = h(
      "dialog",
      { class: "sheet", "aria-labelledby": "encryption-title" },
      h(
        "header",
        {},
        h("h2", { id: "encryption-title" }, "End-to-end encrypted"),
        h(
          "button",
          { type: "button", class: "plain", "aria-label": "Close", onclick: () => this.dialog.close() },
          icon("close"),
        ),
      ),
      this.#problems,
      h(
        "p",
        {},
        "Audio and video are encrypted on this device with AES-256-GCM and decrypted only on the devices of the people " +
          "shown in this room. Each device creates its own keys and sends them to the others encrypted. People who join " +
          "can't decrypt what was said before, and people who leave can't decrypt what is said after.",
      ),
      this.#facts,
      h("h3", {}, "Good to know"),
      h(
        "ul",
        { class: "caveats" },
        h("li", {}, "Anyone who has the link can join, under any name. Check who is here."),
        h(
          "li",
          {},
          `This page was loaded from ${location.host}. You have to trust that server for the page's code, but not with what you say.`,
        ),
        h(
          "li",
          {},
          "The server can see who is connected, when and from where, how much data is sent, and how loud each microphone is.",
        ),
      ),
    );
    this.dialog.addEventListener("close", () => clearInterval(this.#timer));
    call.on("generation", ({ generation, step }) => {
      this.#generation = `${generation}.${step}`;
    });
    call.on("problem", (problem) => {
      this.#seen.add(problemSentence(problem));
      this.#draw();
    });
    for (const event of ["participantJoined", "participantChanged", "participantLeft", "stalled"] as const) {
      call.on(event, () => this.#draw());
    }
    this.#draw();
  }

  /** Whether this device receives nothing, so that it can claim protection for no one. */
  set cutOff(cutOff: boolean) {
    this.#cutOff = cutOff;
    this.#draw();
  }

  /** Stops refreshing. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #open(): void {
    this.dialog.showModal();
    void this.#refresh();
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
  }

  #draw(): void {
    const warning = this.#seen.size > 0;
    const { text, whole } = this.#claim();
    this.#label.textContent = warning ? `${text}, with a warning` : text;
    this.element.classList.toggle("is-warning", warning);
    this.element.classList.toggle("is-partial", !whole && !warning);
    this.element.replaceChildren(icon(warning ? "warning" : "lock"), this.#label);
    this.#problems.hidden = !warning;
    this.#problems.replaceChildren(
      ...[...this.#seen].map((sentence) => h("li", {}, icon("warning"), h("span", {}, sentence))),
    );
  }

  /** What the badge says, and whether it covers everyone. */
  #claim(): { readonly text: string; readonly whole: boolean } {
    if (this.#call.connection.cause === "encryption") return { text: "Encryption stopped", whole: false };
    if (this.#cutOff) return { text: "Not connected", whole: false };
    const presence = presenceOf(this.#call);
    return { text: protectionSentence(presence), whole: presence.away + presence.silent === 0 };
  }

  async #refresh(): Promise<void> {
    const { framesSealed, framesOpened, failures } = summarize(await this.#call.counters());
    const dropped = Object.values(failures).reduce((sum, frames) => sum + frames, 0);
    const number = new Intl.NumberFormat();
    const facts: [string, string][] = [
      ["Others verified with the room's secret", number.format(this.#call.participants.length)],
      ["Your key generation", this.#generation === "" ? "none yet" : this.#generation],
      ["Frames encrypted", number.format(framesSealed)],
      ["Frames decrypted", number.format(framesOpened)],
      ["Frames dropped", number.format(dropped)],
    ];
    this.#facts.replaceChildren(...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
  }
}

function problemSentence({ code, participant, minutes = 0 }: Problem): string {
  const own = code === "clock-skew" && participant === null ? clockSentence(minutes * 60_000) : null;
  return own ?? PROBLEMS[code];
}

/** Counts who is there, who is away, and who should arrive and does not. */
function presenceOf(call: Call): Presence {
  const away = call.participants.filter(({ presence }) => presence === "away").length;
  const silent = call.participants.filter((participant) => isSilent(call, participant)).length;
  return { here: call.participants.length - away - silent, away, silent };
}

function isSilent(call: Call, { id, presence }: Participant): boolean {
  if (presence === "away") return false;
  return call.isStalled(id, "microphone") || call.isStalled(id, "camera");
}
