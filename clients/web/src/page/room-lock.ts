// One tab of a browser is in a room at a time. Two would play and record each other.
//
// The tab in the call holds a lock of the room's name (Web Locks API, section 2). A tab that takes the call over steals
// it, and the first one learns that the lock is lost.

/** The lock of a room, while this tab holds it. */
export class RoomLock {
  readonly #release: () => void;
  /** Resolves when another tab has taken the lock. */
  readonly lost: Promise<void>;

  private constructor(release: () => void, lost: Promise<void>) {
    this.#release = release;
    this.lost = lost;
  }

  /** Takes the lock, or returns `null` if another tab keeps it for longer than `waitMs`. */
  static request(room: string, waitMs = 0): Promise<RoomLock | null> {
    const options = waitMs === 0 ? { ifAvailable: true } : { signal: AbortSignal.timeout(waitMs) };
    return RoomLock.#hold(room, options);
  }

  /** Takes the lock from the tab that has it. */
  static take(room: string): Promise<RoomLock | null> {
    return RoomLock.#hold(room, { steal: true });
  }

  /** Whether a tab of this browser holds the lock. */
  static async held(room: string): Promise<boolean> {
    const { held = [] } = (await locks()?.query()) ?? {};
    return held.some(({ name }) => name === lockName(room));
  }

  /** Releases the lock. */
  release(): void {
    this.#release();
  }

  static #hold(room: string, options: LockOptions): Promise<RoomLock | null> {
    const manager = locks();
    // Without the API, tabs can't be distinguished.
    if (manager === undefined) return Promise.resolve(new RoomLock(() => {}, new Promise(() => {})));
    return new Promise((resolve) => {
      let take: () => void = () => {};
      const lost = new Promise<void>((taken) => {
        take = taken;
      });
      manager
        .request(lockName(room), options, (lock) => {
          if (lock === null) {
            resolve(null);
            return undefined;
          }
          return new Promise<void>((release) => resolve(new RoomLock(release, lost)));
        })
        // Rejects if the wait is over, which is the answer to the request, or if the lock was stolen later.
        .catch(() => {
          resolve(null);
          take();
        });
    });
  }
}

function lockName(room: string): string {
  return `tacet room ${room}`;
}

function locks(): LockManager | undefined {
  return "locks" in navigator ? navigator.locks : undefined;
}
