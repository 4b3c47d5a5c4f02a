"""The HTTP API against its own document, by schemathesis.

usage: api.py TACET

Sends what the document allows and what it does not, with the operator's key and without any, and checks statuses and bodies. Which
requests it tries depends on a fixed seed, and not on the day.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

KEY = "correct horse battery"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance," \
         "response_headers_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method,ignored_auth," \
         "use_after_free"
EXAMPLES = 12
PATIENCE_S = 60


async def main(tacet):
    with tempfile.TemporaryDirectory() as data:
        command = [tacet, "serve", "--json", "--data", data, "--bind", "127.0.0.1", "--port", "0", "--media-port", "0",
                   "--no-page", "--log", "error", "--metrics", "off", "--api-key", KEY, "--open-rooms", "false", "--exempt", "127.0.0.1"]
        server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            line = await asyncio.wait_for(server.stdout.readline(), PATIENCE_S)
            url = json.loads(line)["url"]
            schemathesis = Path(sys.executable).with_name("schemathesis")
            run = await asyncio.create_subprocess_exec(
                str(schemathesis), "run", f"{url}/v1/openapi.json", "--header", f"Authorization: Bearer {KEY}", "--checks", CHECKS,
                "--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none", "--no-color",
                cwd=data)
            return await asyncio.wait_for(run.wait(), PATIENCE_S)
        finally:
            server.terminate()
            await server.wait()


if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.exit(asyncio.run(main(str(Path(sys.argv[1]).resolve()))))
