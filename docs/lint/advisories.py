#!/usr/bin/env python3
"""Compares Cargo.lock with the advisories of RustSec; exits with 1 if one applies, and with 2 if it cannot tell.

`advisories.py` clones the database at the pinned revision of docs/security/advisory-db. `ADVISORY_DB=…` names another URL or a
checkout on this machine, `ADVISORY_REV=…` another revision (of a checkout: what its HEAD must be, or `any`). Nothing passes
silently: a database that is missing, at another revision or implausibly small is an error that names what is missing.

`advisories.py --self-test` tries the comparison on advisories of its own.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIN = ROOT / "docs/security/advisory-db"
# The database had more than 900 in 2026. Fewer are no database.
LEAST = 500
# Advisories that were looked at and do not apply: id, and why.
IGNORED = {}


class CannotTell(Exception):
    """There is no answer, and so no approval."""


def version(text):
    """A version as a tuple that sorts as Semantic Versioning does: a pre-release comes before its release."""
    core, _, pre = text.split("+")[0].partition("-")
    numbers = [int(part) for part in core.split(".")]
    numbers += [0] * (3 - len(numbers))
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")] if pre else []
    return (*numbers, not pre, tuple(parts))


def matches(have, requirement):
    """Whether a version fulfils a requirement such as ">= 1.2.3, < 2" or "^0.4.1"."""
    for part in requirement.split(","):
        found = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~)?\s*(\d[\w.+-]*)\s*", part)
        if not found:
            raise CannotTell(f"a requirement that this program does not understand: {requirement!r}")
        operator, text = found.group(1) or "^", found.group(2)
        bound = version(text)
        given = text.split("-")[0].split(".")
        major, minor, patch = bound[:3]
        if operator == "^":
            above = (major + 1, 0, 0) if major or len(given) == 1 else (0, minor + 1, 0) if minor or len(given) == 2 \
                else (0, 0, patch + 1)
        elif operator == "~":
            above = (major + 1, 0, 0) if len(given) == 1 else (major, minor + 1, 0)
        ok = {
            ">=": have >= bound, "<=": have <= bound, ">": have > bound, "<": have < bound,
            "=": have[:len(given)] == bound[:len(given)] if len(given) < 3 else have == bound,
        }.get(operator)
        if ok is None:
            ok = have >= bound and have[:3] < above
        if not ok:
            return False
    return True


def read(folder):
    """Yields package, id, title, versions that are safe, and whether it only informs."""
    for path in sorted(folder.glob("crates/*/RUSTSEC-*.md")):
        text = path.read_text(encoding="utf-8")
        found = re.match(r"```toml\n(.*?)\n```\n(.*)", text, re.DOTALL)
        if not found:
            raise CannotTell(f"{path}: not an advisory")
        data = tomllib.loads(found.group(1))
        advisory, versions = data["advisory"], data.get("versions", {})
        if "withdrawn" in advisory:
            continue
        title = re.search(r"^# (.*)", found.group(2), re.MULTILINE)
        safe = versions.get("patched", []) + versions.get("unaffected", [])
        yield advisory["package"], advisory["id"], title.group(1) if title else "", safe, advisory.get("informational")


def locked(text):
    return [(package["name"], package["version"]) for package in tomllib.loads(text)["package"] if "source" in package]


def applying(advisories, packages):
    """Returns the lines of advisories that apply, and of those that only inform."""
    found, told = [], []
    by_name = {}
    for name, number in packages:
        by_name.setdefault(name, []).append(number)
    for package, identity, title, safe, informs in advisories:
        for number in by_name.get(package, []):
            if identity in IGNORED or any(matches(version(number), requirement) for requirement in safe):
                continue
            (told if informs in ("unmaintained", "notice") else found).append(f"{identity}: {package} {number}: {title}")
    return found, told


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise CannotTell(f"git {' '.join(arguments[:3])} …: {done.stderr.strip().splitlines()[-1:] or 'failed'}")
    return done.stdout.strip()


def database(scratch):
    url, revision = PIN.read_text().split()
    url, revision = os.environ.get("ADVISORY_DB") or url, os.environ.get("ADVISORY_REV") or revision
    if pathlib.Path(url).is_dir():
        if revision != "any" and (have := git("-C", url, "rev-parse", "HEAD")) != revision:
            raise CannotTell(f"{url} is at {have}, and {revision} is pinned; ADVISORY_REV=any takes it as it is")
        return pathlib.Path(url), revision
    try:
        git("init", "--quiet", scratch)
        git("-C", scratch, "fetch", "--quiet", "--depth", "1", url, "HEAD" if revision == "any" else revision)
        git("-C", scratch, "checkout", "--quiet", "FETCH_HEAD")
    except (CannotTell, subprocess.TimeoutExpired) as error:
        raise CannotTell(f"the advisory database of RustSec is missing: {url} at {revision} cannot be fetched ({error}). "
                         "Name a checkout with ADVISORY_DB=DIR") from error
    return pathlib.Path(scratch), revision


def audit():
    with tempfile.TemporaryDirectory() as scratch:
        folder, revision = database(scratch)
        advisories = list(read(folder))
    if len(advisories) < LEAST:
        raise CannotTell(f"{folder} has {len(advisories)} advisories, and the database of RustSec more than {LEAST}")
    packages = locked((ROOT / "Cargo.lock").read_text())
    found, told = applying(advisories, packages)
    for line in told:
        print(f"notice: {line}")
    for line in found:
        print(line)
    print(f"{len(packages)} packages, {len(advisories)} advisories at {revision[:12]}: {len(found)} apply")
    return 1 if found else 0


def self_test():
    cases = [
        ("1.2.3", ">= 1.2.3", True), ("1.2.2", ">= 1.2.3", False), ("1.2.3-rc.1", ">= 1.2.3", False),
        ("0.4.9", "^0.4.1", True), ("0.5.0", "^0.4.1", False), ("0.0.3", "^0.0.3", True), ("0.0.4", "^0.0.3", False),
        ("1.9.0", "^1.2", True), ("2.0.0", "^1", False), ("1.2.9", "~1.2.3", True), ("1.3.0", "~1.2.3", False),
        ("1.5.0", ">= 1.4, < 2", True), ("2.0.0", ">= 1.4, < 2", False), ("1.2.7", "= 1.2", True), ("1.2.7", "1.2.7", True),
        ("0.23.46", ">= 0.23.45", True), ("1.10.0", "> 1.9", True), ("1.0.0+x", "<= 1.0.0", True),
    ]
    for have, requirement, expected in cases:
        assert matches(version(have), requirement) is expected, (have, requirement)
    lock = '[[package]]\nname = "a"\nversion = "1.0.0"\nsource = "registry"\n[[package]]\nname = "own"\nversion = "1.0.0"\n'
    advisories = [
        ("a", "R-1", "old", [">= 1.0.0"], None), ("a", "R-2", "applies", [">= 1.0.1"], None),
        ("own", "R-3", "of the project itself", [], None), ("a", "R-4", "abandoned", [], "unmaintained"),
        ("a", "R-5", "unsound", [], "unsound"), ("b", "R-6", "not used", [], None),
    ]
    found, told = applying(advisories, locked(lock))
    assert [line[:3] for line in found] == ["R-2", "R-5"] and [line[:3] for line in told] == ["R-4"], (found, told)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch, "crates/a")
        folder.mkdir(parents=True)
        head = '[advisory]\nid = "R"\npackage = "a"\n'
        folder.joinpath("RUSTSEC-1.md").write_text(f"```toml\n{head}[versions]\npatched = [\">= 2\"]\n```\n\n# Title\n")
        folder.joinpath("RUSTSEC-2.md").write_text(f"```toml\n{head}withdrawn = \"2026-01-01\"\n```\n\n# Other\n")
        assert list(read(pathlib.Path(scratch))) == [("a", "R", "Title", [">= 2"], None)]
    print("the comparison works")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    try:
        return audit()
    except CannotTell as error:
        print(f"error: no audit was made: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
