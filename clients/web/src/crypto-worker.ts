// The page's end of a connection's worker.

import wasmUrl from "./e2ee/e2ee_frames.wasm?url";
import { Emitter } from "./emitter.ts";
import { TacetError } from "./errors.ts";
import type { Action } from "./worker/action.ts";
import type { FromWorker, ToWorker, TransformCounters, TransformOptions } from "./worker/messages.ts";

/** How long the worker may take to load, and to confirm a transform. */
const LOAD_TIMEOUT_MS = 15_000;
const ATTACH_TIMEOUT_MS = 10_000;

type WorkerEvents = {
  action: Action;
  attributed: { readonly id: string; readonly participant: number; readonly stream: number };
  failed: TacetError;
};

/** A transform on its way into the pipeline. */
export interface AttachedTransform {
  /** To be set on a sender or receiver at once. */
  readonly transform: RTCRtpScriptTransform;
  /** Resolves when the worker has the transform; only then may media start. */
  readonly attached: Promise<void>;
}

/** A worker with one frame-encryption session. */
export class CryptoWorker extends Emitter<WorkerEvents> {
  readonly #worker: Worker;
  readonly #attaching = new Map<string, () => void>();
  readonly #counting = new Map<number, (transforms: readonly TransformCounters[]) => void>();
  #loaded: (access: Uint8Array<ArrayBuffer>) => void = () => {};
  #nextRequest = 0;

  private constructor() {
    super();
    this.#worker = new Worker(new URL("./worker/worker.ts", import.meta.url), { type: "module", name: "tacet-frames" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    this.#worker.onerror = () => this.#fail("the worker stopped");
  }

  /**
   * Starts a worker and loads the cipher into it.
   *
   * @returns the worker, and the access token that opens the server's door (and no frame)
   * @throws {TacetError} `encryption`
   */
  static async load(invite: Uint8Array): Promise<{ worker: CryptoWorker; access: Uint8Array<ArrayBuffer> }> {
    const worker = new CryptoWorker();
    try {
      const access = await worker.#load(invite);
      return { worker, access };
    } catch (thrown) {
      worker.terminate();
      throw thrown;
    }
  }

  /** Makes the session. Its announce follows as an action. */
  start(room: Uint8Array, call: Uint8Array, name: string): void {
    this.#tell({ t: "start", room, call, name });
  }

  /** Feeds an event of `EventKind` to the session. */
  event(kind: number, body: Uint8Array): void {
    this.#tell({ t: "event", kind, body });
  }

  /** Makes a transform that seals or opens, or drops. */
  transform(options: TransformOptions): AttachedTransform {
    const attached = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#attaching.delete(options.id);
        reject(new TacetError("encryption", "The browser did not attach the encryption to a track."));
      }, ATTACH_TIMEOUT_MS);
      this.#attaching.set(options.id, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    // Whoever waits is told; nobody waiting is no fault.
    attached.catch(() => {});
    return { transform: new RTCRtpScriptTransform(this.#worker, options), attached };
  }

  /** What each transform has done so far. */
  counters(): Promise<readonly TransformCounters[]> {
    const request = this.#nextRequest++;
    return new Promise((resolve) => {
      this.#counting.set(request, resolve);
      this.#tell({ t: "counters", request });
    });
  }

  /** Ends the worker, and the keys with it. */
  terminate(): void {
    this.#worker.terminate();
    for (const resolve of this.#counting.values()) resolve([]);
    this.#counting.clear();
  }

  #load(invite: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new TacetError("encryption")), LOAD_TIMEOUT_MS);
      const off = this.on("failed", reject);
      this.#loaded = (access) => {
        clearTimeout(timer);
        off();
        resolve(access);
      };
      this.#tell({ t: "load", wasm: new URL(wasmUrl, location.href).href, invite });
    });
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    switch (message.t) {
      case "loaded":
        this.#loaded(message.access);
        break;
      case "failed":
        this.#fail(message.detail);
        break;
      case "action":
        this.emit("action", message.action);
        break;
      case "attached":
        this.#attaching.get(message.id)?.();
        this.#attaching.delete(message.id);
        break;
      case "attributed":
        this.emit("attributed", message);
        break;
      case "counters":
        this.#counting.get(message.request)?.(message.transforms);
        this.#counting.delete(message.request);
        break;
    }
  }

  #fail(detail: string): void {
    this.emit("failed", new TacetError("encryption", `Encryption failed: ${detail}.`));
  }
}
