// The page's handle of a session's worker, in which frames are sealed and opened.

import { type CryptoCode, loadCode } from "./crypto-code.ts";
import type { ResumeStatement } from "./e2ee/wasm.ts";
import { Emitter } from "./emitter.ts";
import { TacetError } from "./errors.ts";
import { withinTime } from "./time-limit.ts";
import type { Action, EventKind } from "./worker/action.ts";
import type { FrameOrigin } from "./worker/engine.ts";
import type {
  FromWorker,
  Pulse,
  SessionOptions,
  ToWorker,
  TransformCounters,
  TransformOptions,
} from "./worker/messages.ts";
import { lockName, WorkerLife } from "./worker-life.ts";

/** How long the worker may take to start. Nothing is fetched for it. */
const START_TIMEOUT_MS = 10_000;
/** How long the worker may take to answer for its counters. */
const ANSWER_TIMEOUT_MS = 2_000;
/** How long the worker may take to confirm a transform. */
const ATTACH_TIMEOUT_MS = 10_000;

type WorkerEvents = {
  action: Action;
  /** The frames of a receiver are now authenticated as this participant's stream. */
  authenticated: { readonly id: string; readonly origin: FrameOrigin };
  pulse: Pulse;
  failed: TacetError;
};

/** A transform that is being attached. */
export interface AttachedTransform {
  /** To be set on a sender or receiver immediately. */
  readonly transform: RTCRtpScriptTransform;
  /** Resolves when the worker has the transform. Media must not start before. */
  readonly attached: Promise<void>;
}

/** A worker with one frame-encryption session. */
export class CryptoWorker extends Emitter<WorkerEvents> {
  readonly #worker: Worker;
  readonly #attaching = new Map<string, () => void>();
  readonly #proving = new Map<number, (proof: Uint8Array<ArrayBuffer> | null) => void>();
  readonly #counting = new Map<number, (transforms: readonly TransformCounters[] | null) => void>();
  /** Resolves the load; absent once the worker has loaded. */
  #loaded: ((guestAccess: Uint8Array<ArrayBuffer>, locked: boolean) => void) | undefined;
  #nextRequest = 0;
  #life: WorkerLife | undefined;
  #stopped = false;

  private constructor(script: string) {
    super();
    this.#worker = new Worker(script, { type: "module", name: "tacet-frames" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    this.#worker.onerror = () => this.#fail("its worker crashed");
    this.#worker.onmessageerror = () => this.#fail("its worker sent what cannot be read");
  }

  /**
   * Starts a worker with the page's code, which is fetched if that has not been done before.
   *
   * @returns the worker, and the guest access to show to the server; no frame can be opened with it
   * @throws {TacetError} `offline` or `server-unreachable` if the code cannot be fetched, `encryption` if it does not run
   */
  static async load(invite: Uint8Array): Promise<{ worker: CryptoWorker; guestAccess: Uint8Array<ArrayBuffer> }> {
    const code = await loadCode();
    const worker = new CryptoWorker(code.script);
    try {
      const guestAccess = await worker.#load(code, invite);
      return { worker, guestAccess };
    } catch (thrown) {
      worker.terminate();
      throw thrown;
    }
  }

  /** Creates the session. Its announce follows as an action. */
  start(options: SessionOptions): void {
    this.#post({ t: "start", ...options });
  }

  /** Passes an event to the session. */
  event(kind: EventKind, body: Uint8Array): void {
    this.#post({ t: "event", kind, body });
  }

  /** Signs a resume statement. Returns `null` if there is no session, or the worker has stopped. */
  prove(statement: ResumeStatement): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#stopped) return Promise.resolve(null);
    const request = this.#nextRequest++;
    return new Promise((resolve) => {
      this.#proving.set(request, resolve);
      this.#post({ t: "prove", request, statement });
    });
  }

  /** Drops the transforms of a closed media path. */
  forget(ids: readonly string[]): void {
    this.#post({ t: "forget", ids });
  }

  /** Creates a transform that seals or opens every frame, or drops it. */
  transform(options: TransformOptions): AttachedTransform {
    const attached = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#attaching.delete(options.id);
        reject(new TacetError("encryption", "The browser did not attach encryption to a track in time."));
      }, ATTACH_TIMEOUT_MS);
      this.#attaching.set(options.id, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    // Callers that await it still get the rejection; without one it must not count as unhandled.
    attached.catch(() => {});
    return { transform: new RTCRtpScriptTransform(this.#worker, options), attached };
  }

  /**
   * Returns the counters of every transform.
   *
   * @throws {TacetError} `encryption` if the worker does not answer in time, or has stopped
   */
  counters(): Promise<readonly TransformCounters[]> {
    const silent = new TacetError("encryption", "The encryption code does not answer.");
    if (this.#stopped) return Promise.reject(silent);
    const request = this.#nextRequest++;
    const counted = new Promise<readonly TransformCounters[]>((resolve, reject) => {
      this.#counting.set(request, (transforms) => (transforms === null ? reject(silent) : resolve(transforms)));
      this.#post({ t: "counters", request });
    });
    return withinTime(counted, ANSWER_TIMEOUT_MS, silent).finally(() => this.#counting.delete(request));
  }

  /** Stops the worker, which erases its keys. */
  terminate(): void {
    this.#stop();
  }

  #load({ module }: CryptoCode, invite: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new TacetError("encryption", "The encryption code did not start in time."));
      }, START_TIMEOUT_MS);
      const off = this.on("failed", reject);
      const lock = lockName();
      this.#loaded = (guestAccess, locked) => {
        clearTimeout(timer);
        off();
        this.#watch(locked ? lock : null);
        resolve(guestAccess);
      };
      this.#post({ t: "load", module, invite, lock });
    });
  }

  #watch(lock: string | null): void {
    this.#life = new WorkerLife(lock, {
      ask: () => this.#post({ t: "ask" }),
      lost: (how) => this.#fail(how === "died" ? "its worker ended" : "its worker does not answer"),
    });
  }

  /** Ends the worker, and settles what it will not answer any more. */
  #stop(): void {
    this.#stopped = true;
    this.#life?.stop();
    this.#worker.terminate();
    for (const settle of this.#counting.values()) settle(null);
    for (const resolve of this.#proving.values()) resolve(null);
    this.#proving.clear();
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    this.#life?.heard();
    switch (message.t) {
      case "loaded":
        this.#loaded?.(message.guestAccess, message.locked);
        this.#loaded = undefined;
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
      case "authenticated":
        this.emit("authenticated", message);
        break;
      case "proof":
        this.#proving.get(message.request)?.(message.proof);
        this.#proving.delete(message.request);
        break;
      case "pulse":
        this.emit("pulse", message);
        break;
      case "counters":
        this.#counting.get(message.request)?.(message.transforms);
        break;
      case "alive":
        break;
    }
  }

  #fail(detail: string): void {
    if (this.#stopped) return;
    this.#stop();
    const what = this.#loaded === undefined ? "Encryption stopped" : "The encryption code could not be started";
    this.emit("failed", new TacetError("encryption", `${what}: ${detail}.`));
  }
}
