"""Recomputes v1.json from its inputs, by another implementation of RFC 6962 and C2SP; exits 1 if anything differs."""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG = "call.example/directory"
DAY, AHEAD = 24 * 60 * 60, 5 * 60


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(data):
    return base64.b64encode(data).decode()


# RFC 6962 section 2.1, by its recursive definitions.


def split(n):
    return 1 << (n - 1).bit_length() - 1


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    k = split(len(leaves))
    return sha(b"\1", root(leaves[:k]), root(leaves[k:]))


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return path(m, leaves[:k]) + [root(leaves[k:])] if m < k else path(m - k, leaves[k:]) + [root(leaves[:k])]


def proof(m, leaves, whole=True):
    if m in (0, len(leaves)):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return proof(m, leaves[:k], whole) + [root(leaves[k:])]
    return proof(m - k, leaves[k:], False) + [root(leaves[:k])]


def consistent(old, old_root, new, new_root, hashes):
    """Rebuilds both roots from the proof, by the same recursion, instead of the RFC's loop."""
    rest = list(hashes)

    def roots(m, n, whole):
        if m == n:
            node = old_root if whole else rest.pop(0)
            return node, node
        k = split(n)
        if m <= k:
            left_old, left = roots(m, k, whole)
            return left_old, sha(b"\1", left, rest.pop(0))
        right_old, right = roots(m - k, n - k, False)
        left = rest.pop(0)
        return sha(b"\1", left, right_old), sha(b"\1", left, right)

    if old == 0:
        return not rest and (new > 0 or new_root == old_root == sha())
    try:
        return roots(old, new, True) == (old_root, new_root) and not rest
    except IndexError:
        return False


def leaves(size):
    return [sha(b"\0", str(index).encode()) for index in range(size)]


# C2SP notes and keys.


class Key:
    def __init__(self, name, kind, seed):
        self.name, self.kind, self.private = name, kind, Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes_raw()
        self.id = key_id(name, kind, self.public)
        self.verifier = f"{name}+{self.id.hex()}+{b64(bytes([kind]) + self.public)}"
        self.text = f"PRIVATE+KEY+{name}+{self.id.hex()}+{b64(bytes([kind]) + seed)}"

    def line(self, text, time=None):
        if time is None:
            signature = self.private.sign(text.encode())
        else:
            signature = time.to_bytes(8, "big") + self.private.sign(cosigned(text, time))
        return f"\u2014 {self.name} {b64(self.id + signature)}\n"


def key_id(name, kind, public):
    return sha(name.encode(), b"\n", bytes([kind]), public)[:4]


def cosigned(text, time):
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def verifier(text):
    name, identifier, key = text.split("+", 2)
    key = base64.b64decode(key)
    kind, public = key[0], key[1:]
    assert key_id(name, kind, public).hex() == identifier
    return name, kind, public


def signed(note, key):
    """Times of the signatures of a key on a note; None stands for a signature without a time."""
    name, kind, public = key
    text, lines = note.rsplit("\n\n", 1)
    for line in lines.splitlines():
        _, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if signer != name or signature[:4] != key_id(name, kind, public):
            continue
        time, message = None, (text + "\n").encode()
        if kind == 4:
            time = int.from_bytes(signature[4:12], "big")
            message = cosigned(text + "\n", time)
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature[-64:], message)
        except InvalidSignature:
            sys.exit(f"a signature by {name} does not verify")
        yield time


def checkpoint(size):
    return f"{LOG}\n{size}\n{b64(root(leaves(size)))}\n"


