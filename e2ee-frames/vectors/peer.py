"""A call between a session of the Rust library, through its C ABI, and a device written in Python.

usage: peer.py LIBRARY

Nothing is fixed: every run draws new secrets. Announces, key batches and frames go in both directions, and whatever was
tampered with on the way must not be accepted by either side. Exits 1 at the first thing that is not as it should be.
"""

import ctypes
import hashlib
import os
import sys

import nacl.exceptions
import nacl.signing
from cryptography.exceptions import InvalidTag

import protocol as p

WALL = 1_800_000_000_000
CAMERA = 1
RUST_ID, RUST_SEAT = 10, 0
OWN_ID, OWN_SEAT = 11, 2_749

TICK, JOINED, ANNOUNCES, LEFT, KEYS, KEY_REQUEST, STREAM_OPENED, STREAM_CLOSED, KEY_BATCH_ACCEPTED, DETACHED, ATTACHED = range(11)
SEND_ANNOUNCE, SEND_KEY_BATCH, SEND_KEY_REQUEST, VERIFIED, REMOVED, STREAM_READY, KEY_INSTALLED, PROBLEM = range(1, 9)
CALL_CODE_CHANGED = 12
ANNOUNCE_REFUSED, KEYS_REFUSED, CLOCK_SKEW, EQUIVOCATION = range(1, 5)
MISSING_KEY, NOT_AUTHENTIC, REPLAYED = -1, -2, -3

FRAMES = [(codec, kind) for codec in p.CODECS for kind in p.KINDS]
# The fifth stream is for chat, which the session opens itself.
STREAMS = [stream for stream in range(CAMERA, CAMERA + len(FRAMES) + 1) if stream != 4]


def expect(condition, what):
    if not condition:
        raise SystemExit(f"peer.py: {what}")


def refuses(what, action, *errors):
    """The Python side must raise one of these errors."""
    try:
        action()
    except errors:
        return
    raise SystemExit(f"peer.py: {what} was accepted")


def flipped(data, index):
    return data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :]


class Clock(ctypes.Structure):
    """`ef_clock`: monotonic milliseconds, and milliseconds since 1970."""

    _fields_ = [("now", ctypes.c_uint64), ("wall", ctypes.c_uint64)]


