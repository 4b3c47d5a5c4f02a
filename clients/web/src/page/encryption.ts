// Says what is encrypted, for whom, and what is not promised. It never says more than is so.

import type { Call, Problem } from "../call.ts";
import { summarise } from "./debug.ts";
import { h } from "./element.ts";
import { icon } from "./icon.ts";

const REFRESH_MS = 1_000;

const PROBLEMS: Readonly<Record<Problem["code"], string>> = {
  "announce-refused": "Someone tried to join without proof of the room's secret, and was left out.",
  "keys-refused": "Keys arrived that were not made for this call, and were not used.",
  "clock-skew": "The clock of a device is off by more than ten minutes. Its owner is left out until it is set right.",
  equivocation: "A participant gave different keys to different people. Its media is not shown.",
  "transform-bypassed": "Media passed by the encryption in this browser and was silenced. Update the browser.",
  unknown: "Something could not be encrypted, and was not sent.",
};

/** The badge in the top bar, and the dialogue behind it. */
export class EncryptionBadge {
  readonly element: HTMLButtonElement;
  readonly dialog: HTMLDialogElement;
  readonly #call: Call;
  readonly #label = h("span", { class: "badge-label" });
  readonly #facts = h("dl", { class: "facts" });
  readonly #problems = h("ul", { class: "problems" });
  readonly #seen = new Set<Problem["code"]>();
  #generation = "";
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
        "Sound and picture are sealed on this device with AES-256-GCM and opened only on the devices of the people shown " +
          "in this room. Each device makes its own keys and hands them to the others sealed. Whoever joins cannot read " +
          "what was said before; who leaves, nothing said after.",
      ),
      this.#facts,
      h("h3", {}, "What to know"),
      h(
        "ul",
        { class: "caveats" },
        h("li", {}, "Whoever has the link can join, and can use any name. Look at who is here."),
        h(
          "li",
          {},
          `This page came from ${location.host}. You trust that server for the page's code, though not for what is said.`,
        ),
        h(
          "li",
          {},
          "The server sees who is connected, when, from where, how much is sent, and how loud a microphone is.",
        ),
      ),
    );
    this.dialog.addEventListener("close", () => clearInterval(this.#timer));
    call.on("generation", ({ generation, step }) => {
      this.#generation = `${generation}.${step}`;
    });
    call.on("problem", ({ code }) => {
      this.#seen.add(code);
      this.#draw();
    });
    this.#draw();
  }

  /** Ends what runs. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #open(): void {
    this.dialog.showModal();
    void this.#refresh();
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS);
  }

  #draw(): void {
    const trouble = this.#seen.size > 0;
    this.#label.textContent = trouble ? "Encrypted, with a warning" : "End-to-end encrypted";
    this.element.classList.toggle("is-warning", trouble);
    this.element.replaceChildren(icon(trouble ? "warning" : "lock"), this.#label);
    this.#problems.hidden = !trouble;
    this.#problems.replaceChildren(
      ...[...this.#seen].map((code) => h("li", {}, icon("warning"), h("span", {}, PROBLEMS[code]))),
    );
  }

  async #refresh(): Promise<void> {
    const { framesSealed, framesOpened, failures } = summarise(await this.#call.counters());
    const dropped = Object.values(failures).reduce((sum, frames) => sum + frames, 0);
    const number = new Intl.NumberFormat();
    const facts: [string, string][] = [
      ["Others verified with the room's secret", number.format(this.#call.participants.length)],
      ["Your key generation", this.#generation === "" ? "none yet" : this.#generation],
      ["Frames sealed", number.format(framesSealed)],
      ["Frames opened", number.format(framesOpened)],
      ["Frames dropped", number.format(dropped)],
    ];
    this.#facts.replaceChildren(...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]));
  }
}
