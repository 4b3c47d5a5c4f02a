"""Recomputes v1.json from its inputs and compares every value; exits 1 if any differs.

Shares no code with the Rust crate: Argon2id is argon2-cffi's, Ed25519 libsodium's (PyNaCl), the rest OpenSSL's
(cryptography) and Python's. Each section is rebuilt from what cannot be computed (secrets, names, nonces, times) and must
then be equal as a whole, so a value that nothing here computes is a difference too.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.signing import SigningKey

FILE = Path(__file__).parent / "v1.json"
raw = bytes.fromhex


def label(purpose):
    return b"e2ee-identity/1 " + purpose.encode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def derive(salt, secret, info, length=32):
    return HKDF(SHA512(), length, salt, info).derive(secret)


def nfkc(text):
    return unicodedata.normalize("NFKC", text)


def encoded_name(origin, name):
    origin, name = origin.encode(), name.encode()
    return struct.pack(">H", len(origin)) + origin + bytes([len(name)]) + name


def public(seed):
    return bytes(SigningKey(seed).verify_key)


def sign(seed, purpose, message):
    return SigningKey(seed).sign(label(purpose) + message).signature


def agreement(seed):
    return X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Vectors:
    """v1.json, rebuilt. Later sections use values of earlier ones."""

    def __init__(self, given):
        self.given = given
        account = given["account"]
        self.id, self.origin, self.name = raw(account["id"]), account["origin"], account["name"]
        self.encoded = encoded_name(self.origin, self.name)
        self.vault, self.version = raw(given["vault"]["key"]), struct.pack(">I", given["vault"]["version"])

    def rebuild(self):
        each = ("names", "passwords", "stretches", "codes", "wraps", "blobs", "certs", "lists", "proofs")
        one = ("account", "passkey", "index", "succession", "safety", "totp")
        sections = {name: [getattr(self, name)(case) for case in self.given[name]] for name in each}
        sections |= {name: getattr(self, name)(self.given[name]) for name in one}
        sections["statements"] = [
            self.statement(case, listed) for case, listed in zip(self.given["statements"], self.given["lists"], strict=True)
        ]
        return {"protocol": "e2ee-identity/1", "vault": self.given["vault"]} | sections

    def account(self, given):
        return {
            "id": given["id"],
            "origin": self.origin,
            "name": self.name,
            "encoded": self.encoded.hex(),
            "origin_hash": sha256(self.origin.encode())[:8].hex(),
        }

    def names(self, given):
        return {"typed": given["typed"], "name": nfkc(nfkc(given["typed"]).lower())}

    def passwords(self, given):
        return {"typed": given["typed"], "normal": nfkc(given["typed"]).encode().hex()}

    def stretches(self, given):
        inputs = {name: given[name] for name in ("password", "salt", "memory_kib", "passes")}
        salt = sha256(label("salt"), self.encoded, raw(given["salt"]))
        root = hash_secret_raw(
            nfkc(given["password"]).encode(), salt, given["passes"], given["memory_kib"], 1, 32, Type.ID
        )
        auth, wrap = (derive(label("password"), root, label(info) + self.encoded) for info in ("auth", "vault"))
        return inputs | {
            "argon2_salt": salt.hex(),
            "root": root.hex(),
            "auth": auth.hex(),
            "wrap_key": wrap.hex(),
            "slot": given["salt"],
        }

    def codes(self, given):
        code = given["code"].replace("-", "").encode()
        sizes = {"id": 8, "auth": 32, "wrap": 32}
        keys = {
            name: derive(label("code") + self.id, code, name.encode() + self.encoded, size)
            for name, size in sizes.items()
        }
        return {
            "code": given["code"],
            "id": keys["id"].hex(),
            "auth": keys["auth"].hex(),
            "wrap_key": keys["wrap"].hex(),
            "slot": (keys["id"] + bytes(8)).hex(),
        }

    def passkey(self, given):
        return {
            "prf_input": sha256(label("prf"), self.origin.encode()).hex(),
            "credential": given["credential"],
            "prf": given["prf"],
            "wrap_key": derive(label("passkey"), raw(given["prf"]), self.id + self.encoded).hex(),
            "slot": sha256(label("credential"), raw(given["credential"]))[:16].hex(),
        }

    def wraps(self, given):
        inputs = {name: given[name] for name in ("kind", "slot", "wrap_key", "nonce")}
        head, nonce = bytes([given["kind"]]) + raw(given["slot"]) + self.version, raw(given["nonce"])
        sealed = AESGCM(raw(given["wrap_key"])).encrypt(nonce, self.vault, label("wrap") + self.id + head)
        return inputs | {"bytes": (b"\1" + head + nonce + sealed).hex()}

    def seal(self, name, version, nonce, contents):
        key = derive(label("archive"), self.vault, self.id + name.encode())
        aad = label("blob") + self.id + name.encode() + struct.pack(">Q", version) + self.version
        return key, b"\1" + nonce + AESGCM(key).encrypt(nonce, contents, aad)

    def blobs(self, given):
        inputs = {name: given[name] for name in ("name", "version", "contents", "nonce")}
        key, sealed = self.seal(given["name"], given["version"], raw(given["nonce"]), raw(given["contents"]))
        return inputs | {"key": key.hex(), "sealed": sealed.hex()}

    def index(self, given):
        blobs = sorted(self.given["blobs"], key=lambda blob: blob["name"])
        contents = bytes([1, len(blobs)])
        for blob in blobs:
            name, sealed = blob["name"].encode(), raw(blob["sealed"])
            contents += bytes([len(name)]) + name + struct.pack(">Q", blob["version"]) + sha256(sealed)
        _, sealed = self.seal("index", given["version"], raw(given["sealed"])[1:13], contents)
        return {
            "version": given["version"],
            "bytes": contents.hex(),
            "sealed": sealed.hex(),
            "mark": (self.version + struct.pack(">Q", given["version"]) + sha256(sealed)).hex(),
        }

    def certs(self, given):
        names = ("label", "label_salt", "signing_seed", "agreement_seed", "identity", "added_day", "kind")
        seed = raw(given["signing_seed"])
        label_hash = sha256(label("name"), raw(given["label_salt"]), given["label"].encode())
        keys = agreement(raw(given["agreement_seed"]))
        signed = b"\1" + self.id + raw(given["identity"]) + public(seed) + keys
        signed += struct.pack(">IB", given["added_day"], given["kind"]) + label_hash
        cert = signed + sign(seed, "device", signed)
        return {name: given[name] for name in names} | {
            "label_hash": label_hash.hex(),
            "device": public(seed).hex(),
            "agreement": keys.hex(),
            "hash": sha256(cert).hex(),
            "bytes": cert.hex(),
        }

    def lists(self, given):
        seed, certs = raw(given["identity_seed"]), sorted(given["certs"])
        earlier = [other for other in self.given["lists"] if other["seq"] == given["seq"] - 1]
        previous = sha256(raw(earlier[0]["bytes"])) if earlier else bytes(32)
        name = self.name.encode()
        signed = b"\1" + self.id + public(seed) + sha256(self.origin.encode())[:8] + bytes([len(name)]) + name
        signed += struct.pack(">Q", given["seq"]) + previous + bytes([len(certs)]) + raw("".join(certs))
        listed = signed + sign(seed, "list", signed)
        return {
            "identity_seed": given["identity_seed"],
            "identity": public(seed).hex(),
            "seq": given["seq"],
            "previous": previous.hex(),
            "certs": certs,
            "hash": sha256(listed).hex(),
            "bytes": listed.hex(),
        }

    def succession(self, given):
        seeds = [raw(given[name]) for name in ("old_seed", "new_seed")]
        signed = b"\1" + b"".join(map(public, seeds)) + self.id + struct.pack(">Q", given["seq"])
        signatures = b"".join(sign(seed, "succession", signed) for seed in seeds)
        return {name: given[name] for name in ("old_seed", "new_seed", "seq")} | {"bytes": (signed + signatures).hex()}

    def statement(self, given, listed):
        statement = b"\1" + self.id + raw(listed["identity"]) + struct.pack(">Q", listed["seq"])
        statement += raw(listed["hash"]) + bytes([given["closed"]])
        return {"closed": given["closed"], "bytes": statement.hex(), "value": sha256(statement).hex()}

    def proofs(self, given):
        names = ("signing_seed", "operation", "token", "time", "nonce")
        message = bytes([given["operation"]]) + sha256(self.origin.encode()) + self.id
        message += sha256(raw(given["token"])) + struct.pack(">Q", given["time"]) + raw(given["nonce"])
        return {name: given[name] for name in names} | {"proof": sign(raw(given["signing_seed"]), "proof", message).hex()}

    def safety(self, given):
        people = [raw(one["identity"]) + encoded_name(self.origin, one["name"]) for one in given["people"]]
        number = derive(label("safety"), b"".join(sorted(people)), b"number", 64)
        groups = [int.from_bytes(number[at : at + 5], "big") % 100_000 for at in range(0, 60, 5)]
        digits = " ".join(f"{group:05}" for group in groups)
        return {"people": given["people"], "digits": digits, "qr": number[:32].hex()}

    def totp(self, given):
        secret = raw(given["secret"])

        def code(time):
            mac = hmac.digest(secret, struct.pack(">Q", time // 30), "sha1")
            (number,) = struct.unpack_from(">I", mac, mac[19] & 15)
            return {"time": time, "code": f"{(number & 0x7FFFFFFF) % 1_000_000:06}"}

        base32 = base64.b32encode(secret).decode()
        issuer = quote(self.origin.removeprefix("https://"), safe="")
        uri = f"otpauth://totp/{issuer}:{self.name}?secret={base32}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        codes = [code(case["time"]) for case in given["codes"]]
        return {"secret": given["secret"], "base32": base32, "uri": uri, "codes": codes}


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
    count, differences = compare("identity/v1.json", given, Vectors(given).rebuild())
    print(*differences, f"identity/v1.json: {count} values, {len(differences)} differences", sep="\n")
    sys.exit(bool(differences))


if __name__ == "__main__":
    main()
