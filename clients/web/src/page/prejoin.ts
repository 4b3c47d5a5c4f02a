// The screen before joining: the name, a preview, and the selection of devices. Nothing is sent yet.

import { asTacetError } from "../errors.ts";
import { ClockSkewError, type JoinOptions, type LevelMeter, meter, TacetError } from "../index.ts";
import { h } from "./element.ts";
import { icon } from "./icon.ts";
import { JoinFailure } from "./join-failure.ts";
import type { Device, LocalMedia } from "./local-media.ts";
import type { Place } from "./place.ts";
import { recall, remember } from "./preferences.ts";
import { RoomCheck } from "./room-check.ts";
import { type Screen, wordmark } from "./screen.ts";
import { initials } from "./tile.ts";
import { Toggle } from "./toggle.ts";
import { clockSentence } from "./words.ts";

const METER_INTERVAL_MS = 80;
/** Level at which the meter is full: speech close to the microphone. */
const FULL_LEVEL = 0.25;

/** How to join. */
export type JoinRequest = Pick<JoinOptions, "name" | "signal" | "onRetry" | "ignoreClockSkew">;

/**
 * Returns the screen before joining.
 *
 * @param place where this tab was before, if it was in this room
 * @param server origin of the server
 * @param join the form is locked until its promise settles, and shows the error if it rejects
 */
