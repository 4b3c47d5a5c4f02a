"""The protocol e2ee-frames/1 on its own, written from its description: SFrame, envelopes, announces, key batches.

Shares no code with the Rust crate: nacl.box and Ed25519 are libsodium's (PyNaCl), the rest OpenSSL's (cryptography).
"""

import hashlib
import hmac
from dataclasses import dataclass

import nacl.public
import nacl.signing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SUITE = 5
POLICY = 0
CODECS = {"opus": 0, "vp8": 1, "vp9": 2, "av1": 3, "h264": 4}
KINDS = {"delta": 0, "key": 1}


class Refused(Exception):
    """Input that a device must not accept."""


def u8(number):
    return number.to_bytes(1, "big")


def u16(number):
    return number.to_bytes(2, "big")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def fields(data, *sizes):
    """Cuts bytes into fields of these sizes, which they must fill."""
    if len(data) != sum(sizes):
        raise Refused("length")
    cut, start = [], 0
    for size in sizes:
        cut.append(data[start : start + size])
        start += size
    return cut


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def extract(salt, secret, digest="sha512"):
    return hmac.digest(salt, secret, digest)


def expand(prk, info, length, algorithm=None):
    return HKDFExpand(algorithm or SHA512(), length, info).derive(prk)


def x25519_public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def x25519(secret, public):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


# SFrame (RFC 9605).


def pack_kid(step, generation, seat, stream):
    return step | generation % 8 << 3 | seat << 6 | stream << 18


def sframe_header(kid, ctr):
    config, values = 0, b""
    for value, shift in ((kid, 4), (ctr, 0)):
        if value < 8:
            config |= value << shift
        else:
            length = (value.bit_length() + 7) // 8
            config |= (8 | length - 1) << shift
            values += value.to_bytes(length, "big")
    return u8(config) + values


def parse_sframe_header(frame):
    """KID, CTR and the length of the header."""
    numbers, end = [], 1
    for part in (frame[0] >> 4, frame[0] & 15):
        if part & 8:
            length = (part & 7) + 1
            numbers.append(int.from_bytes(frame[end : end + length], "big"))
            end += length
        else:
            numbers.append(part)
    kid, ctr = numbers
    if frame[:end] != sframe_header(kid, ctr):
        raise Refused("header is not minimal")
    return kid, ctr, end


def sframe_keys(base_key, kid, suite=SUITE, key_bytes=32):
    """Key and salt of a KID."""
    digest, algorithm = ("sha512", SHA512()) if suite == 5 else ("sha256", SHA256())
    secret = extract(b"", base_key, digest)
    label = u64(kid) + u16(suite)
    key = expand(secret, b"SFrame 1.0 Secret key " + label, key_bytes, algorithm)
    return key, expand(secret, b"SFrame 1.0 Secret salt " + label, 12, algorithm)


def sframe_nonce(salt, ctr):
    return (int.from_bytes(salt, "big") ^ ctr).to_bytes(12, "big")


def sframe_seal(key, salt, kid, ctr, metadata, plain):
    header = sframe_header(kid, ctr)
    return header + AESGCM(key).encrypt(sframe_nonce(salt, ctr), plain, header + metadata)


def sframe_open(key, salt, metadata, frame):
    _, ctr, end = parse_sframe_header(frame)
    return AESGCM(key).decrypt(sframe_nonce(salt, ctr), frame[end:], frame[:end] + metadata)


# Envelopes.

VP8 = {"key": bytes.fromhex("1000009d012a4001b400"), "delta": bytes.fromhex("11")}
AV1 = {"key": bytes.fromhex("0a0b000000043cffbcfbf9804032"), "delta": bytes.fromhex("32")}
H264 = {
    "key": bytes.fromhex("000000016742c01f8c8d40501ed00f08846a0000000168ce3c8000000001658884"),
    "delta": bytes.fromhex("00000001419a84"),
}


def metadata(codec, kind):
    shown = 0 if codec in ("opus", "vp9") else KINDS[kind]
    return bytes([0xC1, CODECS[codec], shown])


CHAT_TYPES = {1: 4096, 2: 64}


def chat_metadata(chat_id):
    return b"e2ee-frames/1 app data" + chat_id


def chat_content(kind, text):
    """What is sealed: type1 || length2 || text, padded with zeros to a power of two of at least 64 bytes."""
    said = text.encode()
    if not 0 < len(said) <= CHAT_TYPES[kind] or b"\0" in said:
        raise Refused("chat content")
    padded = max(64, 1 << (len(said) - 1).bit_length())
    return u8(kind) + u16(len(said)) + said.ljust(padded, b"\0")


def read_chat(content):
    kind, length = content[0], int.from_bytes(content[1:3], "big")
    text = content[3 : 3 + length].decode()
    if chat_content(kind, text) != content:
        raise Refused("chat content")
    return kind, text


