"""Coverage-guided fuzzing of one target with Atheris, which is in the dependency group `fuzz`.

python -m tests.fuzz.coverage_guided TARGET [CORPUS] [libFuzzer's options, such as -max_total_time=60]
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["compliance"]):
    from tests.fuzz.targets import TARGETS


def main(arguments: list[str]) -> None:
    """Run until an input escapes the target, or until libFuzzer's options say stop."""
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.coverage_guided {'|'.join(TARGETS)} [CORPUS] [OPTIONS]")
    target = TARGETS[arguments[1]]
    atheris.Setup([arguments[0], *arguments[2:]], lambda raw: target(raw) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
