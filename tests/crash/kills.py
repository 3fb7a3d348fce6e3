"""Killing a gate at a chosen moment of what it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from random import Random

from tests.crash.choices import Choices
from tests.crash.clients import Clients
from tests.crash.content import Nature
from tests.crash.counts import Counts
from tests.crash.model import Told
from tests.crash.points import POINTS, Point
from tests.crash.waiting import at_once, either, soon
from tests.crash.world import World


class Kills:
    """Kills the gate of a world while clients, if the moment needs them, do what brings it about."""

    def __init__(self, world: World, clients: Clients, choices: Choices, random: Random, counts: Counts) -> None:
        self._world = world
        self._clients = clients
        self._choices = choices
        self._random = random
        self._counts = counts

    def at(self, point: Point) -> tuple[Sequence[Told], bool]:
        """Kill the gate at a point; what clients were told, and whether the moment came."""
        if point.during == "nothing":
            self._world.kill()
            return [], True
        if point.during == "start":
            return [], self._in_start(point)
        work: list[Callable[[], Told | None]] = []
        if point.during == "delete":
            place = self._choices.some_place()
            if place is None:
                return [], self.at(POINTS[-1])[1] and False
            work.append(lambda: self._clients.delete(*place))
        elif point.during == "crowd":
            aimed = [self._choices.aimed(self._choices.some_item()) for _ in range(3)]
            work += [lambda each=each: self._clients.push(*each) for each in aimed]
        else:
            item = self._choices.fresh(Nature.GOOD)
            to = self._choices.aimed(item)
            if point.during == "push":
                self._clients.push_blobs(to[0], item)
                work.append(lambda: self._clients.put(*to))
            else:
                work.append(lambda: _nothing(self._clients.push_blobs(to[0], item)))
        told, held = self._during(point, work)
        return [one for one in told if one is not None], held

    def _during(self, point: Point, work: list[Callable[[], Told | None]]) -> tuple[Sequence[Told | None], bool]:
        done = threading.Event()
        told: list[Told | None] = []

        def do() -> None:
            told.extend(at_once(work))
            done.set()

        thread = threading.Thread(target=do)
        if point.scanner:
            self._world.scanner.set(f"hangs-in-{point.scanner}")
            thread.start()
            held = either(lambda: self._world.scanner.hanging is not None, done)
            self._world.kill()
            self._world.scanner.set("works")
            if held and not soon(lambda: self._world.scanner.hanging is None):
                self._counts.violations.append("the scanner outlives the gate that was killed")
            self._world.scanner.let_go()
        elif not point.method:
            thread.start()
            done.wait(self._random.uniform(0, 1.2))
            held = not done.is_set()
            self._world.kill()
        else:
            with self._world.proxy.holding(point.method, point.path, point.moment, skip=point.skip) as hold:
                thread.start()
                held = either(hold.reached.is_set, done)
                self._world.kill()
        thread.join()
        return told, held

    def _in_start(self, point: Point) -> bool:
        self._world.kill()
        self._world.launch()
        if not point.method:
            time.sleep(self._random.uniform(0, 3))
            self._world.kill()
            return True
        with self._world.proxy.holding(point.method, point.path, point.moment) as hold:
            held = soon(hold.reached.is_set, 12)
            self._world.kill()
        return held


def _nothing(_: object) -> None:
    """For what is told otherwise than by an answer about a manifest."""