def leb128(number):
    out = b""
    while number > 0x7F:
        out += u8(number & 0x7F | 0x80)
        number >>= 7
    return out + u8(number)


def escape(content):
    out, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)


def unescape(content):
    out, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)


def wrap(codec, kind, sframe):
    """Puts an SFrame ciphertext into the envelope of its codec."""
    if codec == "vp8":
        return VP8[kind] + sframe
    if codec == "av1":
        return AV1[kind] + leb128(len(sframe)) + sframe
    if codec == "h264":
        return H264[kind] + escape(sframe) + b"\x80"
    return sframe


def unwrap(codec, kind, frame):
    """Removes the envelope, which must be that of this kind."""
    prefix = {"vp8": VP8, "av1": AV1, "h264": H264}.get(codec, {}).get(kind, b"")
    if not frame.startswith(prefix):
        raise Refused("envelope")
    content = frame[len(prefix) :]
    if codec == "av1":
        size = next(index for index, byte in enumerate(content) if byte < 0x80) + 1
        content = content[size:]
    if codec == "h264":
        content = unescape(content[:-1])
    if wrap(codec, kind, content) != frame:
        raise Refused("envelope")
    return content


# Profile N: RTP payloads (draft-ietf-avtcore-rtp-sframe-02), each with a descriptor S, E, T.

START, END, PACKETIZED = 0x80, 0x40, 0x20


def payloads(sframe, max_payload, packetized):
    """Fragments an SFrame ciphertext."""
    pieces = [sframe[start : start + max_payload - 1] for start in range(0, len(sframe), max_payload - 1)]
    descriptors = [PACKETIZED if packetized else 0 for _ in pieces]
    descriptors[0] |= START
    descriptors[-1] |= END
    return [u8(descriptor) + piece for descriptor, piece in zip(descriptors, pieces, strict=True)]


def assemble(packets):
    """The SFrame ciphertext of all its payloads in order, and whether it is packetized."""
    descriptors = [packet[0] & (START | END | PACKETIZED) for packet in packets]
    edges = [descriptor & (START | END) for descriptor in descriptors]
    expected = [0] * len(packets)
    expected[0] |= START
    expected[-1] |= END
    packetized = {descriptor & PACKETIZED for descriptor in descriptors}
    if edges != expected or len(packetized) != 1:
        raise Refused("descriptors")
    return b"".join(packet[1:] for packet in packets), PACKETIZED in packetized


# Who is in the call.


def invite_key(secret, purpose):
    return expand(extract(b"e2ee-frames/1 invite", secret), purpose.encode(), 32)


@dataclass
class Call:
    """Room, call and invite secret, which all devices share."""

    room: bytes
    call: bytes
    invite: bytes

    def join_id(self, device, incarnation):
        return sha256(b"e2ee-frames/1 join", self.room, self.call, device, incarnation)


ANNOUNCE_FIELDS = (1, 1, 16, 16, 32, 16, 32, 32, 32, 4, 4, 8, 8, 64, 32)
ANNOUNCE_BYTES = sum(ANNOUNCE_FIELDS)


@dataclass
class Announced:
    """What other devices know about a device."""

    device: bytes
    join_id: bytes
    ephemeral: bytes
    seq: int
    announce: bytes
    sealed_name: bytes
    name: str

    @property
    def hash(self):
        return sha256(self.announce)


def seal_name(call, join_id, name, nonce):
    return nonce + AESGCM(invite_key(call.invite, "display")).encrypt(nonce, name.encode(), join_id)


def write_announce(call, signing_seed, incarnation, ephemeral_secret, sealed_name, seq, not_before, not_after):
    signing = nacl.signing.SigningKey(signing_seed)
    body = b"".join((u8(1), u8(1), call.room, call.call, bytes(signing.verify_key), incarnation))
    body += x25519_public(ephemeral_secret) + bytes(32) + sha256(sealed_name)
    body += u32(1) + u32(seq) + u64(not_before) + u64(not_after)
    body += signing.sign(b"e2ee-frames/1 announce" + body).signature
    return body + hmac.digest(invite_key(call.invite, "announce"), body, "sha256")


def verify_announce(call, announce, sealed_name):
    """Everything but the clock; raises if any of it is wrong."""
    _, auth, room, name_of_call, device, incarnation, ephemeral, _, display_hash, _, seq, _, _, signature, mac = fields(
        announce, *ANNOUNCE_FIELDS
    )
    if announce[0] != 1 or auth not in (b"\x01", b"\x03") or (room, name_of_call) != (call.room, call.call):
        raise Refused("call")
    if not hmac.compare_digest(hmac.digest(invite_key(call.invite, "announce"), announce[:266], "sha256"), mac):
        raise Refused("invite")
    nacl.signing.VerifyKey(device).verify(b"e2ee-frames/1 announce" + announce[:202], signature)
    if sha256(sealed_name) != display_hash:
        raise Refused("name")
    join_id = call.join_id(device, incarnation)
    name = AESGCM(invite_key(call.invite, "display")).decrypt(sealed_name[:12], sealed_name[12:], join_id).decode()
    return Announced(device, join_id, ephemeral, int.from_bytes(seq, "big"), announce, sealed_name, name)


