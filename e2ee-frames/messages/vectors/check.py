"""Recomputes v1.json from its inputs and compares every value; exits 1 if any differs.

`protocol.py` is another implementation. Each section is rebuilt from what cannot be computed (secrets, draws, texts) and must
then be equal as a whole, so a value that nothing here computes is a difference too. In the conversation two devices seal and
open every message, byte for byte; ciphertexts of ML-KEM are taken from the file and opened.
"""

import json
import sys
from pathlib import Path

import protocol

FILE = Path(__file__).parent / "v1.json"
raw = bytes.fromhex
OPENING_CIPHERTEXT = slice(45, 1133)


class Vectors:
    """v1.json, rebuilt."""

    def __init__(self, given):
        self.given = given
        self.people = {person["name"]: person for person in given["people"]}

    def rebuild(self):
        given = self.given
        return {
            "protocol": "e2ee-messages/1",
            "origin": given["origin"],
            "people": [self.person(person) for person in given["people"]],
            "prekeys": {name: self.prekeys(name, cases) for name, cases in given["prekeys"].items()},
            "conversation": self.conversation(given["conversation"]),
            "blobs": [self.blob(case) for case in given["blobs"]],
            "room": self.room(given["room"]),
            "files": [self.file(case) for case in given["files"]],
            "state": self.state(given["state"]),
        }

    def person(self, given):
        # The certificate is e2ee-identity's, whose vectors check its hash.
        inputs = ("name", "account", "list_seq", "identity_seed", "signing_seed", "agreement_seed", "cert_hash")
        return {name: given[name] for name in inputs} | {
            "identity": ed25519(given["identity_seed"]).hex(),
            "device": ed25519(given["signing_seed"]).hex(),
            "agreement": protocol.public(raw(given["agreement_seed"])).hex(),
        }

    def cert(self, name):
        fields = ("account", "identity", "device", "agreement", "cert_hash")
        return {field: raw(self.people[name][field]) for field in fields} | {"name": name.encode()}

    def prekeys(self, name, given):
        seed = raw(self.people[name]["signing_seed"])

        def prekey(case):
            inputs = {field: case[field] for field in ("kind", "id", "day", "seed")}
            made = protocol.prekey(seed, case["kind"], case["id"], case["day"], raw(case["seed"]))
            return inputs | {"bytes": made.hex()}

        return [prekey(case) for case in given]

    def device(self, name):
        person, prekeys = self.people[name], self.given["prekeys"][name]
        return protocol.Device(
            self.given["origin"].encode(),
            self.cert(name),
            name.encode(),
            raw(person["agreement_seed"]),
            raw(person["signing_seed"]),
            {(case["kind"], protocol.u32(case["id"])): raw(case["seed"]) for case in prekeys},
        )

    def conversation(self, given):
        """Both devices on both sides: one pair seals what the other opens."""
        sealing = {name: self.device(name) for name in self.people}
        sealing_prekeys = {name: raw(cases[-1]["bytes"]) for name, cases in self.given["prekeys"].items()}
        messages, opened = given["messages"], []
        rebuilt = {}
        order = iter(given["opened"])
        for index, case in enumerate(messages):
            name = case["from"]
            peer = "ben" if name == "ada" else "ada"
            device, shared = sealing[name], None
            draws = iter([raw(draw) for draw in case["drawn"]])
            content_key = next(draws)
            blob = protocol.seal_blob(content_key, raw(case["id"]), raw(case["body"]))
            if case["bundle"]:
                # Ephemeral key; what the KEM drew; the first ratchet key.
                ephemeral, _, ratchet = next(draws), next(draws), next(draws)
                ciphertext = self.ciphertext(case, peer)
                kem = raw(case["bundle"])
                kind = protocol.ONE_TIME_KEM if protocol.ONE_TIME_KEM in protocol.read_bundle(
                    kem, self.cert(peer)["device"]
                ) else protocol.LAST_RESORT_KEM
                shared = protocol.decapsulate(self.kem_seed(peer, kind), ciphertext)
                device.initiate(self.cert(peer), kem, ciphertext, shared, ephemeral, ratchet)
            outer = device.seal(
                self.cert(peer),
                self.people[name]["list_seq"],
                blob,
                content_key,
                raw(case["checkpoint"]),
                case["bundle"] is not None and index > 0,
                sealing_prekeys[name],
                lambda draws=draws: next(draws),
            )
            rebuilt[index] = {field: case[field] for field in ("from", "id", "body", "checkpoint", "bundle", "drawn")}
            rebuilt[index] |= {"kem_secret": shared.hex() if shared else None}
            rebuilt[index] |= {"blob": blob.hex(), "outer": outer.hex()}
            if next(draws, None) is not None:
                raise protocol.Refused("a draw that nothing used")
            # What Rust had opened by then.
            while len(opened) < self.opened_after(index):
                opened.append(self.open(sealing, messages, next(order)))
        return {"messages": [rebuilt[index] for index in range(len(messages))], "opened": opened}

    @staticmethod
    def opened_after(index):
        return (0, 2, 3, 3, 4, 6, 7)[index]

    def open(self, devices, messages, index):
        case = messages[index]
        to = devices["ben" if case["from"] == "ada" else "ada"]
        cert, seq = self.cert(case["from"]), self.people[case["from"]]["list_seq"]
        message_id, body, checkpoint, replaces = to.open(cert, seq, raw(case["outer"]), raw(case["blob"]))
        expected = (raw(case["id"]), raw(case["body"]), raw(case["checkpoint"]))
        if (message_id, body, checkpoint) != expected or replaces != (case["bundle"] is not None and index > 0):
            raise protocol.Refused(f"message {index}")
        return index

    def kem_seed(self, name, kind):
        return next(raw(case["seed"]) for case in self.given["prekeys"][name] if case["kind"] == kind)

    def ciphertext(self, case, peer):
        """The KEM's ciphertext inside an outer, opened as its recipient does."""
        device = self.device(peer)
        found = []
        device.open_slip = lambda _, slip: found.append(slip[6:][OPENING_CIPHERTEXT])
        try:
            device.open(self.cert(case["from"]), 1, raw(case["outer"]), b"")
        except TypeError:
            # There is no payload.
            pass
        return found[0]

    def blob(self, given):
        sealed = protocol.seal_blob(raw(given["key"]), raw(given["id"]), raw(given["body"]))
        if protocol.open_blob(raw(given["key"]), sealed) != (raw(given["id"]), raw(given["body"])):
            raise protocol.Refused("blob")
        inputs = {field: given[field] for field in ("id", "body", "key")}
        return inputs | {"size": len(sealed), "hash": protocol.sha256(sealed).hex()}

    def room(self, given):
        admin, room = self.people[given["admin"]], raw(given["room"])
        lists, previous = [], bytes(32)
        for case in given["lists"]:
            members = [(raw(member["account"]), raw(member["identity"])) for member in case["members"]]
            made = protocol.room_list(
                raw(admin["identity_seed"]), raw(admin["identity"]), room, case["seq"], previous, members
            )
            digest = protocol.sha256(made)
            lists.append(
                {
                    "seq": case["seq"],
                    "previous": previous.hex(),
                    "members": case["members"],
                    "hash": digest.hex(),
                    "bytes": made.hex(),
                }
            )
            previous = digest
        listed = protocol.u64(lists[-1]["seq"]) + previous
        chain = {name: raw(value) for name, value in given["chain"].items()}
        verify = ed25519(given["chain"]["signing_seed"])
        key, messages = chain["key"], []
        for n, case in enumerate(given["messages"]):
            salt = raw(case["salt"])
            header = bytes([1]) + room + listed + raw(admin["device"]) + chain["id"] + protocol.u32(n) + salt
            made = protocol.seal_room(chain["signing_seed"], key, header, salt, raw(case["body"]))
            messages.append({"body": case["body"], "salt": case["salt"], "bytes": made.hex()})
            _, key = protocol.chain_step(key)
        first = protocol.sender_key(room, listed, chain["id"], 0, chain["key"], verify)
        inputs = {field: given[field] for field in ("room", "admin", "chain")}
        return inputs | {"lists": lists, "sender_key": first.hex(), "messages": messages}

    def file(self, given):
        data = bytes(index // 3 % 256 for index in range(given["size"]))
        chunks, key = protocol.seal_file(raw(given["key"]), raw(given["prefix"]), data)
        inputs = {field: given[field] for field in ("size", "key", "prefix")}
        sealed = [{"bytes": len(chunk), "hash": protocol.sha256(chunk).hex()} for chunk in chunks]
        return inputs | {"padded": protocol.padded_size(given["size"]), "chunks": sealed, "file_key": key.hex()}

    def state(self, given):
        def row(case):
            nonce, aad = raw(case["nonce"]), protocol.label("state") + raw(case["row"])
            sealed = bytes([1]) + nonce + protocol.seal(raw(given["key"]) + nonce, raw(case["contents"]), aad)
            return {field: case[field] for field in ("row", "contents", "nonce")} | {"sealed": sealed.hex()}

        return {"key": given["key"], "rows": [row(case) for case in given["rows"]]}


def ed25519(seed):
    return protocol.Ed25519PrivateKey.from_private_bytes(raw(seed)).public_key().public_bytes_raw()


def compare(path, given, computed):
    """The number of values, and every difference as a line of text."""
    if isinstance(given, dict) and isinstance(computed, dict) and given.keys() == computed.keys():
        pairs = [(f"{path}.{name}", given[name], computed[name]) for name in given]
    elif isinstance(given, list) and isinstance(computed, list) and len(given) == len(computed):
        pairs = [(f"{path}[{index}]", *pair) for index, pair in enumerate(zip(given, computed))]
    else:
        return 1, [] if given == computed else [f"{path}: file has {given}, computed {computed}"]
    results = [compare(*pair) for pair in pairs]
    return sum(count for count, _ in results), [line for _, lines in results for line in lines]


def main():
    given = json.loads(FILE.read_text(encoding="utf-8"))
    count, differences = compare("messages/v1.json", given, Vectors(given).rebuild())
    print(*differences, f"messages/v1.json: {count} values, {len(differences)} differences", sep="\n")
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
