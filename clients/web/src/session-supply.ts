// Sessions that are loaded and not started, so that joining again needs no time for it. The first one derives the guest
// access.

import { CryptoSession } from "./crypto-session.ts";
import type { Signaling } from "./protocol/signaling.ts";

/** The sessions of one connection. */
export class SessionSupply {
  readonly #secret: Uint8Array;
  readonly #signaling: Signaling;
  readonly #given: Uint8Array | undefined;
  #guestAccess: Uint8Array | undefined;
  #spare: CryptoSession | undefined;
  #closed = false;

  /** @param guestAccess access to show instead of the one that is derived from the secret */
  constructor(secret: Uint8Array, signaling: Signaling, guestAccess: Uint8Array | undefined) {
    this.#secret = secret;
    this.#signaling = signaling;
    this.#given = guestAccess;
  }

  /**
   * What the server is shown; derived by the first session.
   *
   * @throws {TacetError} if no session can be loaded
   */
  async guestAccess(): Promise<Uint8Array> {
    if (this.#guestAccess === undefined) await this.#load();
    return this.#guestAccess ?? new Uint8Array(0);
  }

  /**
   * Loads a session ahead, so that `take` has one at hand.
   *
   * @throws {TacetError} if no session can be loaded
   */
  async ready(): Promise<void> {
    await this.#load();
  }

  /**
   * Takes a session out of the supply.
   *
   * @throws {TacetError} if no session can be loaded
   */
  async take(): Promise<CryptoSession> {
    const session = await this.#load();
    this.#spare = undefined;
    return session;
  }

  /** Stops the worker of a session that no one took. */
  close(): void {
    this.#closed = true;
    this.#spare?.close();
  }

  async #load(): Promise<CryptoSession> {
    if (this.#spare?.over === null) return this.#spare;
    this.#spare?.close();
    this.#spare = undefined;
    const { session, guestAccess } = await CryptoSession.load(this.#secret, this.#signaling);
    this.#guestAccess = this.#given ?? guestAccess;
    this.#spare = session;
    if (this.#closed) session.close();
    return session;
  }
}