def roster_hash(join_ids):
    return sha256(b"e2ee-frames/1 roster", *sorted(join_ids))


def call_code(call, join_ids):
    prk = extract(b"e2ee-frames/1 call code", roster_hash(join_ids))
    return expand(prk, u8(POLICY) + call.room + call.call, 32)


def call_code_digits(code):
    groups = [int.from_bytes(code[start : start + 5], "big") % 100_000 for start in range(0, 30, 5)]
    return " ".join(f"{group:05}" for group in groups)


# Keys.


@dataclass
class SessionKey:
    """A sender's key K at one generation and step."""

    call: Call
    sender: bytes
    generation: int
    step: int
    secret: bytes

    @property
    def prk(self):
        return extract(b"e2ee-frames/1", self.secret)

    @property
    def context(self):
        epoch = u32(self.generation) + u8(self.step)
        suite = u16(SUITE) + u8(POLICY)
        return sha256(b"e2ee-frames/1 ctx", suite, self.call.room, self.call.call, self.sender, epoch)

    @property
    def commitment(self):
        return expand(self.prk, b"key commitment" + self.context, 32)

    @property
    def base_key(self):
        return expand(self.prk, b"sframe base key" + self.context + self.sender, 64)

    def next_step(self):
        secret = expand(self.prk, b"ratchet" + self.context, 32)
        return SessionKey(self.call, self.sender, self.generation, self.step + 1, secret)

    def frame_keys(self, seat, stream):
        kid = pack_kid(self.step, self.generation, seat, stream)
        return kid, *sframe_keys(self.base_key, kid)


BATCH_HEADER_FIELDS = (2, 1, 2, 1, 16, 16, 2, 16, 4, 4, 8, 1, 8, 32, 32, 24, 2)
BATCH_HEADER_BYTES = sum(BATCH_HEADER_FIELDS)
BATCH_ENTRY_BYTES = 86


def write_batch_header(key, seat, announce_seq, reason, created, roster, nonce, count, commitment=None):
    """`roster` is its hash; `commitment` is the key's unless a sender lies."""
    header = u16(1) + u8(1) + u16(SUITE) + u8(POLICY) + key.call.room + key.call.call + u16(seat) + key.sender[:16]
    header += u32(announce_seq) + u32(key.generation) + u64(pack_kid(key.step, key.generation, seat, 0))
    return header + u8(reason) + u64(created) + roster + (commitment or key.commitment) + nonce + u16(count)


def batch_context(header, sender, recipient):
    """What a box is bound to; sender and recipient are `Announced`."""
    bound = header[: BATCH_HEADER_BYTES - 2]
    return sha256(b"e2ee-frames/1 key", bound, sender.join_id, recipient.join_id, sender.hash, recipient.hash)


def batch_box(own_secret, their_public):
    return nacl.public.Box(nacl.public.PrivateKey(own_secret), nacl.public.PublicKey(their_public))


def seal_entry(header, key, sender, sender_secret, recipient, recipient_seat, context=None):
    """`context` is the one of both ends unless a sender lies."""
    nonce = header[-26:-2]
    plain = key.secret + (context or batch_context(header, sender, recipient))
    sealed = batch_box(sender_secret, recipient.ephemeral).encrypt(plain, nonce).ciphertext
    return u16(recipient_seat) + u32(recipient.seq) + sealed


def open_entry(call, header, entry, sender, recipient, recipient_secret):
    """The key of a batch; raises if box, context or commitment is wrong."""
    cut = fields(header, *BATCH_HEADER_FIELDS)
    join_id_half, generation, kid, commitment, nonce = cut[7], cut[9], cut[10], cut[14], cut[15]
    if b"".join(cut[:6]) != u16(1) + u8(1) + u16(SUITE) + u8(POLICY) + call.room + call.call:
        raise Refused("call")
    if join_id_half != sender.join_id[:16] or entry[2:6] != u32(recipient.seq):
        raise Refused("ends")
    plain = batch_box(recipient_secret, sender.ephemeral).decrypt(entry[6:], nonce)
    if plain[32:] != batch_context(header, sender, recipient):
        raise Refused("context")
    key = SessionKey(call, sender.join_id, int.from_bytes(generation, "big"), kid[7] & 7, plain[:32])
    if key.commitment != commitment:
        raise Refused("commitment")
    return key
