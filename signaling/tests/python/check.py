"""A call of two clients in Python and one in Rust, through a server.

usage: check.py TACET

Exits 1 at the first thing that is not as docs/protocol.md says.
"""

import asyncio
import json
import sys
import tempfile
import wave
from contextlib import asynccontextmanager
from pathlib import Path

import websockets

import protocol as p
from client import PATIENCE_S, Client, Link, Refusal

RUST = "Terminal"


def expect(condition, what):
    if not condition:
        raise SystemExit(f"check.py: {what}")


@asynccontextmanager
async def process(*command, **pipes):
    running = await asyncio.create_subprocess_exec(*command, **pipes)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


@asynccontextmanager
async def server(tacet):
    """A server on free ports of loopback; yields its room's link."""
    command = [tacet, "serve", "--json", "--data", "none", "--bind", "127.0.0.1", "--port", "0", "--media-port", "0"]
    async with process(*command, "--no-page", "--log", "warn", stdout=asyncio.subprocess.PIPE) as running:
        line = await asyncio.wait_for(running.stdout.readline(), PATIENCE_S)
        yield json.loads(line)["link"]


@asynccontextmanager
async def client_in_rust(tacet, link):
    """The command-line client, which plays a quiet file. It has joined once the others have met it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quiet.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            file.writeframes(b"\x20\x00\xe0\xff" * 48_000)
        command = [tacet, "call", "--name", RUST, "--play", str(path), "--loop", "--code", "--say", "hello from Rust", link]
        async with process(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT) as running:
            yield running


async def refused(what, code, request):
    try:
        await request
    except Refusal as refusal:
        expect(refusal.code == code, f"{what}: {refusal.code} in place of {code}")
    else:
        raise SystemExit(f"check.py: {what} was not refused")


async def bad_input(client):
    """The server refuses what the protocol does not know, and the connection goes on."""
    await refused("an unknown type", "unknown_type", client.request_raw('{"t":"dance","id":ID}'))
    await refused("an unknown field", "bad_message", client.request_raw('{"t":"ping","ms":1,"id":ID,"more":1}'))
    await refused("text for a number", "bad_message", client.request_raw('{"t":"ping","ms":"1","id":ID}'))
    await refused("an unknown binary type", "unknown_type", client.request_binary(9, b""))
    await refused("a track of another", "no_track", client.request("mute", track=1))
    await refused("a second join", "out_of_order", client.request("join", announce="", display=""))
    await refused("a seat of another", "not_yours", client.send_key(client.new_key(), seat=client.seat + 1))
    pong = await client.request_raw('{"t":"ping","ms":7,"id":ID,"ext":{"more":1}}')
    expect(pong["t"] == "pong" and pong["ms"] == 7, "ext was not ignored")


async def flood(client):
    """Of more messages than 30 in a second some are refused. On a slow machine a few floods may take more than a second each."""
    for _ in range(10):
        numbers = range(client.requests + 1, client.requests + 46)
        client.requests = numbers[-1]
        for number in numbers:
            await client.send("ping", id=number, ms=number)
        for _ in numbers:
            answer = await client.wait(lambda message: message["t"] in ("pong", "error"))
            if answer["t"] == "error":
                expect(answer["code"] == "rate_limited" and answer["retry_ms"] > 0, f"refused with {answer['code']}")
                return
    raise SystemExit("check.py: no flood was refused")


async def exchange_keys(ada, bob):
    """Ada's key reaches Bob, who opens a frame that she sealed by it."""
    key = ada.new_key()
    await ada.send_key(key)
    opened = await bob.receive_key("Ada")
    expect(opened.secret == key.secret, "another key")
    kid, sframe_key, salt = key.frame_keys(ada.seat, stream=0)
    frame = p.sframe_seal(sframe_key, salt, kid, 0, p.metadata("opus", "delta"), b"hello")
    seat, _ = await bob.meet("Ada")
    _, sframe_key, salt = opened.frame_keys(seat, stream=0)
    expect(p.sframe_open(sframe_key, salt, p.metadata("opus", "delta"), frame) == b"hello", "another frame")
    return key


async def chat(ada, bob, key, key_of_rust, rust):
    """What the client in Rust and Ada write is read by the others."""
    expect(await bob.read(RUST, key_of_rust) == (1, "hello from Rust"), "another text of Rust")
    await ada.say(key, "hello from Python")
    expect(await bob.read("Ada", key) == (1, "hello from Python"), "another text of Ada")
    while b"Ada: hello from Python" not in (line := await asyncio.wait_for(rust.stdout.readline(), PATIENCE_S)):
        expect(line, "the client in Rust did not read Ada's text")


async def come_back(ada, bob):
    """Bob's connection is lost. He returns to his session, and is sent what he has missed, once."""
    await bob.lose()
    publish = {"kind": "audio", "source": "microphone", "codec": "opus", "mid": "sa", "encodings": [{"ssrc": 4711}]}
    published = await ada.request("publish", cid="mic", **publish)
    welcome = await bob.resume()
    expect(welcome["continues"] == "session", f"continues {welcome['continues']}")
    expect(welcome["participant"] == bob.participant, "another participant")

    def announces_track(message):
        return message["t"] == "tracks" and any(track["track"] == published["track"] for track in message["add"])

    track = next(t for t in (await bob.wait(announces_track))["add"] if t["track"] == published["track"])
    expect(track["participant"] == ada.participant and track["source"] == "microphone", "another track")
    proof = {"type": "session", "token": "AAAA", "last_seq": 0, "proof": "A" * 86}
    stranger = Client(bob.link, "Stranger")
    await stranger.connect()
    await refused("a token that the server did not issue", "not_resumable", stranger.hello(resume=proof))


async def leave(client):
    bye = await client.request("leave")
    expect(bye["t"] == "bye" and bye["reason"] == "left", "no goodbye")
    try:
        while True:
            await client.receive()
    except websockets.ConnectionClosed as closed:
        expect(closed.rcvd is not None and closed.rcvd.code == 1000, f"closed with {closed.rcvd}")


async def call(tacet):
    async with server(tacet) as link:
        ada, bob = Client(Link(link), "Ada"), Client(Link(link), "Bob")
        joined = await ada.join()
        expect(joined["roster"] == [] and joined["tracks"] == [], "Ada is not the first")
        await bob.join()
        await ada.meet("Bob")
        await bob.meet("Ada")
        async with client_in_rust(tacet, link) as rust:
            await ada.meet(RUST)
            await bob.meet(RUST)
            expect(ada.call_code() == bob.call_code(), "another call code")
            key = await ada.receive_key(RUST)
            expect((await bob.receive_key(RUST)).secret == key.secret, "another key of the client in Rust")
            while ada.call_code().encode() not in (line := await asyncio.wait_for(rust.stdout.readline(), PATIENCE_S)):
                expect(line, "the client in Rust has another call code")
            await chat(ada, bob, await exchange_keys(ada, bob), key, rust)
            await bad_input(ada)
            await come_back(ada, bob)
        await flood(bob)
        await leave(ada)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    asyncio.run(call(sys.argv[1]))
    print("check.py: a call of Python and Rust")


if __name__ == "__main__":
    main()
