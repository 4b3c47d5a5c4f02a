#!/usr/bin/env python3
"""Runs the unit tests of the crates that changed since a commit: `changed_tests.py COMMIT [ARGUMENTS OF CARGO…]`.

All crates are built with the given arguments, so that features and profile are those of the full test run and nothing
is compiled for this run alone; only the test programs of changed crates are started.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def changed_manifests(base):
    """The Cargo.toml of every crate with a file that differs from `base` or is not tracked."""
    files = output("git", "diff", "--name-only", base) + output("git", "ls-files", "--others", "--exclude-standard")
    for file in set(files.splitlines()):
        folders = (ROOT / file).parents
        yield next(str(folder / "Cargo.toml") for folder in folders if (folder / "Cargo.toml").is_file())


def main():
    base, arguments = sys.argv[1], sys.argv[2:]
    changed = set(changed_manifests(base))
    built = output("cargo", "test", *arguments, "--lib", "--bins", "--no-run", "--message-format", "json-render-diagnostics")
    for line in built.splitlines():
        artifact = json.loads(line)
        program = artifact.get("executable")
        if program and artifact["profile"]["test"] and artifact["manifest_path"] in changed:
            # Tests expect the folder of their crate, as under `cargo test`.
            folder = pathlib.Path(artifact["manifest_path"]).parent
            print(f"{artifact['target']['name']} ({folder.relative_to(ROOT)})", flush=True)
            subprocess.run([program, "--quiet"], cwd=folder, check=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
