"""Random interleavings of everything that can happen to a gate, from a seed that makes them again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import httpx

from compliance.oci.digest import Digest
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from tests.crash.choices import Choices
from tests.crash.clients import Clients
from tests.crash.content import Nature
from tests.crash.counts import Counts
from tests.crash.kills import Kills
from tests.crash.model import Answer, Model, Told
from tests.crash.points import POINTS, Point
from tests.crash.promises import Promises, check, read_records
from tests.crash.proxy import Failure
from tests.crash.waiting import at_once
from tests.crash.world import POLICIES, World

JUMPS: Final = (-400 * 86400, -86400, -90, 0, 0, 90, 86400, 400 * 86400)
QUIET_SECONDS: Final = 120.0


class Driver:
    """One interleaving of `length` steps in a world of its own."""

    def __init__(self, seed: int, root: Path, say: Callable[[str], object] | None = None) -> None:
        self._random = Random(seed)  # noqa: S311 - to be made again, not to be guessed
        self._root = root
        self._say = say or _say_nothing
        self._seed = seed
        self.counts = Counts()
        self._model = Model()

    def run(self, length: int) -> Counts:
        with World(self._root) as world:
            self._world = world
            if world.disk.why_not is not None:
                self.counts.notes.add(f"no full disks: {world.disk.why_not}")
            self._clients = Clients(world, self._model, self.counts)
            self._choices = Choices(self._random, self._model, world.root / "key.pem")
            self._kills = Kills(world, self._clients, self._choices, self._random, self.counts)
            self._promises = Promises(world, self._model, _policies(self._root))
            world.start()
            for number in range(length):
                self._step(number)
            self._end()
        self.counts.interleavings = 1
        return self.counts

    def _step(self, number: int) -> None:
        steps = {
            self._push_some: 5,
            self._crowd: 2,
            self._delete: 2,
            self._kill: 8,
            self._registry_fails: 3,
            self._scanner_fails: 2,
            self._disk_is_full: 2 if self._world.disk.why_not is None else 0,
            self._clock_jumps: 1,
            self._policies_change: 2,
            self._restart: 1,
        }
        (step,) = self._random.choices(list(steps), list(steps.values()))
        name = step.__name__.strip("_").replace("_", " ")
        self.counts.steps[name] += 1
        what = step()
        self._say(f"  seed {self._seed} step {number}: {name}{': ' + what if what else ''}")
        self._check(f"seed {self._seed} step {number}, {name}: {what or ''}", asked=False)
        self._start()
        self._check(f"seed {self._seed} step {number}, {name}: {what or ''}", asked=True)

    def _check(self, after: str, *, asked: bool) -> None:
        try:
            found = check(self._promises, asked=asked)
        except (AssertionError, httpx.HTTPError) as error:
            found = [f"{type(error).__name__}: {error}"]
        for violation in found:
            self._say(f"VIOLATION after {after}: {violation}")
            self.counts.violations.append(f"{violation} (after {after})")

    def _start(self) -> None:
        try:
            self._world.start()
        except AssertionError as error:
            self.counts.violations.append(f"the gate does not start again: {error}")
            raise

    # What happens

    def _push_some(self) -> str:
        item = self._choices.some_item()
        told = self._clients.push(*self._choices.aimed(item))
        self._model.told([told])
        return f"{item.nature} {told.answer}"

    def _crowd(self) -> str:
        told = self._together(self._random.randint(2, 5))
        self._model.told(told)
        return ", ".join(f"{one.item.nature if one.item else 'delete'} {one.answer}" for one in told)

    def _delete(self) -> str:
        place = self._choices.some_place()
        if place is None:
            return "nothing to delete"
        told = self._clients.delete(*place)
        self._model.told([told])
        return told.answer

    def _kill(self) -> str:
        point = self._random.choice([each for each in POINTS if not each.is_repair])
        done = [self._kill_at(point)]
        if point.leaves_work and self._random.random() < 0.6:
            # What that left is put right in the next start, which is a moment to be killed at too.
            repairs = [each for each in POINTS if each.is_repair]
            done.append(self._kill_at(self._random.choice(repairs)))
        return ", then ".join(done)

    def _kill_at(self, point: Point) -> str:
        told, held = self._kills.at(point)
        self._model.told(told)
        self.counts.kills[point.name if held else "the moment did not come"] += 1
        name = point.name if held else "too late for " + point.name
        return f"{name}, told {', '.join(one.answer for one in told) or 'nothing'}"

    def _registry_fails(self) -> str:
        failure = self._random.choice(list(Failure))
        item = self._choices.some_item()
        aimed = self._choices.aimed(item)
        early = self._random.random() < 0.3
        if not early:
            self._clients.push_blobs(aimed[0], item)
        self._world.proxy.failure = failure
        try:
            place = self._choices.some_place() if self._random.random() < 0.3 else None
            if place is not None:
                told = self._clients.delete(*place)
            else:
                told = self._clients.push(*aimed) if early else self._clients.put(*aimed)
        finally:
            self._world.proxy.failure = None
        self._model.told([told])
        return f"{failure} at {item.nature if told.item else 'delete'}, {told.answer}"

    def _scanner_fails(self) -> str:
        mode = self._random.choice(("fails", "babbles", "hangs-in-image", "hangs-in-sbom"))
        item = self._choices.fresh(self._random.choice((Nature.GOOD, Nature.ROOT)))
        aimed = self._choices.aimed(item)
        self._clients.push_blobs(aimed[0], item)
        self._world.scanner.set(mode)
        try:
            told = self._clients.put(*aimed)
        finally:
            self._world.scanner.set("works")
            self._world.scanner.let_go()
        if told.answer is Answer.DONE:
            self.counts.violations.append(f"admitted while the scanner {mode}")
        self._model.told([told])
        return f"{mode}, {item.nature} {told.answer}"

    def _disk_is_full(self) -> str:
        left = self._random.choice((0, 4096, 65536, 300_000))
        item = self._choices.some_item()
        with self._world.disk.full(left):
            told = self._clients.push(*self._choices.aimed(item))
        self._model.told([told])
        if self._random.random() < 0.5:
            self._world.kill()
            self.counts.kills["with a full disk before"] += 1
        return f"{left} bytes left, {item.nature} {told.answer}"

    def _clock_jumps(self) -> str:
        jump = self._random.choice(JUMPS)
        self._world.advance(jump)
        return f"{jump} s off"

    def _policies_change(self) -> str:
        name = self._random.choice(list(POLICIES))
        if name == "broken":
            # One that is broken replaces none, and a gate does not start with it: so it is mended before the end.
            self._world.set_policy(name)
            item = self._choices.some_item()
            told = self._clients.push(*self._choices.aimed(item))
            self._model.told([told])
            self._world.set_policy(self._random.choice(("plain", "stricter")))
            return f"broken, {item.nature} {told.answer}"
        self._world.set_policy(name)
        return name

    def _restart(self) -> str:
        self._world.stop()
        return ""

    def _together(self, count: int) -> list[Told]:
        work: list[Callable[[], Told]] = []
        same = self._choices.some_item()
        for _ in range(count):
            place = self._choices.some_place() if self._random.random() < 0.2 else None
            if place is not None:
                work.append(lambda place=place: self._clients.delete(*place))
            else:
                aimed = self._choices.aimed(same if self._random.random() < 0.6 else self._choices.some_item())
                work.append(lambda aimed=aimed: self._clients.push(*aimed))
        return at_once(work)

    # The end

    def _end(self) -> None:
        """Nothing fails any more; in a while everything has been put right."""
        self._world.kill()
        self._world.start()
        self._check(f"seed {self._seed}, at the end", asked=True)
        found: list[str] = []
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            found = list(self._promises.repaired(read_records(self._world)))
            if not found:
                break
            time.sleep(0.3)
        self.counts.violations += [f"{one} (seed {self._seed}, at the end)" for one in found]
        self.counts.uploads_left = self._promises.uploads_behind()
        if self.counts.violations:
            self._say("\n".join(path.read_text(errors="replace")[-4000:] for path in self._world.logs[-3:]))


def _policies(root: Path) -> dict[Digest, PolicySet]:
    found: dict[Digest, PolicySet] = {}
    for name in ("plain", "stricter"):
        directory = root / f"policies-{name}"
        (directory / "advisories").mkdir(parents=True)
        for advisory in (root / "policies" / "advisories").iterdir():
            (directory / "advisories" / advisory.name).write_bytes(advisory.read_bytes())
        (directory / "any.yaml").write_text(POLICIES[name])
        policies = load_policies(directory)
        found[policies.digest] = policies
    return found


def _say_nothing(line: str) -> None:
    """For who only wants the counts."""
