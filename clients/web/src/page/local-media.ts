// This device's microphone and camera. They are open only while they are in use, so that their indicator lights are
// accurate.

import { openCamera, openMicrophone } from "../devices.ts";
import { Emitter } from "../emitter.ts";
import { asTacetError, TacetError } from "../errors.ts";
import { recall, remember } from "./preferences.ts";

/** A kind of device. */
export type Device = "microphone" | "camera";

type LocalMediaEvents = {
  /** The device was opened or closed. */
  changed: Device;
  /** A device cannot be used. */
  failed: { readonly device: Device; readonly error: TacetError };
};

const OPEN = { microphone: openMicrophone, camera: openCamera };

/** The microphone and the camera. */
export class LocalMedia extends Emitter<LocalMediaEvents> {
  readonly #tracks: Record<Device, MediaStreamTrack | null> = { microphone: null, camera: null };
  /** Number of the latest request for each device. Results of older requests are dropped. */
  readonly #requests: Record<Device, number> = { microphone: 0, camera: 0 };

  /** Returns the track of a device, or `null` while it is closed. */
  track(device: Device): MediaStreamTrack | null {
    return this.#tracks[device];
  }

  /** Opens or closes a device. If opening fails, `failed` is emitted and the device stays closed. */
  async set(device: Device, on: boolean): Promise<void> {
    this.#requests[device] += 1;
    const request = this.#requests[device];
    if (!on) {
      this.#replace(device, null);
      return;
    }
    if (this.#tracks[device] !== null) return;
    try {
      const deviceId = recall(device);
      const track = await OPEN[device](deviceId === "" ? {} : { deviceId: { ideal: deviceId } });
      if (request !== this.#requests[device]) {
        track.stop();
        return;
      }
      track.onended = () => this.#lose(device);
      this.#replace(device, track);
    } catch (thrown) {
      this.emit("failed", { device, error: asTacetError(thrown, "device") });
    }
  }

  /** Selects the device to use from now on. If one is open, it is replaced. */
  async choose(device: Device, deviceId: string): Promise<void> {
    remember(device, deviceId);
    if (this.#tracks[device] === null) return;
    await this.set(device, false);
    await this.set(device, true);
  }

  /** Lists the connected devices. Browsers reveal their names only after access to one was granted. */
  async list(device: Device): Promise<MediaDeviceInfo[]> {
    const kind = device === "microphone" ? "audioinput" : "videoinput";
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter((info) => info.kind === kind && info.deviceId !== "");
  }

  /** Closes both devices. */
  stop(): void {
    void this.set("microphone", false);
    void this.set("camera", false);
  }

  /** The device went away by itself: it was unplugged, or its permission was withdrawn. */
  #lose(device: Device): void {
    this.#replace(device, null);
    this.emit("failed", { device, error: new TacetError("device", `The ${device} was disconnected.`) });
  }

  #replace(device: Device, track: MediaStreamTrack | null): void {
    const old = this.#tracks[device];
    if (old === track) return;
    if (old !== null) {
      old.onended = null;
      old.stop();
    }
    this.#tracks[device] = track;
    this.emit("changed", device);
  }
}
