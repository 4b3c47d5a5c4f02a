"""A client of tacet.v1, written from docs/protocol.md: signaling and key exchange, without media.

Each text frame is checked against docs/protocol.schema.json, in both directions.
"""

import asyncio
import base64
import hashlib
import json
import os
import struct
import time
from pathlib import Path
from urllib.parse import urlsplit

import fastjsonschema
import nacl.signing
import websockets

import protocol as p

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/protocol.schema.json").read_text())
KEY_BATCH, KEYS, ANNOUNCES, KEY_REQUEST, CHAT = range(1, 6)
CHAT_STREAM = 4
# Generous: a busy machine is not a fault.
PATIENCE_S = 30


def validator(name):
    # Defaults would be filled in, those of other types of messages too.
    return fastjsonschema.compile({**SCHEMA, "$ref": f"#/definitions/{name}"}, use_default=False)


valid_client_message = validator("ClientMessage")
valid_server_message = validator("ServerMessage")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Link:
    """A room's link: https://HOST/r/ROOM#SECRET."""

    def __init__(self, text):
        url = urlsplit(text)
        self.origin = f"{url.scheme}://{url.netloc}"
        self.web_socket = f"{'wss' if url.scheme == 'https' else 'ws'}://{url.netloc}/v1/ws"
        self.room = unb64(url.path.removeprefix("/r/"))
        self.secret = unb64(url.fragment)


class Refusal(Exception):
    """The server answered a request with an error."""

    def __init__(self, error):
        super().__init__(error["code"], error["detail"])
        self.code = error["code"]
        self.retry_ms = error.get("retry_ms")


