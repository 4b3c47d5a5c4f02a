"""Recomputes v1.json and rfc9605.json from their inputs and compares every value; exits 1 if any differs.

Each section is rebuilt from what cannot be computed (secrets, names, nonces, times) and must then be equal as a whole,
so a value that nothing here computes is a difference too.
"""

import hmac
import json
import sys
from pathlib import Path

import nacl.signing
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

import names
import protocol as p

HERE = Path(__file__).parent
raw = bytes.fromhex


def kid(case):
    number = p.pack_kid(case["step"], case["generation"], case["seat"], case["stream"])
    inputs = {name: case[name] for name in ("step", "generation", "seat", "stream")}
    return inputs | {"kid": number, "header_of_ctr_0": p.sframe_header(number, 0).hex()}


class Vectors:
    """v1.json, rebuilt. Later sections use the devices and keys of earlier ones."""

    def __init__(self, given):
        self.given = given
        self.call = p.Call(raw(given["call"]["room"]), raw(given["call"]["call"]), raw(given["invite"]["secret"]))
        self.announced = {}
        self.devices = {device["name"]: device for device in given["devices"]}
        self.keys = {}

    def rebuild(self):
        given = self.given
        return {
            "protocol": "e2ee-frames/1",
            "kids": [kid(case) for case in given["kids"]],
            "invite": self.invite(),
            "call": {"room": self.call.room.hex(), "call": self.call.call.hex()},
            "devices": [self.device(device) for device in given["devices"]],
            "key_batches": [self.batch(batch) for batch in given["key_batches"]],
            "key_schedule": self.schedule(given["key_schedule"]),
            "frames": [self.frame(frame) for frame in given["frames"]],
            "profile_n": [self.bare_frame(frame) for frame in given["profile_n"]],
            "chats": [self.chat(chat) for chat in given["chats"]],
            "call_codes": [self.call_code(code["roster"]) for code in given["call_codes"]],
            "names": self.names(given["names"]),
        }

    def names(self, given):
        def cleaned(chosen):
            shown = names.harmless(chosen)
            return {"chosen": chosen, "shown": shown, "skeleton": names.skeleton(shown)}

        return {
            "cleaned": [cleaned(case["chosen"]) for case in given["cleaned"]],
            "numbered": [
                {"chosen": case["chosen"], "shown": names.numbered(case["chosen"])} for case in given["numbered"]
            ],
        }

    def invite(self):
        secret = self.call.invite
        names = {"access": "access", "announce_key": "announce", "display_key": "display"}
        return {"secret": secret.hex()} | {name: p.invite_key(secret, info).hex() for name, info in names.items()}

    def device(self, given):
        fields = given["announce"]
        incarnation, ephemeral = raw(fields["incarnation"]), raw(given["ephemeral_secret"])
        signing = raw(given["signing_seed"])
        public = bytes(nacl.signing.SigningKey(signing).verify_key)
        join_id = self.call.join_id(public, incarnation)
        sealed_name = p.seal_name(self.call, join_id, given["name"], raw(given["sealed_name"])[:12])
        times = fields["seq"], fields["not_before"], fields["not_after"]
        announce = p.write_announce(self.call, signing, incarnation, ephemeral, sealed_name, *times)
        self.announced[given["name"]] = p.verify_announce(self.call, announce, sealed_name)
        cut = p.fields(announce, *p.ANNOUNCE_FIELDS)
        numbers = {"version", "auth", "profiles", "seq", "not_before", "not_after"}
        return {
            "name": given["name"],
            "participant": given["participant"],
            "seat": given["seat"],
            "signing_seed": signing.hex(),
            "ephemeral_secret": ephemeral.hex(),
            "announce": {
                name: int.from_bytes(value, "big") if name in numbers else value.hex()
                for name, value in zip(fields, cut, strict=True)
            },
            "announce_bytes": announce.hex(),
            "announce_hash": p.sha256(announce).hex(),
            "join_id": join_id.hex(),
            "sealed_name": sealed_name.hex(),
        }

    def batch(self, given):
        sender, seat = self.announced[given["sender"]], self.devices[given["sender"]]["seat"]
        generation, step = given["generation"], given["step"]
        before = self.keys.get((given["sender"], generation, step - 1))
        secret = before.next_step().secret if before else raw(given["key"])
        key = p.SessionKey(self.call, sender.join_id, generation, step, secret)
        self.keys[given["sender"], generation, step] = key
        roster = p.roster_hash(self.announced[name].join_id for name in given["roster"])
        reason, created, nonce = given["reason"], given["created"], raw(given["nonce"])
        count = len(given["entries"])
        header = p.write_batch_header(key, seat, sender.seq, reason, created, roster, nonce, count)
        return {
            "sender": given["sender"],
            "key": secret.hex(),
            "seat": seat,
            "join_id_half": sender.join_id[:16].hex(),
            "announce_seq": sender.seq,
            "generation": generation,
            "step": step,
            "reason": reason,
            "created": created,
            "roster": given["roster"],
            "roster_hash": roster.hex(),
            "commitment": key.commitment.hex(),
            "nonce": nonce.hex(),
            "header_bytes": header.hex(),
            "entries": [self.entry(entry["recipient"], given["sender"], header, key) for entry in given["entries"]],
        }

    def entry(self, recipient_name, sender_name, header, key):
        sender, recipient = self.announced[sender_name], self.announced[recipient_name]
        secret, theirs = (raw(self.devices[name]["ephemeral_secret"]) for name in (sender_name, recipient_name))
        seat = self.devices[recipient_name]["seat"]
        entry = p.seal_entry(header, key, sender, secret, recipient, seat)
        opened = p.open_entry(self.call, header, entry, sender, recipient, theirs)
        context = p.batch_context(header, sender, recipient)
        return {
            "recipient": recipient_name,
            "recipient_seat": seat,
            "recipient_announce_seq": recipient.seq,
            "x25519": p.x25519(theirs, sender.ephemeral).hex(),
            "context": context.hex(),
            "plain": (opened.secret + context).hex(),
            "box": entry[6:].hex(),
            "bytes": entry.hex(),
        }

    def key(self, sender, generation, step):
        """The key of a batch, or ratcheted from it."""
        found = self.keys.get((sender, generation, step))
        return found or self.key(sender, generation, step - 1).next_step()

    def schedule(self, given):
        sender, generation = given["sender"], given["generation"]
        steps = []
        for step in range(8):
            key = self.key(sender, generation, step)
            number, sframe_key, salt = key.frame_keys(self.devices[sender]["seat"], 2)
            steps.append(
                {
                    "step": step,
                    "key": key.secret.hex(),
                    "prk": key.prk.hex(),
                    "context": key.context.hex(),
                    "commitment": key.commitment.hex(),
                    "base_key": key.base_key.hex(),
                    "kid": number,
                    "sframe_key": sframe_key.hex(),
                    "sframe_salt": salt.hex(),
                }
            )
        join_id = self.announced[sender].join_id.hex()
        return {"sender": sender, "join_id": join_id, "generation": generation, "steps": steps}

    def frame(self, given):
        names = ("sender", "generation", "step", "stream", "ctr", "codec", "kind")
        inputs = {name: given[name] for name in names}
        key = self.key(given["sender"], given["generation"], given["step"])
        number, sframe_key, salt = key.frame_keys(self.devices[given["sender"]]["seat"], given["stream"])
        metadata = p.metadata(given["codec"], given["kind"])
        sframe = p.sframe_seal(sframe_key, salt, number, given["ctr"], metadata, raw(given["plain"]))
        sealed = p.wrap(given["codec"], given["kind"], sframe)
        opened = p.sframe_open(sframe_key, salt, metadata, p.unwrap(given["codec"], given["kind"], sealed))
        return inputs | {
            "plain": opened.hex(),
            "kid": number,
            "metadata": metadata.hex(),
            "sframe_key": sframe_key.hex(),
            "sframe_salt": salt.hex(),
            "nonce": p.sframe_nonce(salt, given["ctr"]).hex(),
            "sframe": sframe.hex(),
            "sealed": sealed.hex(),
        }

    def bare_frame(self, given):
        names = ("sender", "generation", "step", "stream", "ctr", "max_payload", "packetized")
        key = self.key(given["sender"], given["generation"], given["step"])
        number, sframe_key, salt = key.frame_keys(self.devices[given["sender"]]["seat"], given["stream"])
        sframe = p.sframe_seal(sframe_key, salt, number, given["ctr"], b"", raw(given["plain"]))
        payloads = p.payloads(sframe, given["max_payload"], given["packetized"])
        assembled, packetized = p.assemble(payloads)
        return {name: given[name] for name in names} | {
            "plain": p.sframe_open(sframe_key, salt, b"", assembled).hex(),
            "kid": number,
            "sframe_key": sframe_key.hex(),
            "sframe_salt": salt.hex(),
            "nonce": p.sframe_nonce(salt, given["ctr"]).hex(),
            "sframe": sframe.hex(),
            "packetized": int(packetized),
            "payloads": [payload.hex() for payload in payloads],
        }

    def chat(self, given):
        names = ("sender", "generation", "step", "stream", "ctr", "id")
        key = self.key(given["sender"], given["generation"], given["step"])
        number, sframe_key, salt = key.frame_keys(self.devices[given["sender"]]["seat"], given["stream"])
        metadata = p.chat_metadata(raw(given["id"]))
        content = p.chat_content(given["type"], given["text"])
        sframe = p.sframe_seal(sframe_key, salt, number, given["ctr"], metadata, content)
        kind, text = p.read_chat(p.sframe_open(sframe_key, salt, metadata, sframe))
        return {name: given[name] for name in names} | {
            "type": kind,
            "text": text,
            "plain": content.hex(),
            "kid": number,
            "metadata": metadata.hex(),
            "sframe_key": sframe_key.hex(),
            "sframe_salt": salt.hex(),
            "nonce": p.sframe_nonce(salt, given["ctr"]).hex(),
            "sframe": sframe.hex(),
        }

    def call_code(self, roster):
        join_ids = [self.announced[name].join_id for name in roster]
        code = p.call_code(self.call, join_ids)
        return {
            "roster": roster,
            "roster_hash": p.roster_hash(join_ids).hex(),
            "code": code.hex(),
            "digits": p.call_code_digits(code),
        }


