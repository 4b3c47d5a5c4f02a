#!/usr/bin/env python3
"""Checks the dashboard and the alerts against a real Prometheus that scrapes a real server with a call in it.

Usage: check.py TACET, the binary; `prometheus` and `promtool` are found by PATH. Fails if a query of the
dashboard has no data while calls are going on, or if Prometheus rejects a rule or a metric. Everything runs
on free ports of loopback and ends with this program.
"""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

FOLDER = pathlib.Path(__file__).parent
# Prometheus scrapes every second here; dashboards choose this window from the interval of scrapes.
RATE_WINDOW = "5s"
VARIABLES = {"$__rate_interval": RATE_WINDOW, "$__interval": RATE_WINDOW, "$instance": ".*", "$job": ".*"}
# Long enough that only a fault reaches it.
PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def until(what: str, done) -> None:
    start = time.monotonic()
    while not done():
        if time.monotonic() - start > PATIENCE_S:
            sys.exit(f"not within {PATIENCE_S} s: {what}")
        time.sleep(0.2)


def promtool(*arguments: str, text: str | None = None) -> None:
    result = subprocess.run(["promtool", *arguments], input=text, text=True, capture_output=True)
    if result.returncode != 0:
        sys.exit(f"promtool {' '.join(arguments)}:\n{result.stdout}{result.stderr}")


def queries(dashboard: dict):
    """All PromQL of the dashboard, with the panel that it is of."""
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation {annotation['name']}", annotation["expr"], True
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], False


class Prometheus:
    def __init__(self, target: str, folder: str):
        self.url = f"http://127.0.0.1:{free_port()}"
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "tacet", "static_configs": [{"targets": [target]}]}],
        }
        # JSON is YAML.
        path = pathlib.Path(folder, "prometheus.yml")
        path.write_text(json.dumps(config))
        listen = self.url.removeprefix("http://")
        arguments = [f"--config.file={path}", f"--web.listen-address={listen}", f"--storage.tsdb.path={folder}/data"]
        self.process = subprocess.Popen(["prometheus", "--log.level=error", *arguments])
        until("Prometheus is ready", self.is_ready)

    def is_ready(self) -> bool:
        try:
            return "Ready" in get(f"{self.url}/-/ready")
        except OSError:
            return False

    def query(self, expression: str) -> list:
        answer = json.loads(get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        return answer["data"]["result"]


def plain(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable that this program does not know: {expression}"
    return expression


def has_number(result: list) -> bool:
    return any(float(series["value"][1]) == float(series["value"][1]) for series in result)


def check(tacet: str, folder: str, started: list) -> None:
    serve = [tacet, "serve", "--json", "--port", "0", "--media-port", "0", "--workers", "2", "--log", "warn"]
    server = subprocess.Popen([*serve, "--metrics", "127.0.0.1:0", "--no-page"], stdout=subprocess.PIPE, text=True)
    started.append(server)
    ready = json.loads(server.stdout.readline())
    prometheus = Prometheus(urllib.parse.urlsplit(ready["metrics"]).netloc, folder)
    started.append(prometheus.process)
    # A rate needs a value from before.
    until("the first scrape", lambda: prometheus.query("tacet_build_info"))
    load = [tacet, "load", "--scenario", "one-to-many", "--subscribers", "3", "--server", ready["link"], "--json"]
    bots = subprocess.Popen([*load, "--seconds", "40", "--warmup", "1"], stdout=subprocess.DEVNULL)
    started.append(bots)

    dashboard = json.loads((FOLDER / "tacet.json").read_text())
    missing = {}
    count = 0

    def all_have_data() -> bool:
        nonlocal count
        assert bots.poll() is None, "the call has ended"
        missing.clear()
        count = 0
        for panel, expression, may_be_empty in queries(dashboard):
            count += 1
            result = prometheus.query(plain(expression))
            if not may_be_empty and not has_number(result):
                missing[f"{panel}: {plain(expression)}"] = result
        return not missing

    start = time.monotonic()
    while not all_have_data():
        if time.monotonic() - start > 30:
            sys.exit("no data:\n" + "\n".join(f"  {query} returns {result}" for query, result in missing.items()))
        time.sleep(0.5)

    metrics = get(ready["metrics"])
    promtool("check", "metrics", text=metrics)
    known = set(re.findall(r"^([a-z_]+)[ {]", metrics, re.MULTILINE)) | {"up"}
    rules = (FOLDER / "alerts.yml").read_text()
    used = set(re.findall(r"\b((?:tacet|process)_[a-z_]+)", rules))
    if used - known:
        sys.exit(f"alerts name metrics that are not there: {used - known}")
    print(f"{count} queries of the dashboard have data, {rules.count('- alert:')} alerts name metrics that are there")


def main() -> None:
    (tacet,) = sys.argv[1:]
    promtool("check", "rules", str(FOLDER / "alerts.yml"))
    promtool("check", "config", str(FOLDER / "prometheus.yml"))
    started: list[subprocess.Popen] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(tacet, folder, started)
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(timeout=PATIENCE_S)


if __name__ == "__main__":
    main()
