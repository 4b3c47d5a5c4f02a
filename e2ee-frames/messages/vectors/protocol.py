"""The protocol e2ee-messages/1 on its own, written from its description: prekeys, PQXDH, ratchet, outers, rooms, files.

Shares no code with the Rust crate: everything is OpenSSL's, by `cryptography`. ML-KEM encapsulates only at random there, so a
device that seals is given the ciphertext and its secret.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SIGNED, ONE_TIME, ONE_TIME_KEM, LAST_RESORT_KEM, SEALING = range(1, 6)
KINDS = ["signed prekey", "one-time prekey", "one-time kem", "last-resort kem", "sealing prekey"]
CHUNK = 65_536


class Refused(Exception):
    """Input that a device must not accept."""


def label(purpose):
    return b"e2ee-messages/1 " + purpose.encode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def derive(salt, secret, info, length=32):
    return HKDF(SHA512(), length, salt, info).derive(secret)


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


def fields(data, *sizes):
    """Cuts bytes into fields of these sizes, which they must fill."""
    if len(data) != sum(sizes):
        raise Refused("length")
    cut, start = [], 0
    for size in sizes:
        cut.append(data[start : start + size])
        start += size
    return cut


def public(seed):
    return X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def agree(seed, peer):
    return X25519PrivateKey.from_private_bytes(seed).exchange(X25519PublicKey.from_public_bytes(peer))


def sign(seed, purpose, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(label(purpose) + message)


def verify(key, purpose, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, label(purpose) + message)
    except InvalidSignature as error:
        raise Refused(purpose) from error


def kem_public(seed):
    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def decapsulate(seed, ciphertext):
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)


def seal(key_nonce, text, aad=b""):
    return AESGCM(key_nonce[:32]).encrypt(key_nonce[32:], text, aad)


def open_(key_nonce, data, aad=b""):
    try:
        return AESGCM(key_nonce[:32]).decrypt(key_nonce[32:], data, aad)
    except InvalidTag as error:
        raise Refused("tag") from error


# Prekeys.


def prekey(signing_seed, kind, number, day, seed):
    key = kem_public(seed) if kind in (ONE_TIME_KEM, LAST_RESORT_KEM) else public(seed)
    head = bytes([1, kind]) + u32(number) + u32(day) + key
    return head + sign(signing_seed, KINDS[kind - 1], head)


def read_bundle(data, device):
    """The prekeys of a bundle by kind: (id, key)."""
    prekeys, kinds = {}, []
    while data:
        size = 1184 if data[1] in (ONE_TIME_KEM, LAST_RESORT_KEM) else 32
        signed, signature, data = data[: 10 + size], data[10 + size : 74 + size], data[74 + size :]
        version, kind, number, _day, key = fields(signed, 1, 1, 4, 4, size)
        verify(device, KINDS[kind[0] - 1], signed, signature)
        if version != b"\1":
            raise Refused("version")
        kinds.append(kind[0])
        prekeys[kind[0]] = (number, key)
    if kinds not in ([1, 2, 3, 5], [1, 2, 4, 5], [1, 3, 5], [1, 4, 5]):
        raise Refused("kinds")
    return prekeys


# Blobs.


def seal_blob(key, message_id, body):
    size = 256
    while size < len(body) + 20:
        size *= 2
    return seal(key + bytes(12), (message_id + u32(len(body)) + body).ljust(size, b"\0"), label("blob"))


def open_blob(key, blob):
    text = open_(key + bytes(12), blob, label("blob"))
    length = struct.unpack(">I", text[16:20])[0]
    if any(text[20 + length :]) or len(text) not in (256 << k for k in range(6)):
        raise Refused("padding")
    return text[:16], text[20 : 20 + length]


# Ratchet.


def chain_step(key):
    """The message key, and the next chain key."""
    return hmac.digest(key, b"\1", "sha256"), hmac.digest(key, b"\2", "sha256")


def root_step(root, shared):
    secret = root + shared
    return derive(label("root"), secret, b"root"), derive(label("root"), secret, b"chain")


@dataclass
class Ratchet:
    root: bytes
    own: bytes
    peer: bytes | None = None
    sending: list | None = None
    receiving: list | None = None
    previous: int = 0
    skipped: dict = field(default_factory=dict)

    def start_chain(self, own):
        self.own = own
        self.root, key = root_step(self.root, agree(own, self.peer))
        self.sending = [key, 0]

    def seal(self, prefix, text, draw):
        if self.sending is None:
            self.start_chain(draw())
        message_key, key = chain_step(self.sending[0])
        salt = draw()
        header = public(self.own) + u32(self.previous) + u32(self.sending[1]) + salt
        self.sending = [key, self.sending[1] + 1]
        return header + seal(derive(salt, message_key, label("message"), 44), text, prefix + header)

    def skip(self, n):
        while self.receiving[1] < n:
            key, self.receiving[0] = chain_step(self.receiving[0])
            self.skipped[self.peer, self.receiving[1]] = key
            self.receiving[1] += 1

    def open(self, prefix, data):
        header, sealed = data[:56], data[56:]
        ratchet, previous, n, salt = fields(header, 32, 4, 4, 16)
        previous, n = (struct.unpack(">I", number)[0] for number in (previous, n))
        key = self.skipped.pop((ratchet, n), None)
        if key is None:
            if ratchet != self.peer:
                if self.receiving:
                    self.skip(previous)
                self.root, chain = root_step(self.root, agree(self.own, ratchet))
                self.peer, self.receiving = ratchet, [chain, 0]
                if self.sending:
                    self.previous, self.sending = self.sending[1], None
            self.skip(n)
            key, self.receiving[0] = chain_step(self.receiving[0])
            self.receiving[1] += 1
        return open_(derive(salt, key, label("message"), 44), sealed, prefix + header)


# A device.


@dataclass
class Session:
    id: bytes
    number: int
    ratchet: Ratchet
    ephemeral: bytes
    opening: bytes = b""


def party(cert):
    return cert["account"] + cert["identity"] + cert["device"] + cert["agreement"]


def first_root(secrets, session):
    return derive(label("pqxdh"), b"\xff" * 32 + b"".join(secrets), session)


@dataclass
class Device:
    """One device. Certificates are dicts of account, identity, device, agreement and cert_hash, as bytes."""

    origin: bytes
    cert: dict
    name: bytes
    agreement_seed: bytes
    signing_seed: bytes
    prekeys: dict
    sessions: list = field(default_factory=list)
    peer_sealing: bytes | None = None
    sent_sealing: bool = False

    def transcript(self, initiator, responder, opening, keys):
        ephemeral, signed, one_time, kem, ciphertext = fields(opening, 32, 4, 4, 5, 1088)
        origin = struct.pack(">H", len(self.origin)) + self.origin
        parties = party(initiator) + party(responder)
        numbers = signed + keys[0] + one_time + keys[1] + kem + keys[2]
        return sha256(label("transcript"), origin, parties, ephemeral, numbers, ciphertext)

    def initiate(self, peer, bundle, ciphertext, shared, ephemeral, own):
        """A session with the owner of a bundle."""
        prekeys = read_bundle(bundle, peer["device"])
        signed, one_time = prekeys[SIGNED], prekeys.get(ONE_TIME, (bytes(4), bytes(32)))
        kind = ONE_TIME_KEM if ONE_TIME_KEM in prekeys else LAST_RESORT_KEM
        kem = prekeys[kind]
        opening = public(ephemeral) + signed[0] + one_time[0] + bytes([kind]) + kem[0] + ciphertext
        session = self.transcript(self.cert, peer, opening, (signed[1], one_time[1], kem[1]))
        secrets = [agree(self.agreement_seed, signed[1])]
        secrets += [agree(ephemeral, key) for key in (peer["agreement"], signed[1])]
        secrets += [agree(ephemeral, one_time[1])] if ONE_TIME in prekeys else []
        ratchet = Ratchet(first_root([*secrets, shared], session), b"", signed[1])
        ratchet.start_chain(own)
        number = 1 + max((session.number for session in self.sessions), default=0)
        self.sessions.append(Session(session, number, ratchet, public(ephemeral), opening))
        self.sent_sealing = False
        self.peer_sealing = prekeys[SEALING][1]

    def respond(self, peer, opening, number):
        ephemeral, signed, one_time, kem, ciphertext = fields(opening, 32, 4, 4, 5, 1088)
        signed_seed, kem_seed = self.prekeys[SIGNED, signed], self.prekeys[kem[0], kem[1:]]
        secrets = [agree(signed_seed, peer["agreement"])]
        secrets += [agree(seed, ephemeral) for seed in (self.agreement_seed, signed_seed)]
        one_time_key = bytes(32)
        if one_time != bytes(4):
            seed = self.prekeys.pop((ONE_TIME, one_time))
            secrets.append(agree(seed, ephemeral))
            one_time_key = public(seed)
        secrets.append(decapsulate(kem_seed, ciphertext))
        session = self.transcript(peer, self.cert, opening, (public(signed_seed), one_time_key, kem_public(kem_seed)))
        return Session(session, number, Ratchet(first_root(secrets, session), signed_seed), ephemeral)

    def active(self):
        return max(self.sessions, key=lambda session: session.number)

    def seal_slip(self, payload, draw):
        session = self.active()
        head = bytes([1, 1 if session.opening else 2]) + u32(session.number)
        return head + session.opening + session.ratchet.seal(session.id + head, payload, draw)

    def open_slip(self, peer, slip):
        head, rest = slip[:6], slip[6:]
        number = struct.unpack(">I", head[2:])[0]
        session = next((session for session in self.sessions if session.number == number), None)
        if head[:2] == b"\1\1":
            opening, rest = rest[:1133], rest[1133:]
            if session is None:
                session = self.respond(peer, opening, number)
                self.sessions.append(session)
                self.sent_sealing = False
            elif session.ephemeral != opening[:32]:
                raise Refused("session")
        payload = session.ratchet.open(session.id + head, rest)
        session.opening = b""
        return payload

    def outer_keys(self, shared, info, context):
        return derive(label("outer"), shared, info + context, 44)

    def seal(self, peer, list_seq, blob, content_key, checkpoint, replaces, own_sealing, draw):
        """The outer of a message. `own_sealing` goes along once in each session."""
        sealing, self.sent_sealing = (b"" if self.sent_sealing else own_sealing), True
        flags = bytes([(1 if replaces else 0) | (2 if sealing else 0)])
        slip = self.seal_slip(flags + content_key + sha256(blob) + checkpoint + sealing, draw)
        ephemeral = draw()
        e, to = public(ephemeral), self.peer_sealing
        context = e + to + peer["agreement"] + peer["account"] + peer["device"]
        fresh, static = agree(ephemeral, to), agree(self.agreement_seed, to)
        c1 = seal(self.outer_keys(fresh, b"key", context), self.cert["agreement"])
        sender = self.cert["account"] + self.cert["cert_hash"] + bytes([len(self.name)]) + self.name + u64(list_seq)
        return e + c1 + seal(self.outer_keys(fresh + static, b"slip", context + sha256(c1)), sender + slip)

    def open(self, peer, list_seq, outer, blob):
        """Id, body, checkpoint of a message from this peer, and whether its session replaces a lost one."""
        e, c1, c2 = outer[:32], outer[32:80], outer[80:]
        seed = next(seed for (kind, _), seed in self.prekeys.items() if kind == SEALING)
        own = self.cert
        context = e + public(seed) + own["agreement"] + own["account"] + own["device"]
        fresh = agree(seed, e)
        agreement = open_(self.outer_keys(fresh, b"key", context), c1)
        keys = self.outer_keys(fresh + agree(seed, agreement), b"slip", context + sha256(c1))
        plain = open_(keys, c2)
        length = plain[48]
        sender, slip = plain[: 57 + length], plain[57 + length :]
        expected = peer["account"] + peer["cert_hash"] + bytes([length]) + peer["name"] + u64(list_seq)
        if sender != expected or agreement != peer["agreement"]:
            raise Refused("sender")
        payload = self.open_slip(peer, slip)
        flags, key, digest, checkpoint, sealing = payload[0], *fields(payload[1:105], 32, 32, 40), payload[105:]
        if sha256(blob) != digest or len(sealing) != (106 if flags & 2 else 0):
            raise Refused("payload")
        if sealing:
            signed, signature = fields(sealing, 42, 64)
            verify(peer["device"], KINDS[SEALING - 1], signed, signature)
            self.peer_sealing = signed[10:]
        return *open_blob(key, blob), checkpoint, bool(flags & 1)


# Rooms.


def room_list(admin_seed, admin, room, seq, previous, members):
    body = bytes([1]) + room + admin + u64(seq) + previous + struct.pack(">H", len(members))
    body += b"".join(account + identity for account, identity in sorted(members))
    return body + sign(admin_seed, "room list", body)


def sender_key(room, listed, chain, n, key, verify_key):
    return bytes([1]) + room + listed + chain + u32(n) + key + verify_key


def seal_room(signing_seed, key, header, salt, body):
    message_key, _ = chain_step(key)
    sealed = seal(derive(salt, message_key, label("room key"), 44), body, label("room message") + header)
    return header + sealed + sign(signing_seed, "room message", header + sha256(sealed))


# Files.


def padded_size(size):
    step = max((1 << (size.bit_length() - 1)) // 16 if size else 0, 256)
    return -(-max(size, 1) // step) * step


def seal_file(key, prefix, file):
    """The sealed chunks, and the file's key."""
    padded, chunks, digest = padded_size(len(file)), [], bytes(32)
    data = file.ljust(padded, b"\0")
    for counter, start in enumerate(range(0, padded, CHUNK)):
        last = bytes([1 if start + CHUNK >= padded else 0])
        chunk = data[start : start + CHUNK]
        chunks.append(seal(key + prefix + u32(counter) + last, chunk, label("file")))
        digest = sha256(label("file"), digest, file[start : start + CHUNK])
    return chunks, bytes([1]) + key + prefix + u64(len(file)) + digest
