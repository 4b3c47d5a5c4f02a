// Key batches: a header in the clear, and for each recipient a box with K and the context.

import { type Bytes, equal, join, Reader, text, toNumber, u8, u16, u32, u64 } from "./bytes.ts";
import type { NaclBox } from "./nacl-box.ts";
import { type Call, type Epoch, kidOf, POLICY, SessionKey, sha256 } from "./schedule.ts";
import { SUITE } from "./sframe.ts";

export const HEADER_BYTES = 171;
export const ENTRY_BYTES = 86;
/** The header without the count. */
const BOUND_BYTES = 169;

export interface BatchHeader {
  readonly call: Call;
  readonly seat: number;
  /** First half of the sender's join id. */
  readonly joinId: Bytes;
  readonly announceSeq: number;
  readonly epoch: Epoch;
  readonly reason: number;
  readonly created: number;
  readonly rosterHash: Bytes;
  readonly commitment: Bytes;
  readonly nonce: Bytes;
}

export function writeHeader(header: BatchHeader, count: number): Bytes {
  return join(
    u16(1),
    u8(1),
    u16(SUITE),
    u8(POLICY),
    header.call.room,
    header.call.call,
    u16(header.seat),
    header.joinId,
    u32(header.announceSeq),
    u32(header.epoch.generation),
    u64(kidOf(header.epoch, header.seat, 0)),
    u8(header.reason),
    u64(header.created),
    header.rosterHash,
    header.commitment,
    header.nonce,
    u16(count),
  );
}

/** @throws if the header is not of this version, suite and policy, or contradicts itself */
export function readHeader(bytes: Uint8Array): BatchHeader {
  const reader = new Reader(bytes);
  const kind = [reader.number(2), reader.number(1), reader.number(2), reader.number(1)];
  if (kind.join() !== [1, 1, SUITE, POLICY].join()) throw new Error("unsupported");
  const call = { room: reader.take(16), call: reader.take(16) };
  const [seat, joinId, announceSeq] = [reader.number(2), reader.take(16), reader.number(4)];
  const [generation, kid] = [reader.number(4), toNumber(reader.take(8))];
  const epoch = { generation, step: Number(kid & 7n) };
  if (kidOf(epoch, seat, 0) !== kid) throw new Error("kid");
  const [reason, created] = [reader.number(1), reader.number(8)];
  const [rosterHash, commitment, nonce] = [reader.take(32), reader.take(32), reader.take(24)];
  reader.number(2);
  reader.end();
  return { call, seat, joinId, announceSeq, epoch, reason, created, rosterHash, commitment, nonce };
}

/** The two ends of a box: join ids and announce hashes. */
export interface Ends {
  readonly sender: Bytes;
  readonly recipient: Bytes;
  readonly senderAnnounce: Bytes;
  readonly recipientAnnounce: Bytes;
}

export function boxContext(header: Uint8Array, ends: Ends): Promise<Bytes> {
  const bound = header.subarray(0, BOUND_BYTES);
  const { sender, recipient, senderAnnounce, recipientAnnounce } = ends;
  return sha256(text("e2ee-frames/1 key"), bound, sender, recipient, senderAnnounce, recipientAnnounce);
}

/** Keys of a box: the other device's public key, and this device's secret key. */
export interface BoxKeys {
  readonly box: NaclBox;
  readonly theirs: Bytes;
  readonly secret: Bytes;
}

export async function writeEntry(
  header: Bytes,
  nonce: Bytes,
  recipient: { readonly seat: number; readonly announceSeq: number },
  ends: Ends,
  { box, theirs, secret }: BoxKeys,
  key: SessionKey,
): Promise<Bytes> {
  const plain = join(key.secret, await boxContext(header, ends));
  return join(u16(recipient.seat), u32(recipient.announceSeq), box.seal(plain, nonce, theirs, secret));
}

/** Opens an entry. @throws if it is from another sender, for another recipient or context, or not the committed key */
export async function openEntry(
  headerBytes: Uint8Array,
  entry: Uint8Array,
  ends: Ends,
  { box, theirs, secret }: BoxKeys,
): Promise<SessionKey> {
  const header = readHeader(headerBytes);
  const plain = box.open(entry.slice(6) as Bytes, header.nonce, theirs, secret);
  if (plain.length !== 64) throw new Error("length");
  if (!equal(plain.subarray(32), await boxContext(headerBytes, ends))) throw new Error("context");
  const key = new SessionKey(plain.slice(0, 32), header.epoch, ends.sender, header.call);
  if (!equal(await key.commitment(), header.commitment)) throw new Error("commitment");
  return key;
}