def trust(file, note, now):
    """Whether a policy trusts a note, and since when a quorum vouches for it."""
    logs, names, groups, quorum = [], {}, {}, None
    for words in (line.split() for line in file.splitlines()):
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "log":
            logs.append(verifier(words[1]))
        elif words[0] == "witness":
            times = [t for t in signed(note, verifier(words[2])) if now - DAY <= t <= now + AHEAD]
            names[words[1]] = max(times, default=None)
        elif words[0] == "group":
            groups[words[1]] = (words[2], words[3:])
        else:
            quorum = words[1]

    def since(name):
        """The newest time from which on a name's cosignatures suffice: the k-th newest of its members."""
        if name in names:
            return names[name]
        k, members = groups[name]
        k = {"all": len(members), "any": 1}.get(k) or int(k)
        times = sorted((t for t in map(since, members) if t is not None), reverse=True)
        return times[k - 1] if len(times) >= k else None

    by_log = any(name == note.split("\n")[0] and list(signed(note, (name, *rest))) for name, *rest in logs)
    if quorum == "none":
        return by_log, None
    time = since(quorum)
    return by_log and time is not None, time


class Witness:
    def __init__(self, key, log):
        self.key, self.log, self.size, self.root = key, log, 0, sha()

    def answer(self, request, now):
        head, note = request.split("\n\n", 1)
        old, *hashes = head.split("\n")
        old, hashes = int(old.removeprefix("old ")), [base64.b64decode(line) for line in hashes]
        text = note.rsplit("\n\n", 1)[0] + "\n"
        origin, size, new_root = text.splitlines()
        size, new_root = int(size), base64.b64decode(new_root)
        if origin != self.log[0]:
            return 404, ""
        if not list(signed(note, self.log)):
            return 403, ""
        if old > size:
            return 400, ""
        if old != self.size:
            return 409, ""
        if not consistent(old, self.root, size, new_root, hashes):
            return 422, ""
        self.size, self.root = size, new_root
        return 200, self.key.line(text, now)


def rebuild(given):
    keys = [Key(key["name"], key["type"], bytes.fromhex(key["seed"])) for key in given["keys"]]
    log, witnesses = keys[0], dict(enumerate(keys[1:], 2))
    all_leaves = leaves(len(given["trees"]["roots"]) - 1)
    hexes = lambda hashes: [value.hex() for value in hashes]
    trees = {
        "roots": [root(all_leaves[:size]).hex() for size in range(len(all_leaves) + 1)],
        "inclusion": [case | {"proof": hexes(path(case["index"], all_leaves[:case["size"]]))}
                      for case in given["trees"]["inclusion"]],
        "consistency": [case | {"proof": hexes(proof(case["old"], all_leaves[:case["new"]]))}
                        for case in given["trees"]["consistency"]],
    }
    notes = []
    for case in given["notes"]:
        text = checkpoint(case["size"])
        lines = [log.line(text)] + [witnesses[seed].line(text, int(time)) for seed, time in case["cosigned"]]
        notes.append(case | {"note": text + "\n" + "".join(lines)})
    policies = []
    for case in given["policies"]:
        trusted, time = trust(case["file"], case["note"], case["now"])
        policies.append(case | {"trusted": trusted, "quorum_time": time if trusted else None})
    witness, requests = Witness(witnesses[2], verifier(log.verifier)), []
    for case in given["requests"]:
        status, body = witness.answer(case["request"], case["now"])
        requests.append(case | {"status": status, "body": body})
    return {
        "trees": trees,
        "keys": [case | {"verifier": key.verifier, "private": key.text} for case, key in zip(given["keys"], keys)],
        "notes": notes,
        "policies": policies,
        "requests": requests,
    }


def main():
    given = json.loads((Path(__file__).parent / "v1.json").read_text())
    rebuilt = rebuild(given)
    wrong = [section for section in given if given[section] != rebuilt.get(section)]
    if wrong:
        sys.exit(f"tlog vectors differ: {', '.join(wrong)}")
    # The vectors have to show something: both outcomes of policies, and every status that a witness of one log answers.
    assert {case["trusted"] for case in given["policies"]} == {True, False}
    assert {case["status"] for case in given["requests"]} == {200, 400, 409, 422}
    print(f"tlog: {sum(map(len, (given['trees']['inclusion'], given['trees']['consistency'])))} proofs, "
          f"{len(given['notes'])} notes, {len(given['policies'])} verdicts, {len(given['requests'])} requests")


main()