class Client:
    """One participant. What the server sends that answers no request is kept in `messages` and `binary`."""

    def __init__(self, link, name):
        self.link, self.name = link, name
        self.signing_seed, self.ephemeral, self.incarnation = os.urandom(32), os.urandom(32), os.urandom(16)
        self.messages, self.others = [], {}
        self.last_seq = self.requests = self.said = 0
        self.socket = self.seat = None

    async def connect(self):
        """Opens a connection; returns the challenge."""
        self.socket = await websockets.connect(self.link.web_socket, subprotocols=["tacet.v1.json"])
        if self.socket.subprotocol != "tacet.v1.json":
            raise RuntimeError("another subprotocol")
        return await self.wait(lambda message: message["t"] == "challenge")

    async def lose(self):
        """Loses the connection, without a word to the server."""
        self.socket.transport.abort()
        await self.socket.wait_closed()

    async def receive(self):
        """Takes one message of the server: a text frame as it is, a binary one as `{"t": type, "body": bytes}`."""
        frame = await asyncio.wait_for(self.socket.recv(), PATIENCE_S)
        if isinstance(frame, str):
            message = valid_server_message(json.loads(frame))
        else:
            kind, number = struct.unpack(">BI", frame[:5])
            message = {"t": kind, "seq": number, "body": frame[5:]}
        if message["seq"] > 0:
            if message["seq"] != self.last_seq + 1:
                raise RuntimeError(f"message {message['seq']} follows {self.last_seq}")
            self.last_seq = message["seq"]
        if message["t"] == ANNOUNCES:
            self.learn(message["body"])
        return message

    async def wait(self, wanted):
        """Returns the first message for which `wanted` is true, and keeps those before it."""
        for index, message in enumerate(self.messages):
            if wanted(message):
                return self.messages.pop(index)
        while not wanted(message := await self.receive()):
            self.messages.append(message)
        return message

    async def send(self, t, **fields):
        """Sends a message that is no request."""
        await self.socket.send(json.dumps(valid_client_message({"t": t, **fields})))

    async def answer(self, number):
        """The answer to a request; raises if it is refused."""
        answer = await self.wait(lambda message: message.get("re") == number)
        if answer["t"] == "error":
            raise Refusal(answer)
        return answer

    async def request(self, t, **fields):
        self.requests += 1
        await self.send(t, id=self.requests, **fields)
        return await self.answer(self.requests)

    async def request_raw(self, text):
        """Sends a text frame that need not be valid, with a number of its sender's."""
        self.requests += 1
        await self.socket.send(text.replace("ID", str(self.requests)))
        return await self.answer(self.requests)

    async def request_binary(self, kind, body):
        self.requests += 1
        await self.socket.send(struct.pack(">BI", kind, self.requests) + body)
        return await self.answer(self.requests)

    def hello(self, **more):
        token = b64(p.invite_key(self.link.secret, "access"))
        credential = {"type": "guest", "token": token}
        return self.request("hello", room=b64(self.link.room), credential=credential, client="client.py", **more)

    async def join(self):
        """Enters the call."""
        await self.connect()
        welcome = await self.hello()
        self.participant, self.session = welcome["participant"], unb64(welcome["session"])
        self.call = p.Call(self.link.room, unb64(welcome["call"]), self.link.secret)
        self.announced = self.announce(int(time.time() * 1000))
        announce, name = self.announced.announce, self.announced.sealed_name
        joined = await self.request("join", announce=b64(announce), display=b64(name))
        self.seat, self.token = joined["seat"], unb64(joined["tokens"]["session"])
        return joined

    def announce(self, now):
        device = bytes(nacl.signing.SigningKey(self.signing_seed).verify_key)
        name = p.seal_name(self.call, self.call.join_id(device, self.incarnation), self.name, os.urandom(12))
        times = 1, now, now + 15 * 60_000
        announce = p.write_announce(self.call, self.signing_seed, self.incarnation, self.ephemeral, name, *times)
        return p.verify_announce(self.call, announce, name)

    def learn(self, body):
        """Verifies announces, and notes whose they are by participant."""
        count, body = body[0], body[1:]
        for _ in range(count):
            participant, seat = struct.unpack(">IH", body[:6])
            announce, body = body[6 : 6 + p.ANNOUNCE_BYTES], body[6 + p.ANNOUNCE_BYTES :]
            length = int.from_bytes(body[:2], "big")
            name, body = body[2 : 2 + length], body[2 + length :]
            self.others[participant] = seat, p.verify_announce(self.call, announce, name)
        if body:
            raise RuntimeError("bytes left over")

    async def meet(self, name):
        """The seat and announce of the participant with this name, once it has come."""

        def met():
            return next((other for other in self.others.values() if other[1].name == name), None)

        while met() is None:
            self.messages.append(await self.receive())
        return met()

    def call_code(self):
        join_ids = [self.announced.join_id, *(announced.join_id for _, announced in self.others.values())]
        return p.call_code_digits(p.call_code(self.call, join_ids))

    def new_key(self):
        return p.SessionKey(self.call, self.announced.join_id, 0, 0, os.urandom(32))

    async def send_key(self, key, seat=None):
        """Seals a key to all others."""
        others = list(self.others.values())
        roster = p.roster_hash([self.announced.join_id, *(announced.join_id for _, announced in others)])
        now, nonce = int(time.time() * 1000), os.urandom(24)
        seat = self.seat if seat is None else seat
        header = p.write_batch_header(key, seat, self.announced.seq, 1, now, roster, nonce, len(others))
        entries = [p.seal_entry(header, key, self.announced, self.ephemeral, of, at) for at, of in others]
        await self.request_binary(KEY_BATCH, header + b"".join(entries))

    async def receive_key(self, sender):
        """Opens the next key of a participant that it has met, given by name."""
        _, announced = await self.meet(sender)

        def of_sender(message):
            # Seat, then the first half of the join id, behind version, labels, room and call.
            return message["t"] == KEYS and announced.join_id[:16] in message["body"]

        body = (await self.wait(of_sender))["body"]
        count, body = body[0], body[1:]
        size = p.BATCH_HEADER_BYTES + p.BATCH_ENTRY_BYTES
        for start in range(0, count * size, size):
            header = body[start : start + p.BATCH_HEADER_BYTES]
            entry = body[start + p.BATCH_HEADER_BYTES : start + size]
            if announced.join_id[:16] in header:
                return p.open_entry(self.call, header, entry, announced, self.announced, self.ephemeral)
        raise RuntimeError("no key of that sender")

    async def say(self, key, text):
        """Sends a chat message, sealed by a key that the others have."""
        self.said += 1
        chat_id = self.said.to_bytes(8, "big")
        kid, sframe_key, salt = key.frame_keys(self.seat, stream=CHAT_STREAM)
        content = p.chat_content(1, text)
        sealed = p.sframe_seal(sframe_key, salt, kid, self.said - 1, p.chat_metadata(chat_id), content)
        await self.request_binary(CHAT, chat_id + sealed)

    async def read(self, sender, key):
        """Opens the next chat message of a participant that it has met, given by name; `key` is of its generation."""
        seat, announced = await self.meet(sender)
        participant = next(number for number, other in self.others.items() if other[1] is announced)

        def of_sender(message):
            return message["t"] == CHAT and message["body"][:4] == struct.pack(">I", participant)

        body = (await self.wait(of_sender))["body"]
        chat_id, sealed = body[4:12], body[12:]
        number, _, _ = p.parse_sframe_header(sealed)
        while key.step < number & 7:
            key = key.next_step()
        kid, sframe_key, salt = key.frame_keys(seat, stream=CHAT_STREAM)
        if kid != number:
            raise RuntimeError("sealed by another key, or on another stream")
        return p.read_chat(p.sframe_open(sframe_key, salt, p.chat_metadata(chat_id), sealed))

    async def resume(self):
        """Continues the session on another connection."""
        challenge = await self.connect()
        parts = hashlib.sha256(self.link.origin.encode()).digest() + self.call.room + self.call.call + self.session
        parts += struct.pack(">I", self.participant) + hashlib.sha256(self.token).digest()
        statement = b"tacet/1 resume" + b"\x01" + parts + unb64(challenge["nonce"])
        proof = nacl.signing.SigningKey(self.signing_seed).sign(statement).signature
        resume = {"type": "session", "token": b64(self.token), "last_seq": self.last_seq, "proof": b64(proof)}
        return await self.hello(resume=resume)