export function prejoin(
  media: LocalMedia,
  place: Place | null,
  server: string,
  join: (request: JoinRequest) => Promise<void>,
): Screen {
  const video = h("video", { autoplay: true, playsinline: true, class: "tile-video" });
  video.muted = true;
  const avatar = h("span", { class: "tile-initials", "aria-hidden": "true" });
  const off = h("p", { class: "preview-off" }, "Your camera is off");
  const bar = h("div", { class: "meter-bar" });
  const level = h("div", { class: "meter", role: "img", "aria-label": "Microphone level" }, bar);
  const hints: Record<Device, HTMLElement> = {
    microphone: h("p", { class: "hint", hidden: true, "data-testid": "microphone-hint" }),
    camera: h("p", { class: "hint", hidden: true, "data-testid": "camera-hint" }),
  };

  const microphone = new Toggle(
    {
      label: "Microphone",
      icons: { on: "microphone", off: "microphone-off" },
      hints: { on: "Turn off microphone", off: "Turn on microphone" },
      testId: "microphone",
    },
    () => toggle("microphone", microphone),
  );
  const camera = new Toggle(
    {
      label: "Camera",
      icons: { on: "camera", off: "camera-off" },
      hints: { on: "Turn off camera", off: "Turn on camera" },
      testId: "camera",
    },
    () => toggle("camera", camera),
  );
  async function toggle(device: Device, button: Toggle): Promise<void> {
    button.busy = true;
    hints[device].hidden = true;
    await media.set(device, media.track(device) === null);
    button.busy = false;
  }

  const selects: Record<Device, HTMLSelectElement> = {
    microphone: h("select", { id: "microphone" }),
    camera: h("select", { id: "camera" }),
  };
  for (const device of ["microphone", "camera"] as const) {
    selects[device].addEventListener("change", () => void media.choose(device, selects[device].value));
  }

  let running: LevelMeter | null = null;
  const timer = setInterval(() => {
    bar.style.setProperty("--level", `${Math.min(1, Math.sqrt((running?.level() ?? 0) / FULL_LEVEL))}`);
  }, METER_INTERVAL_MS);

  function refresh(device: Device): void {
    const track = media.track(device);
    if (device === "camera") {
      camera.set(track !== null);
      video.srcObject = track === null ? null : new MediaStream([track]);
      video.hidden = track === null;
      off.hidden = track !== null;
    } else {
      microphone.set(track !== null);
      running?.stop();
      running = track === null ? null : meter(track);
      level.classList.toggle("is-off", track === null);
    }
    void fill(device);
  }
  async function fill(device: Device): Promise<void> {
    const list = await media.list(device);
    const chosen = media.track(device)?.getSettings().deviceId ?? recall(device);
    const options = list.map(({ deviceId, label }) =>
      h("option", { value: deviceId, selected: deviceId === chosen }, label === "" ? "Unnamed device" : label),
    );
    if (options.length === 0) options.push(h("option", { value: "" }, "No device found"));
    selects[device].replaceChildren(...options);
    selects[device].disabled = list.length === 0;
  }

  const subscriptions = [
    media.on("changed", refresh),
    media.on("failed", ({ device, error }) => {
      hints[device].textContent = error.message;
      hints[device].hidden = false;
      refresh(device);
    }),
  ];

  const name = h("input", {
    id: "name",
    name: "name",
    type: "text",
    maxlength: 60,
    autocomplete: "name",
    placeholder: "Shown to the others in the call",
    required: true,
    autofocus: true,
    value: place?.name ?? recall("name"),
    "data-testid": "name",
  });
  const redraw = (): void => {
    avatar.textContent = initials(name.value);
  };
  name.addEventListener("input", redraw);
  const submit = h("button", { type: "submit", class: "button primary wide", "data-testid": "join" }, "Join");
  const clock = h("p", { class: "hint", hidden: true, "data-testid": "clock-hint" });
  // Ends the attempts when the person goes elsewhere.
  const abort = new AbortController();
  let joining = false;
  let ignoreClockSkew = false;
  const failure = new JoinFailure(() => void check.ask());
  const check = new RoomCheck(server, (state, answer) => {
    if (joining) return;
    submit.disabled = state !== "reachable";
    if (state === "unreachable") failure.show(new TacetError("server-unreachable"), "at-will");
    else failure.hide();
    showClock(answer?.ahead ?? 0);
  });
  function showClock(ahead: number): void {
    const sentence = clockSentence(ahead);
    clock.textContent = sentence ?? "";
    clock.hidden = sentence === null;
    // It is shown above the button that joins.
    ignoreClockSkew = sentence !== null;
    if (!joining) submit.textContent = joinLabel();
  }
  function joinLabel(): string {
    return ignoreClockSkew ? "Join anyway" : "Join";
  }
  const form = h(
    "form",
    { class: "prejoin-form" },
    h("h1", {}, "Ready to join?"),
    failure.element,
    h("div", { class: "field" }, h("label", { for: "name" }, "Your name"), name),
    h(
      "div",
      { class: "field" },
      h("label", { for: "microphone" }, "Microphone"),
      selects.microphone,
      level,
      hints.microphone,
    ),
    h("div", { class: "field" }, h("label", { for: "camera" }, "Camera"), selects.camera, hints.camera),
    clock,
    submit,
    h("p", { class: "sealed" }, icon("lock"), h("span", {}, "Encrypted on this device before anything is sent.")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = name.value.trim();
    if (chosen === "") {
      name.value = "";
      name.reportValidity();
      return;
    }
    remember("name", chosen);
    joining = true;
    submit.disabled = true;
    submit.textContent = "Joining…";
    failure.hide();
    try {
      await join({
        name: chosen,
        signal: abort.signal,
        ignoreClockSkew,
        onRetry: ({ error }) => failure.show(error, "by-itself"),
      });
    } catch (thrown) {
      joining = false;
      const error = asTacetError(thrown, "server-unreachable");
      if (error instanceof ClockSkewError) showClock(error.minutes * 60_000);
      else failure.show(error, "by-hand");
      submit.disabled = false;
      submit.textContent = joinLabel();
    }
  });

  redraw();
  refresh("microphone");
  refresh("camera");
  void media.set("microphone", place?.on.microphone ?? true);
  void media.set("camera", place?.on.camera ?? true);
  void check.ask();

  return {
    element: h(
      "div",
      { class: "screen centred" },
      h("header", { class: "top" }, wordmark()),
      h(
        "section",
        { class: "prejoin" },
        h(
          "div",
          { class: "preview tile tile-self" },
          h("div", { class: "tile-avatar" }, avatar, off),
          video,
          h("div", { class: "preview-controls" }, microphone.element, camera.element),
        ),
        form,
      ),
    ),
    leave() {
      clearInterval(timer);
      running?.stop();
      check.stop();
      failure.hide();
      abort.abort();
      for (const unsubscribe of subscriptions) unsubscribe();
    },
  };
}
