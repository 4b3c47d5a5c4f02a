// The key schedule: what is derived from the invite secret and from a sender's key K.

import { type Bytes, join, text, toNumber, u8, u16, u32 } from "./bytes.ts";
import { hkdf, SUITE } from "./sframe.ts";

/** Sender keys. */
export const POLICY = 0;

export interface Call {
  readonly room: Bytes;
  readonly call: Bytes;
}

export interface Epoch {
  readonly generation: number;
  readonly step: number;
}

export async function sha256(...parts: readonly Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
}

/** Derives a key from the invite secret. `access` is shown to the server. */
export function inviteKey(invite: Bytes, purpose: "access" | "announce" | "display"): Promise<Bytes> {
  return hkdf(invite, text("e2ee-frames/1 invite"), text(purpose), 32);
}

export function joinId({ room, call }: Call, device: Bytes, incarnation: Bytes): Promise<Bytes> {
  return sha256(text("e2ee-frames/1 join"), room, call, device, incarnation);
}

/** Returns the KID of a stream: step, generation mod 8, seat, stream. */
export function kidOf({ generation, step }: Epoch, seat: number, stream: number): bigint {
  return BigInt(step) | (BigInt(generation % 8) << 3n) | (BigInt(seat) << 6n) | (BigInt(stream) << 18n);
}

export function kidFields(kid: bigint): { step: number; generation: number; seat: number; stream: number } {
  return {
    step: Number(kid & 7n),
    generation: Number((kid >> 3n) & 7n),
    seat: Number((kid >> 6n) & 0xfffn),
    stream: Number(kid >> 18n),
  };
}

/** A sender's session key at one epoch. */
export class SessionKey {
  constructor(
    readonly secret: Bytes,
    readonly epoch: Epoch,
    /** Of the sender. */
    readonly joinId: Bytes,
    readonly call: Call,
  ) {}

  /** Context to which every derived key is bound. */
  context(): Promise<Bytes> {
    const { generation, step } = this.epoch;
    const { room, call } = this.call;
    const epoch = [u32(generation), u8(step)];
    return sha256(text("e2ee-frames/1 ctx"), u16(SUITE), u8(POLICY), room, call, this.joinId, ...epoch);
  }

  async #expand(label: string, length: number, ...more: readonly Bytes[]): Promise<Bytes> {
    return hkdf(this.secret, text("e2ee-frames/1"), join(text(label), await this.context(), ...more), length);
  }

  commitment(): Promise<Bytes> {
    return this.#expand("key commitment", 32);
  }

  baseKey(): Promise<Bytes> {
    return this.#expand("sframe base key", 64, this.joinId);
  }

  async ratcheted(): Promise<SessionKey> {
    const { generation, step } = this.epoch;
    if (step === 7) throw new RangeError("the eighth step is a new generation");
    return new SessionKey(await this.#expand("ratchet", 32), { generation, step: step + 1 }, this.joinId, this.call);
  }

  async at(step: number): Promise<SessionKey> {
    return step <= this.epoch.step ? this : (await this.ratcheted()).at(step);
  }
}

/** Returns the hash of the join ids of all devices in the call, in any order. */
export function rosterHash(joinIds: readonly Bytes[]): Promise<Bytes> {
  return sha256(text("e2ee-frames/1 roster"), ...[...joinIds].sort(Buffer.compare));
}

/** Returns the call code, which is equal for all devices with the same roster. */
export async function callCode({ room, call }: Call, joinIds: readonly Bytes[]): Promise<Bytes> {
  return hkdf(await rosterHash(joinIds), text("e2ee-frames/1 call code"), join(u8(POLICY), room, call), 32);
}

/** Formats a call code as digits to be read aloud. */
export function callCodeDigits(code: Bytes): string {
  const groups = [0, 1, 2, 3, 4, 5].map((group) => toNumber(code.subarray(5 * group, 5 * group + 5)) % 100_000n);
  return groups.map((group) => `${group}`.padStart(5, "0")).join(" ");
}
