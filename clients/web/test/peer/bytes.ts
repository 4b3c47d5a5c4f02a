// Byte strings as the protocol encodes them: big endian.

export type Bytes = Uint8Array<ArrayBuffer>;

export function join(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function number(value: bigint | number, length: number): Bytes {
  const bytes = new Uint8Array(length);
  let rest = BigInt(value);
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

export const u8 = (value: number): Bytes => number(value, 1);
export const u16 = (value: number): Bytes => number(value, 2);
export const u32 = (value: number): Bytes => number(value, 4);
export const u64 = (value: bigint | number): Bytes => number(value, 8);

export function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

export const text = (value: string): Bytes => new TextEncoder().encode(value);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const fromHex = (value: string): Bytes => new Uint8Array(Buffer.from(value, "hex"));

export function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function flipped(bytes: Uint8Array, bit: number): Bytes {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

/** Reads fields one after the other. Throws if there are not enough bytes. */
export class Reader {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  take(length: number): Bytes {
    const taken = this.bytes.slice(this.#at, this.#at + length) as Bytes;
    if (taken.length !== length) throw new RangeError("truncated");
    this.#at += length;
    return taken;
  }

  number(length: number): number {
    return Number(toNumber(this.take(length)));
  }

  end(): void {
    if (this.#at !== this.bytes.length) throw new RangeError("bytes left over");
  }
}
