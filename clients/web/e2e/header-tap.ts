// A UDP path between two peers that keeps the RTP headers of one direction. SRTP leaves headers in clear, so the tap needs
// no key, and sees no payload.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

/** The header of an RTP packet. */
export interface TappedHeader {
  /** When the packet came, in ms since the first one. */
  readonly at: number;
  readonly ssrc: number;
  readonly payloadType: number;
  /** Fixed header, contributing sources and extensions. */
  readonly header: Buffer;
  /** Length of the encrypted payload, without the authentication tag. */
  readonly payloadBytes: number;
  /** The Dependency Descriptor. */
  readonly descriptor: Buffer | undefined;
}

/** Payload types that RTCP takes when it shares a port (RFC 5761 section 4). */
const RTCP_TYPES = [64, 95] as const;
/** Of AES-GCM (RFC 7714). */
const AUTHENTICATION_TAG = 16;
/** Id of the Dependency Descriptor, the same in every call. */
const DEPENDENCY_DESCRIPTOR = 4;

/** The path. It learns the sender's address from the first packet. */
export class HeaderTap {
  /** Headers of the packets towards the receiver, in order of arrival. */
  readonly headers: TappedHeader[] = [];
  #start: number | undefined;
  #sender: RemoteInfo | undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly receiver: { readonly ip: string; readonly port: number },
  ) {
    socket.on("message", (packet, from) => this.#forward(packet, from));
  }

  /** Opens a path to a receiver, on a free port of an address. */
  static async open(address: string, receiver: { ip: string; port: number }): Promise<HeaderTap> {
    const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
    socket.bind(0, address);
    await once(socket, "listening");
    return new HeaderTap(socket, receiver);
  }

  get address(): { ip: string; port: number } {
    const { address, port } = this.socket.address();
    return { ip: address, port };
  }

  close(): void {
    this.socket.close();
  }

  #forward(packet: Buffer, from: RemoteInfo): void {
    if (from.port === this.receiver.port && from.address === this.receiver.ip) {
      if (this.#sender !== undefined) this.socket.send(packet, this.#sender.port, this.#sender.address);
      return;
    }
    this.#sender = from;
    this.#note(packet);
    this.socket.send(packet, this.receiver.port, this.receiver.ip);
  }

  #note(packet: Buffer): void {
    const payloadType = packet.readUInt8(1) & 0x7f;
    const isRtp = packet.length > 12 + AUTHENTICATION_TAG && packet.readUInt8(0) >> 6 === 2;
    if (!isRtp || (payloadType >= RTCP_TYPES[0] && payloadType <= RTCP_TYPES[1])) return;
    this.#start ??= performance.now();
    const at = Math.round(performance.now() - this.#start);
    const header = headerOf(packet);
    const payloadBytes = packet.length - header.length - AUTHENTICATION_TAG;
    const descriptor = extensionOf(header, DEPENDENCY_DESCRIPTOR);
    this.headers.push({ at, ssrc: packet.readUInt32BE(8), payloadType, header, payloadBytes, descriptor });
  }
}

/** Whether a template structure is attached, which starts a key frame. */
export function hasStructure({ descriptor }: TappedHeader): boolean {
  return descriptor !== undefined && descriptor.length > 3 && (descriptor.readUInt8(3) & 0x80) !== 0;
}

function headerOf(packet: Buffer): Buffer {
  const fixed = 12 + 4 * (packet.readUInt8(0) & 0x0f);
  const extended = (packet.readUInt8(0) & 0x10) === 0 ? 0 : 4 + 4 * packet.readUInt16BE(fixed + 2);
  return Buffer.from(packet.subarray(0, fixed + extended));
}

/** Returns the value of a header extension (RFC 8285). */
function extensionOf(header: Buffer, id: number): Buffer | undefined {
  if ((header.readUInt8(0) & 0x10) === 0) return undefined;
  let at = 12 + 4 * (header.readUInt8(0) & 0x0f);
  const twoByte = header.readUInt16BE(at) !== 0xbede;
  at += 4;
  while (at + 1 < header.length) {
    const first = header.readUInt8(at);
    if (first === 0) {
      at += 1;
      continue;
    }
    const length = twoByte ? header.readUInt8(at + 1) : (first & 0x0f) + 1;
    at += twoByte ? 2 : 1;
    if ((twoByte ? first : first >> 4) === id) return header.subarray(at, at + length);
    at += length;
  }
  return undefined;
}
