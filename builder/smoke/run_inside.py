"""Runs commands inside an image and tells how each went: given to an image's own Python as text.

Its one argument is JSON: commands, and the seconds that each may take. For each it prints a line of JSON. It
must run on the Python of every base, with the standard library alone.
"""

import json
import subprocess
import sys
import time

KEPT = 16_000

wanted = json.loads(sys.argv[1])
for command in wanted["commands"]:
    started = time.monotonic()
    code = None
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=wanted["seconds"],
            check=False,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    except OSError as error:
        code, output = 127, f"{command[0]}: {error.strerror}".encode()
    report = {
        "exit_code": code,
        "seconds": time.monotonic() - started,
        "output": output[-KEPT:].decode("utf-8", "replace"),
    }
    print(json.dumps(report), flush=True)
