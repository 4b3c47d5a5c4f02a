#!/usr/bin/env python3
"""Runs the examples of this folder against a server, with a caller in a ticket's room.

usage: check.py TACET PROGRAM…

Each PROGRAM is support_tickets.py, or the compiled support_tickets.js. Exits 1 at the first thing that is not as it should be.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import wave
from contextlib import contextmanager
from pathlib import Path

KEY = "correct horse battery"
PATIENCE_S = 60


def expect(condition, what):
    if not condition:
        raise SystemExit(f"check.py: {what}")


def request(url, method="GET", body=None, **headers):
    """Status and JSON of an answer; neither a proxy nor a redirect is followed."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, None


def until(what, done):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"check.py: {what}: not within a minute")


@contextmanager
def process(*command, **options):
    with subprocess.Popen(command, **options) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
            running.wait(PATIENCE_S)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def check(tacet, origin, program, audio):
    port = free_port()
    desk = f"http://127.0.0.1:{port}"
    authorized = {"Authorization": f"Bearer {KEY}"}
    status, webhook = request(f"{origin}/v1/webhooks", "POST", {"url": f"{desk}/hook"}, **authorized)
    expect(status == 201, f"adding a webhook: {status}")
    status, key = request(f"{origin}/v1/keys", "POST", {"name": "desk", "scopes": ["rooms:write", "tokens"]}, **authorized)
    expect(status == 201, f"creating a key: {status}")
    settings = {"TACET_SERVER": origin, "TACET_API_KEY": key["key"], "PORT": str(port),
                "WEBHOOK_SECRET": webhook["secret"], "WEBHOOK_PUBLIC_KEY": webhook["public_key"]}
    interpreter = "node" if program.endswith(".js") else sys.executable
    with process(interpreter, program, env={**os.environ, **settings}, stderr=subprocess.DEVNULL):
        until("the desk runs", lambda: request(f"{desk}/tickets/none")[0] == 404)
        status, ticket = request(f"{desk}/tickets/7", "POST", b"")
        expect(status == 201 and ticket["link"].startswith(f"{origin}/r/{ticket['room']}#"), f"a ticket: {status} {ticket}")
        expect(request(f"{desk}/tickets/7", "POST", b"")[1]["room"] == ticket["room"], "the same ticket has another room")
        status, token = request(f"{desk}/tickets/7/token/speaker", "POST", b"")
        expect(status == 201 and token["token"].count(".") == 2, f"a token: {status} {token}")
        forged = {"webhook-id": "msg_1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA v1a,AAAA"}
        body = {"type": "room.ended", "timestamp": 1, "data": {"room": ticket["room"], "call": "x"}}
        expect(request(f"{desk}/hook", "POST", body, **forged)[0] == 401, "a forged message was accepted")
        state = lambda: request(f"{desk}/tickets/7")[1]
        with process(tacet, "call", "--name", "Ada", "--play", audio, "--loop", ticket["link"], stdout=subprocess.DEVNULL,
                     stderr=subprocess.DEVNULL):
            until("the desk knows of the caller", lambda: len(state()["present"]) == 1)
        until("the desk knows that the call is over", lambda: not state()["present"] and state()["calls"] == 1)
    expect(request(f"{origin}/v1/webhooks/{webhook['id']}", "DELETE", **authorized)[0] == 204, "removing the webhook")
    print(f"{Path(program).name}: ok")


def main(tacet, *programs):
    with tempfile.TemporaryDirectory() as folder:
        audio = str(Path(folder) / "quiet.wav")
        with wave.open(audio, "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            file.writeframes(b"\x20\x00\xe0\xff" * 48_000)
        server = [tacet, "serve", "--json", "--data", str(Path(folder) / "data"), "--bind", "127.0.0.1", "--port", "0",
                  "--media-port", "0", "--no-page", "--log", "error", "--metrics", "off", "--api-key", KEY, "--open-rooms", "false",
                  "--private-webhooks"]
        with process(*server, stdout=subprocess.PIPE, text=True) as running:
            origin = json.loads(running.stdout.readline())["url"]
            for program in programs:
                check(tacet, origin, program, audio)


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(str(Path(sys.argv[1]).resolve()), *sys.argv[2:])
