"""Judging many images: stored evidence against the serving policies, and a changed policy replayed over it.

Each image has 200 packages, drawn from a few thousand as a company's images are, and 40 findings. Two things
are timed, reading included, on as many processes as there are cores:

- judge: every rule of the serving set on every image
- impact: `mlbuild policy impact` of a stricter serving set, compared with the present one

In the impact every image is judged by both sets, as of the same day. Both run over a quarter, a half and all
of the images, so that growth shows. Run as `make bench-policy`.
"""

from __future__ import annotations

import argparse
import functools
import random
import resource
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.measure import machine, seconds
from compliance.archive import judged_names, read_judged, save_judged
from compliance.evidence import Evidence, Severity, Subject
from compliance.oci.digest import Digest
from compliance.policy.cases import Given, PackageEntry, VulnerabilityEntry
from compliance.policy.decision import Verdict
from compliance.policy.evaluate import evaluate, judge, verdict_of
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.replay import Plan, processes_for_evidence, replay_archive, spread

ROOT: Final = Path(__file__).resolve().parent.parent
AT: Final = datetime(2026, 11, 22, tzinfo=UTC)
GOAL_SECONDS: Final = 10.0

PACKAGES, FINDINGS = 200, 40
KNOWN_PACKAGES: Final = 3_000
LICENCES: Final = ("MIT", "BSD-3-Clause", "Apache-2.0", "MPL-2.0", "PSF-2.0", "LGPL-3.0-or-later")
SEVERITIES: Final = (Severity.LOW, Severity.MEDIUM, Severity.MEDIUM, Severity.HIGH)
CHANGED_RULE: Final = ("severities: [high, critical], only-fixable: true", "severities: [medium, high, critical]")

T = TypeVar("T")


def image(number: int) -> Evidence:
    """The evidence of one made-up image; the same number gives the same evidence."""
    choose = random.Random(number)  # noqa: S311 - made-up data, not keys
    chosen = choose.sample(range(KNOWN_PACKAGES), PACKAGES)
    packages = [
        PackageEntry.model_validate(
            {
                "name": f"package-{one}",
                "version": f"{one % 7}.{one % 13}.{choose.randrange(3)}",
                "licence": LICENCES[one % len(LICENCES)],
                "via": [f"package-{chosen[0]}"],
            }
        )
        for one in chosen
    ]
    severe = number % 3 == 0
    findings = [
        VulnerabilityEntry.model_validate(
            {
                "id": f"CVE-{2020 + one % 7}-{10_000 + one}",
                "package": packages[one].name,
                "severity": SEVERITIES[one % len(SEVERITIES if severe else SEVERITIES[:3])],
                "fixed": [f"{chosen[one] % 7 + 1}.0", f"{chosen[one] % 7 + 2}.0"],
                "published": date(2025, 1 + one % 12, 1).isoformat(),
            }
        )
        for one in range(FINDINGS)
    ]
    given = Given(packages=tuple(packages), vulnerabilities=tuple(findings))
    subject = Subject(f"serving/team-{number % 97}/model-{number}", "serving", Digest.of(str(number).encode()))
    return given.evidence(subject, AT)


@functools.cache
def shipped() -> PolicySet:
    """The policies of this repository, read once in each process."""
    return load_policies(ROOT / "policies")


def store(archive: Path, numbers: range) -> None:
    for number in numbers:
        evidence = image(number)
        save_judged(archive, evidence, evaluate(shipped(), evidence, AT))


def judge_some(archive: Path, names: tuple[str, ...]) -> Counter[Verdict]:
    return Counter(verdict_of(judge(shipped(), read_judged(archive, name).evidence, AT)) for name in names)


def judge_all(archive: Path, processes: int) -> Counter[Verdict]:
    names = judged_names(archive)
    chunks = [names[start : start + 100] for start in range(0, len(names), 100)]
    return sum(spread(partial(judge_some, archive), chunks, processes), Counter())


def stricter(folder: Path) -> Path:
    """A copy of the policies with medium vulnerabilities refused, and those too that have no fix."""
    shutil.copytree(ROOT / "policies", folder)
    file = folder / "serving.yaml"
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace(*CHANGED_RULE), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != before, "the rule that the benchmark changes is not there any more"
    return folder


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds by the clock, and seconds of processor time over all processes: what load cannot change much."""

    clock: float
    processor: float

    def __str__(self) -> str:
        return f"{self.clock:6.2f} s ({self.processor:5.1f} s of processor)"


def measure(images: int, processes: int, rounds: int, folder: Path) -> None:
    archive, done = folder / "archive", 0
    judging: dict[int, Cost] = {}
    replaying: dict[int, Cost] = {}
    plan = Plan(new=stricter(folder / "stricter"), at=AT, old=ROOT / "policies")
    for size in sorted({max(1, images // 4), max(1, images // 2), images}):
        with processes_for_evidence(processes) as pool:
            steps = [range(start, min(start + 100, size)) for start in range(done, size, 100)]
            list(pool.map(partial(store, archive), steps))
        done = size
        judging[size], verdicts = median_of(rounds, partial(judge_all, archive, processes))
        replaying[size], changes = median_of(rounds, partial(replay_all, archive, plan, processes))
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        print(f"{size:>6} images  judge {judging[size]}  impact {replaying[size]}", flush=True)
        print(f"               {told}; {changes} would change", flush=True)
    print(f"judge:  {growth(judging)}\nimpact: {growth(replaying)}")


def median_of(rounds: int, work: Callable[[], T]) -> tuple[Cost, T]:
    """The median cost of so many runs, and what the last one gave. Processes must have ended when it returns."""
    results: list[T] = []
    costs = []
    for _ in range(rounds):
        before = processor_seconds()
        clock = seconds(lambda: results.append(work()))
        costs.append(Cost(clock, processor_seconds() - before))
    median = Cost(statistics.median(c.clock for c in costs), statistics.median(c.processor for c in costs))
    return median, results[-1]


def processor_seconds() -> float:
    """Processor time so far, of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def replay_all(archive: Path, plan: Plan, processes: int) -> int:
    return sum(1 for _ in replay_archive(archive, plan, processes=processes))


def growth(costs: dict[int, Cost]) -> str:
    """What an image costs in processor time at each size, the same where growth is linear; and the whole."""
    each = " / ".join(f"{cost.processor / size * 1000:.2f} ms" for size, cost in sorted(costs.items()))
    whole = costs[max(costs)].clock
    met = "within" if whole < GOAL_SECONDS else "beyond"
    return f"{each} of processor an image; {whole:.1f} s in all, {met} the goal of {GOAL_SECONDS:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many runs are printed")
    given = parser.parse_args()
    print(f"{machine()}; {given.processes} processes, median of {given.rounds}")
    print(f"each image: {PACKAGES} packages, {FINDINGS} findings; the evidence is read from disk")
    with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as folder:
        measure(given.images, given.processes, given.rounds, Path(folder))


if __name__ == "__main__":
    main()
