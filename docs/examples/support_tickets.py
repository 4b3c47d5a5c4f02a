"""A help desk in Python: a room for each support ticket, a token for each person who joins it, and webhooks that say who is in it.

    TACET_SERVER=https://call.example.org TACET_API_KEY=… WEBHOOK_SECRET=whsec_… PORT=8000 python3 support_tickets.py

`POST /tickets/ID` makes the room of a ticket, `POST /tickets/ID/token/ROLE` a token for it, `GET /tickets/ID` tells who is in it. The key
needs the scopes rooms:write and tokens; `tacet webhooks add https://this.example/hook` prints the secret. Only the standard library.
"""
import base64, hashlib, hmac, json, os, secrets, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVER, KEY = os.environ["TACET_SERVER"], os.environ["TACET_API_KEY"]
WEBHOOK_KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
tickets, seen = {}, set()  # a real one has a database


def access_hash(secret):
    """SHA-256 of the access token: all that the call server learns of a link's secret (docs/protocol.md)."""
    extracted = hmac.digest(b"e2ee-frames/1 invite", secret, "sha512")
    return hashlib.sha256(hmac.digest(extracted, b"access\x01", "sha512")[:32]).digest()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ask(path, body, **headers):
    headers |= {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def make_room(ticket):
    secret = secrets.token_bytes(32)  # drawn here, and not sent
    room = ask("/v1/rooms", {"access_hash": base64url(access_hash(secret))}, **{"Idempotency-Key": secrets.token_hex(16)})["room"]
    tickets[ticket] = {"room": room, "link": f"{SERVER}/r/{room}#{base64url(secret)}", "joined": [], "left": [], "calls": 0}
    return tickets[ticket]


def receive(headers, body):
    """Checks a webhook's signature and time, and applies what it says once. Returns the status."""
    message, stamp = headers["webhook-id"] or "", headers["webhook-timestamp"] or "0"
    expected = base64.b64encode(hmac.digest(WEBHOOK_KEY, f"{message}.{stamp}.".encode() + body, "sha256")).decode()
    signatures = (headers["webhook-signature"] or "").split()
    if not any(hmac.compare_digest(f"v1,{expected}", one) for one in signatures) or abs(time.time() - int(stamp)) > 300:
        return 401
    if message not in seen:
        seen.add(message)
        event = json.loads(body)
        for ticket in (one for one in tickets.values() if one["room"] == event["data"]["room"]):
            match event["type"]:  # in any order
                case "participant.joined": ticket["joined"].append(event["data"]["participant"])
                case "participant.left": ticket["left"].append(event["data"]["participant"])
                case "room.ended": ticket["calls"] += 1
    return 204


class Desk(BaseHTTPRequestHandler):
    def answer(self, status, body=None):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"" if body is None else json.dumps(body).encode())

    def do_GET(self):
        ticket = tickets.get(self.path.removeprefix("/tickets/"))
        self.answer(200 if ticket else 404, ticket and {**ticket, "present": sorted(set(ticket["joined"]) - set(ticket["left"]))})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        match self.path.strip("/").split("/"):
            case ["hook"]: self.answer(receive(self.headers, body))
            case ["tickets", ticket]: self.answer(201, tickets.get(ticket) or make_room(ticket))
            case ["tickets", ticket, "token", role] if ticket in tickets:
                self.answer(201, ask(f"/v1/rooms/{tickets[ticket]['room']}/tokens", {"role": role, "lifetime": 3600}))
            case _: self.answer(404)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Desk).serve_forever()