TAG_BYTES = {1: 10, 2: 8, 3: 4}


def aes_ctr_hmac(suite, key, nonce, aad, plain):
    """RFC 9605 4.5.1."""
    encryptor = Cipher(AES(key[:16]), CTR(nonce + bytes(4))).encryptor()
    ct = encryptor.update(plain) + encryptor.finalize()
    lengths = p.u64(len(aad)) + p.u64(len(ct)) + p.u64(TAG_BYTES[suite])
    return ct + hmac.digest(key[16:], lengths + nonce + aad + ct, "sha256")[: TAG_BYTES[suite]]


def rfc_aead(given):
    inputs = {name: given[name] for name in ("cipher_suite", "key", "nonce", "aad", "pt")}
    key, nonce, aad, plain = (raw(given[name]) for name in ("key", "nonce", "aad", "pt"))
    sealed = aes_ctr_hmac(given["cipher_suite"], key, nonce, aad, plain)
    return inputs | {"enc_key": key[:16].hex(), "auth_key": key[16:].hex(), "ct": sealed.hex()}


def rfc_frame(given):
    inputs = {name: given[name] for name in ("cipher_suite", "kid", "ctr", "base_key", "metadata", "pt")}
    suite, number, ctr = given["cipher_suite"], given["kid"], given["ctr"]
    base_key, metadata, plain = (raw(given[name]) for name in ("base_key", "metadata", "pt"))
    key, salt = p.sframe_keys(base_key, number, suite, {4: 16, 5: 32}.get(suite, 48))
    label = p.u64(number) + p.u16(suite)
    header, nonce = p.sframe_header(number, ctr), p.sframe_nonce(salt, ctr)
    if suite in TAG_BYTES:
        sealed = header + aes_ctr_hmac(suite, key, nonce, header + metadata, plain)
    else:
        sealed = p.sframe_seal(key, salt, number, ctr, metadata, plain)
    return inputs | {
        "sframe_key_label": (b"SFrame 1.0 Secret key " + label).hex(),
        "sframe_salt_label": (b"SFrame 1.0 Secret salt " + label).hex(),
        "sframe_secret": p.extract(b"", base_key, "sha512" if suite == 5 else "sha256").hex(),
        "sframe_key": key.hex(),
        "sframe_salt": salt.hex(),
        "nonce": nonce.hex(),
        "aad": (header + metadata).hex(),
        "ct": sealed.hex(),
    }


def rfc(given):
    return {
        "source": "RFC 9605 Appendix C",
        "header": [[k, c, p.sframe_header(int(k, 16), int(c, 16)).hex()] for k, c, _ in given["header"]],
        "aes_ctr_hmac": [rfc_aead(case) for case in given["aes_ctr_hmac"]],
        "sframe_aes_ctr_hmac": [rfc_frame(case) for case in given["sframe_aes_ctr_hmac"]],
        "sframe": [rfc_frame(case) for case in given["sframe"]],
    }


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
    differing = False
    for name, rebuild in (("v1.json", lambda given: Vectors(given).rebuild()), ("rfc9605.json", rfc)):
        given = json.loads((HERE / name).read_text(encoding="utf-8"))
        count, differences = compare(name, given, rebuild(given))
        print(*differences, f"{name}: {count} values, {len(differences)} differences", sep="\n")
        differing |= bool(differences)
    sys.exit(differing)


if __name__ == "__main__":
    main()
