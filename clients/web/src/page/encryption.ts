// The encryption badge and its dialog: what is encrypted, for which participants, and what is not promised. It claims no
// more than is true.

import type { Call, Participant, Problem } from "../index.ts";
import { CodeCheck, type Comparison } from "./code-check.ts";
import { CodePanel } from "./code-panel.ts";
import { summarize } from "./debug.ts";
import { h, sentence } from "./element.ts";
import { type IconName, icon } from "./icon.ts";
import { notify } from "./notice.ts";
import { ProblemLog } from "./problem-log.ts";
import { isolated, type Presence, problemSentence, protectionSentence } from "./words.ts";

const REFRESH_MS = 1_000;

/** What the badge says. */
interface Claim {
  readonly text: string;
  readonly icon: IconName;
  readonly tone: "good" | "partial" | "warning";
}

/** The badge in the top bar, and the dialog that it opens. */
export class EncryptionBadge {
  readonly element: HTMLButtonElement;
  readonly dialog: HTMLDialogElement;
  readonly #call: Call;
  readonly #check: CodeCheck;
  readonly #code: CodePanel;
  readonly #label = h("span", { class: "badge-label" });
  readonly #title = h("h2", { id: "encryption-title" });
  readonly #promise = h(
    "p",
    {},
    "Only the people shown in this call can see and hear it. People who join can't decrypt what was said before, and people " +
      "who leave can't decrypt what is said after.",
  );
  readonly #facts = h("dl", { class: "facts" });
  readonly #problems = h("ul", { class: "problems" });
  readonly #log = new ProblemLog();
  #generation = "";
  #cutOff = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(call: Call) {
    this.#call = call;
    this.#check = new CodeCheck(call.callCode);
    this.#code = new CodePanel(
      this.#check,
      () => call.participants.length === 0,
      () => call.leave(),
    );
    this.element = h("button", {
      type: "button",
      class: "badge",
      "data-testid": "encryption",
      onclick: () => this.#open(),
    });
    this.dialog = this.#makeDialog();
    this.dialog.addEventListener("close", () => clearInterval(this.#timer));
    this.#listen();
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
    this.#code.stop();
  }

  #makeDialog(): HTMLDialogElement {
    const close = h(
      "button",
      { type: "button", class: "plain", "aria-label": "Close", onclick: () => this.dialog.close() },
      icon("close"),
    );
    return h(
      "dialog",
      { class: "sheet", "aria-labelledby": "encryption-title", "data-testid": "encryption-dialog" },
      h("header", {}, this.#title, close),
      this.#problems,
      this.#promise,
      this.#code.element,
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
      h(
        "details",
        {},
        h("summary", {}, "Details"),
        h(
          "p",
          {},
          "Audio and video are encrypted on this device with AES-256-GCM. Each device creates its own keys and sends them " +
            "to the others encrypted.",
        ),
        this.#facts,
      ),
    );
  }

  #listen(): void {
    const call = this.#call;
    const check = this.#check;
    call.on("generation", ({ generation, step }) => {
      this.#generation = `${generation}.${step}`;
    });
    call.on("problem", (problem) => {
      this.#log.add(problem, this.#sentence(problem));
      this.#draw();
    });
    call.on("problemSolved", (problem) => {
      this.#log.solve(problem);
      this.#draw();
    });
    call.on("participantLeft", ({ id }) => this.#log.left(id));
    call.on("participantJoined", ({ name }) => check.happened(`${isolated(name)} joined.`));
    call.on("participantLeft", ({ name }) => check.happened(`${isolated(name)} left.`));
    call.on("callCode", (code) => {
      check.code = code;
    });
    check.on("changed", () => this.#draw());
    check.on("outdated", () => notify("The call code has changed since you compared it."));
    for (const event of [
      "participantJoined",
      "participantChanged",
      "participantLeft",
      "stalled",
      "connection",
    ] as const) {
      call.on(event, () => this.#draw());
    }
  }

  #sentence(problem: Problem): string {
    const { participant } = problem;
    const name = this.#call.participants.find(({ id }) => id === participant)?.name;
    return problemSentence(problem, name);
  }

  #open(): void {
    this.dialog.showModal();
    void this.#refresh();
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
  }

  #draw(): void {
    const { text, icon: name, tone } = this.#claim();
    this.#label.textContent = text;
    this.element.classList.toggle("is-warning", tone === "warning");
    this.element.classList.toggle("is-partial", tone === "partial");
    this.element.replaceChildren(icon(name), this.#label);
    const sentences = this.#log.sentences;
    this.#problems.hidden = sentences.length === 0;
    this.#problems.replaceChildren(
      ...sentences.map((text) => h("li", {}, icon("warning"), h("span", {}, ...sentence(text)))),
    );
    // Who may be in between sees and hears what only the people shown should.
    const doubtful = this.#check.comparison === "differs";
    this.#title.textContent = doubtful ? "Someone may be in between" : "End-to-end encrypted";
    this.#promise.hidden = doubtful;
    this.#code.draw();
  }

  /** What the badge says: the worst that is the case. */
  #claim(): Claim {
    const { cause } = this.#call.connection;
    if (cause === "encryption") return { text: "Encryption stopped", icon: "warning", tone: "warning" };
    if (this.#cutOff) return { text: "Not connected", icon: "lock", tone: "partial" };
    const presence = presenceOf(this.#call);
    const text = protectionSentence(presence);
    const { comparison } = this.#check;
    if (this.#log.warns) {
      return { text: `${text}, with a warning`, icon: "warning", tone: "warning" };
    }
    const compared = COMPARED[comparison];
    if (compared !== null) return compared;
    const whole = presence.away + presence.silent === 0;
    const matches = comparison === "matches" && whole;
    return {
      text: matches ? `${text}, code compared` : text,
      icon: matches ? "lock-check" : "lock",
      tone: whole ? "good" : "partial",
    };
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

/** What the badge says because of a comparison of codes; `null` if that says nothing bad. */
const COMPARED: Readonly<Record<Comparison, Claim | null>> = {
  none: null,
  matches: null,
  outdated: { text: "Code changed", icon: "lock", tone: "warning" },
  differs: { text: "The codes differ", icon: "warning", tone: "warning" },
};

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
