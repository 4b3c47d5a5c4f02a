// This device's microphone and camera: opened only while they are wanted, so that their lights tell the truth.

import { openCamera, openMicrophone } from "../devices.ts";
import { Emitter } from "../emitter.ts";
import { asTacetError, type TacetError } from "../errors.ts";
import { recall, remember } from "./preferences.ts";

/** A kind of device. */
export type Device = "microphone" | "camera";

type LocalMediaEvents = {
  /** A track came or went. */
  changed: Device;
  /** A device cannot be used. */
  failed: { readonly device: Device; readonly error: TacetError };
};

const OPEN = { microphone: openMicrophone, camera: openCamera };

/** Microphone and camera. */
export class LocalMedia extends Emitter<LocalMediaEvents> {
  readonly #tracks: Record<Device, MediaStreamTrack | null> = { microphone: null, camera: null };
  /** Which use of a device is the latest: an older one that ends later is dropped. */
  readonly #uses: Record<Device, number> = { microphone: 0, camera: 0 };

  /** The open track of a device. */
  track(device: Device): MediaStreamTrack | null {
    return this.#tracks[device];
  }

  /** Opens or closes a device. A failure is told as an event, and leaves it closed. */
  async set(device: Device, on: boolean): Promise<void> {
    this.#uses[device] += 1;
    const use = this.#uses[device];
    if (!on) {
      this.#replace(device, null);
      return;
    }
    if (this.#tracks[device] !== null) return;
    try {
      const deviceId = recall(device);
      const track = await OPEN[device](deviceId === "" ? {} : { deviceId: { ideal: deviceId } });
      if (use !== this.#uses[device]) {
        track.stop();
        return;
      }
      track.onended = () => this.#replace(device, null);
      this.#replace(device, track);
    } catch (thrown) {
      this.emit("failed", { device, error: asTacetError(thrown, "device") });
    }
  }

  /** Chooses which device to use, now if it is open and from now on. */
  async choose(device: Device, deviceId: string): Promise<void> {
    remember(device, deviceId);
    if (this.#tracks[device] === null) return;
    await this.set(device, false);
    await this.set(device, true);
  }

  /** The connected devices. Browsers name them only after one was allowed. */
  async list(device: Device): Promise<MediaDeviceInfo[]> {
    const kind = device === "microphone" ? "audioinput" : "videoinput";
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter((info) => info.kind === kind && info.deviceId !== "");
  }

  /** Closes both. */
  stop(): void {
    void this.set("microphone", false);
    void this.set("camera", false);
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