class Origin(ctypes.Structure):
    """`ef_frame_origin`."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("participant", "seat", "stream", "kind")]


class Library:
    """The C ABI, as `e2ee_frames.h` declares it."""

    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        size, u32, clock = ctypes.c_size_t, ctypes.c_uint32, ctypes.POINTER(Clock)
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        self.declare("ef_access_token", ctypes.c_int32, text, pointer)
        self.declare("ef_session_new", pointer, text, text, text, text, size, clock)
        self.declare("ef_session_free", None, pointer)
        self.declare("ef_session_event", ctypes.c_int32, pointer, u32, clock, text, size)
        self.declare("ef_session_poll", ctypes.c_int32, pointer, pointer, size)
        self.declare("ef_call_code", ctypes.c_int32, pointer, pointer)
        statement = text, size, text, u32, text, size, text, size
        self.declare("ef_prove_resume", ctypes.c_int32, pointer, *statement, pointer)
        self.declare("ef_seal", ctypes.c_int32, pointer, clock, u32, u32, u32, text, size, pointer, size)
        self.declare("ef_open", ctypes.c_int32, pointer, clock, u32, text, size, pointer, size, ctypes.POINTER(Origin))

    def declare(self, name, result, *arguments):
        function = getattr(self.c, name)
        function.restype, function.argtypes = result, arguments

    def access_token(self, invite):
        out = ctypes.create_string_buffer(32)
        expect(self.c.ef_access_token(invite, out) == 0, "no access token")
        return out.raw


class Session:
    """The Rust device."""

    def __init__(self, library, call, name):
        self.c = library.c
        # Time stands still.
        self.clock = ctypes.byref(Clock(0, WALL))
        name = name.encode()
        self.handle = self.c.ef_session_new(call.room, call.call, call.invite, name, len(name), self.clock)
        expect(self.handle, "no session")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.ef_session_free(self.handle)

    def event(self, kind, body=b""):
        """Passes an event; returns the resulting actions as pairs of kind and body."""
        result = self.c.ef_session_event(self.handle, kind, self.clock, body, len(body))
        expect(result == 0, f"event {kind} was refused with {result}")
        return self.poll()

    def poll(self):
        actions, out = [], ctypes.create_string_buffer(17_000)
        while (length := self.c.ef_session_poll(self.handle, out, len(out))) != 0:
            expect(length > 0, "an action did not fit")
            actions.append((out.raw[0], out.raw[1:length]))
        return actions

    def call_code(self):
        out = ctypes.create_string_buffer(32)
        expect(self.c.ef_call_code(self.handle, out) == 0, "no call code")
        return out.raw

    def prove_resume(self, origin, server_session, participant, token, nonce):
        out = ctypes.create_string_buffer(64)
        statement = origin, len(origin), server_session, participant, token, len(token), nonce, len(nonce)
        result = self.c.ef_prove_resume(self.handle, *statement, out)
        return out.raw if result == 0 else None

    def seal(self, stream, codec, kind, frame):
        out = ctypes.create_string_buffer(2 * len(frame) + 96)
        numbers = stream, p.CODECS[codec], p.KINDS[kind]
        length = self.c.ef_seal(self.handle, self.clock, *numbers, frame, len(frame), out, len(out))
        expect(length > 0, f"sealing failed with {length}")
        return out.raw[:length]

    def open(self, codec, frame):
        """Plaintext and origin, or the error."""
        out, origin = ctypes.create_string_buffer(max(len(frame), 1)), Origin()
        length = self.c.ef_open(self.handle, self.clock, p.CODECS[codec], frame, len(frame), out, len(out), ctypes.byref(origin))
        if length < 0:
            return length
        return out.raw[:length], (origin.participant, origin.seat, origin.stream, origin.kind)


class Device:
    """The Python device."""

    def __init__(self, call, name):
        self.call = call
        self.signing_seed, self.ephemeral, self.incarnation = os.urandom(32), os.urandom(32), os.urandom(16)
        public = bytes(nacl.signing.SigningKey(self.signing_seed).verify_key)
        sealed_name = p.seal_name(call, call.join_id(public, self.incarnation), name, os.urandom(12))
        times = 1, WALL, WALL + 15 * 60_000
        announce = p.write_announce(call, self.signing_seed, self.incarnation, self.ephemeral, sealed_name, *times)
        self.announced = p.verify_announce(call, announce, sealed_name)
        self.counters = {}

    def announces(self, announce=None, sealed_name=None):
        """The body of an announces event."""
        sealed_name = sealed_name or self.announced.sealed_name
        ends = p.u32(OWN_ID) + p.u16(OWN_SEAT)
        return p.u8(1) + ends + (announce or self.announced.announce) + p.u16(len(sealed_name)) + sealed_name

    def new_key(self, generation):
        return p.SessionKey(self.call, self.announced.join_id, generation, 0, os.urandom(32))

    def header(self, key, other, seat=OWN_SEAT, **lies):
        roster = p.roster_hash([self.announced.join_id, other.join_id])
        nonce = os.urandom(24)
        return p.write_batch_header(key, seat, self.announced.seq, 1, WALL, roster, nonce, 1, **lies)

    def seal_key(self, key, other, **lies):
        """Header and entry of a key batch for the Rust device."""
        header = self.header(key, other)
        return header, p.seal_entry(header, key, self.announced, self.ephemeral, other, RUST_SEAT, **lies)

    def seal(self, key, stream, codec, kind, plain):
        kid, sframe_key, salt = key.frame_keys(OWN_SEAT, stream)
        ctr = self.counters[kid] = self.counters.get(kid, -1) + 1
        return p.wrap(codec, kind, p.sframe_seal(sframe_key, salt, kid, ctr, p.metadata(codec, kind), plain))

    def open(self, key, seat, stream, codec, kind, frame):
        kid, sframe_key, salt = key.frame_keys(seat, stream)
        sframe = p.unwrap(codec, kind, frame)
        expect(p.parse_sframe_header(sframe)[0] == kid, "a frame of another KID")
        return p.sframe_open(sframe_key, salt, p.metadata(codec, kind), sframe)


def keys_event(header, entry):
    return p.u8(1) + header + entry


def meet(session, device, call):
    """Exchanges announces; returns what Python knows about the Rust device."""
    ((kind, body),) = session.poll()
    expect(kind == SEND_ANNOUNCE and body[0] == 1, "the first action is no announce")
    announce, sealed_name = body[1 : 1 + p.ANNOUNCE_BYTES], body[1 + p.ANNOUNCE_BYTES :]
    rust = p.verify_announce(call, announce, sealed_name)
    expect(rust.name == "Rust", "the name reads otherwise")
    for index in range(p.ANNOUNCE_BYTES):
        tampered = flipped(announce, index)
        errors = p.Refused, nacl.exceptions.BadSignatureError
        refuses("a tampered announce", lambda: p.verify_announce(call, tampered, sealed_name), *errors)

    alone = [(CALL_CODE_CHANGED, p.call_code(call, [rust.join_id]))]
    expect(session.event(JOINED, p.u16(RUST_SEAT)) == alone, "joining alone does something else")
    refused = [(PROBLEM, p.u32(OWN_ID) + p.u8(ANNOUNCE_REFUSED))]
    for index in range(p.ANNOUNCE_BYTES):
        tampered = flipped(device.announced.announce, index)
        actions = session.event(ANNOUNCES, device.announces(tampered))
        expect(actions == refused, f"an announce with byte {index} changed")
    tampered = flipped(device.announced.sealed_name, 14)
    expect(session.event(ANNOUNCES, device.announces(sealed_name=tampered)) == refused, "a changed name")
    stranger = Device(p.Call(call.room, call.call, os.urandom(32)), "Stranger")
    expect(session.event(ANNOUNCES, stranger.announces()) == refused, "an announce by another invite")
    return rust


def rust_to_python(session, device, rust, actions):
    """Opens the key batch among these actions, then frames."""
    (numbered,) = (body for kind, body in actions if kind == SEND_KEY_BATCH)
    session.event(KEY_BATCH_ACCEPTED, numbered[:4])
    batch = numbered[4:]
    header, entry = batch[: p.BATCH_HEADER_BYTES], batch[p.BATCH_HEADER_BYTES :]
    expect(len(entry) == p.BATCH_ENTRY_BYTES and header[-2:] == p.u16(1), "not one entry")

    def opening(header=header, entry=entry, sender=rust, secret=device.ephemeral):
        return p.open_entry(device.call, header, entry, sender, device.announced, secret)

    key = opening()
    roster = header[-90:-58]
    expect(roster == p.roster_hash([rust.join_id, device.announced.join_id]), "another roster")
    for index in range(6, p.BATCH_ENTRY_BYTES):
        refuses("a tampered box", lambda: opening(entry=flipped(entry, index)), nacl.exceptions.CryptoError)
    for index in range(p.BATCH_HEADER_BYTES - 2):
        errors = p.Refused, nacl.exceptions.CryptoError
        refuses("a box in another header", lambda: opening(header=flipped(header, index)), *errors)
    refuses("a box for another device", lambda: opening(secret=os.urandom(32)), nacl.exceptions.CryptoError)

    for stream, (codec, kind) in zip(STREAMS, FRAMES):
        if stream > CAMERA:
            expect(session.event(STREAM_OPENED, p.u32(stream)) == [(STREAM_READY, p.u32(stream))], "no stream")
        for length in (0, 1, 100, 1_500):
            plain = os.urandom(length)
            frame = session.seal(stream, codec, kind, plain)
            opened = device.open(key, RUST_SEAT, stream, codec, kind, frame)
            expect(opened == plain, f"a {codec} frame reads otherwise")
        sframe = p.unwrap(codec, kind, frame)
        _, sframe_key, salt = key.frame_keys(RUST_SEAT, stream)
        for index in (len(sframe) - 1, len(sframe) // 2):
            tampered = flipped(sframe, index)
            arguments = sframe_key, salt, p.metadata(codec, kind), tampered
            refuses("a tampered frame", lambda: p.sframe_open(*arguments), InvalidTag)
    return header, entry


def python_to_rust(session, device, rust):
    """Seals a key batch, then frames, which the session opens."""
    key = device.new_key(0)
    header, entry = device.seal_key(key, rust)
    refused = [(PROBLEM, p.u32(OWN_ID) + p.u8(KEYS_REFUSED))]
    equivocation = [(PROBLEM, p.u32(OWN_ID) + p.u8(EQUIVOCATION))]
    for index in range(6, p.BATCH_ENTRY_BYTES):
        actions = session.event(KEYS, keys_event(header, flipped(entry, index)))
        expect(actions == refused, f"a box with byte {index} changed")
    for index in range(p.BATCH_HEADER_BYTES - 2):
        actions = session.event(KEYS, keys_event(flipped(header, index), entry))
        expect(all(kind == PROBLEM for kind, _ in actions), f"a header with byte {index} changed")
    _, other_context = device.seal_key(key, rust, context=os.urandom(32))
    expect(session.event(KEYS, keys_event(header, other_context)) == refused, "a box of another context")
    by_another = p.seal_entry(header, key, device.announced, os.urandom(32), rust, RUST_SEAT)
    expect(session.event(KEYS, keys_event(header, by_another)) == refused, "a box by another key")
    lying = device.header(key, rust, commitment=os.urandom(32))
    lying_entry = p.seal_entry(lying, key, device.announced, device.ephemeral, rust, RUST_SEAT)
    expect(session.event(KEYS, keys_event(lying, lying_entry)) == equivocation, "a commitment to another key")
    elsewhere = device.header(key, rust, seat=OWN_SEAT + 1)
    elsewhere_entry = p.seal_entry(elsewhere, key, device.announced, device.ephemeral, rust, RUST_SEAT)
    expect(session.event(KEYS, keys_event(elsewhere, elsewhere_entry)) == refused, "the seat of another device")
    early = device.seal(key, CAMERA, "opus", "delta", b"early")
    expect(session.open("opus", early) == MISSING_KEY, "a frame before its key")

    installed = [(KEY_INSTALLED, p.u32(OWN_ID) + p.u16(OWN_SEAT))]
    expect(session.event(KEYS, keys_event(header, entry)) == installed, "the key was not installed")
    expect(session.event(KEYS, keys_event(header, entry)) == [], "the key again")
    other = device.new_key(0)
    expect(session.event(KEYS, keys_event(*device.seal_key(other, rust))) == equivocation, "another key of that name")
    send_frames(session, device, key)
    # A joiner would be given this step; who has the key before it derives it.
    send_frames(session, device, key.next_step().next_step())
    key = device.new_key(1)
    expect(session.event(KEYS, keys_event(*device.seal_key(key, rust))) == installed, "the next generation")
    send_frames(session, device, key)


def send_frames(session, device, key):
    for stream, (codec, kind) in zip(STREAMS, FRAMES):
        shown = 0 if codec in ("opus", "vp9") else p.KINDS[kind]
        for length in (0, 1, 100, 1_500):
            plain = os.urandom(length)
            frame = device.seal(key, stream, codec, kind, plain)
            sframe = p.unwrap(codec, kind, frame)
            tampered = p.wrap(codec, kind, flipped(sframe, len(sframe) - 1))
            expect(session.open(codec, tampered) == NOT_AUTHENTIC, f"a tampered {codec} frame")
            opened = session.open(codec, frame)
            expect(opened == (plain, (OWN_ID, OWN_SEAT, stream, shown)), f"a {codec} frame reads otherwise: {opened}")
            expect(session.open(codec, frame) == REPLAYED, f"a {codec} frame again")


def resume(session, rust, call):
    """The proof by which the session goes on over a new connection, verified from its bytes."""
    origin, server_session, token, nonce = b"https://call.example", os.urandom(16), os.urandom(150), os.urandom(32)
    proof = session.prove_resume(origin, server_session, RUST_ID, token, nonce)
    where = hashlib.sha256(origin).digest() + call.room + call.call + server_session + p.u32(RUST_ID)
    statement = b"tacet/1 resume" + p.u8(1) + where + hashlib.sha256(token).digest() + nonce
    key = nacl.signing.VerifyKey(rust.device)
    key.verify(statement, proof)
    for index in range(len(statement)):
        tampered = flipped(statement, index)
        refuses("another statement", lambda: key.verify(tampered, proof), nacl.exceptions.BadSignatureError)
    expect(session.prove_resume(origin, server_session, RUST_ID, token, nonce[1:]) is None, "a short challenge")


def call_once(library):
    call = p.Call(os.urandom(16), os.urandom(16), os.urandom(32))
    expect(library.access_token(call.invite) == p.invite_key(call.invite, "access"), "another access token")
    with Session(library, call, "Rust") as session:
        device = Device(call, "Python")
        rust = meet(session, device, call)
        actions = session.event(ANNOUNCES, device.announces())
        verified = (VERIFIED, p.u32(OWN_ID) + p.u16(OWN_SEAT) + b"Python")
        expect(actions[0] == verified, "the announce was not verified")
        code = p.call_code(call, [device.announced.join_id, rust.join_id])
        expect(session.call_code() == code and (CALL_CODE_CHANGED, code) in actions, "another call code")
        actions += session.event(STREAM_OPENED, p.u32(CAMERA))
        own_batch = rust_to_python(session, device, rust, actions)
        refused = session.event(KEYS, keys_event(*own_batch))
        expect([kind for kind, _ in refused] == [PROBLEM], "its own key, reflected")
        python_to_rust(session, device, rust)
        resume(session, rust, call)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    library = Library(os.path.abspath(sys.argv[1]))
    calls = 5
    for _ in range(calls):
        call_once(library)
    print(f"peer.py: {calls} calls between Rust and Python")


if __name__ == "__main__":
    main()
