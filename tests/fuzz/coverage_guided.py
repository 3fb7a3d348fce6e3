"""Coverage-guided fuzzing of targets with Atheris, which is in the dependency group `fuzz`.

python -m tests.fuzz.coverage_guided TARGET [libFuzzer's options, such as -max_total_time=60]

It begins with good files and with what earlier runs found worth keeping, in build/fuzz/TARGET. An input that
escapes the target ends it with exit code 77 and is written to the current directory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["compliance"]):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

CORPORA: Final = Path("build/fuzz")


def main(arguments: list[str]) -> None:
    """Run until an input escapes the target, or until libFuzzer's options say stop."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.coverage_guided {'|'.join(TARGETS)} [OPTIONS]")
    program, name, *options = arguments
    corpus = CORPORA / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    target = TARGETS[name]
    atheris.Setup([program, *options, str(corpus)], lambda raw: target(raw) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
