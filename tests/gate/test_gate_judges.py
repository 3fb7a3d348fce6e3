from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from compliance.oci.manifest import OCI_MANIFEST
from gate.arrival import Push, receive
from gate.errors import Fault
from gate.judges import Judges
from gate.publication import Ruling
from gate.schema import Kind

RAW = (
    b'{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",'
    b'"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}'
)


def push(tag: str) -> Push:
    return receive("team/image", tag, "ci", RAW, OCI_MANIFEST)


class Slow:
    """A judge who rules when it may, and counts how often it was asked."""

    def __init__(self) -> None:
        self.may_rule = threading.Event()
        self.asked = 0

    def __call__(self, _: Push) -> Ruling:
        self.asked += 1
        assert self.may_rule.wait(timeout=120)
        return Ruling(Kind.IMAGE)


@contextmanager
def judges_of(judge: Callable[[Push], Ruling], *, patience: float = 120) -> Iterator[Judges]:
    with closing(Judges(judge, lambda *_: None, threads=2, patience=patience)) as judges:
        yield judges


def test_pushes_of_one_image_at_once_share_a_judgement():
    slow = Slow()

    async def run() -> list[Ruling]:
        with judges_of(slow) as judges:
            waiting = [asyncio.create_task(judges.ruling(push(f"v{number}"))) for number in range(5)]
            await asyncio.sleep(0.05)
            slow.may_rule.set()
            return await asyncio.gather(*waiting)

    assert [ruling.kind for ruling in asyncio.run(run())] == [Kind.IMAGE] * 5
    assert slow.asked == 1


def test_who_waits_too_long_is_told_to_come_back_and_the_work_goes_on():
    slow = Slow()

    async def run() -> Ruling:
        with judges_of(slow, patience=0.05) as judges:
            with pytest.raises(Fault) as caught:
                await judges.ruling(push("v1"))
            assert (caught.value.status, caught.value.code) == (403, "DENIED")
            assert "push again" in caught.value.message
            judges._patience = 120
            waiting = asyncio.create_task(judges.ruling(push("v1")))
            await asyncio.sleep(0)
            slow.may_rule.set()
            return await waiting

    assert asyncio.run(run()).kind is Kind.IMAGE
    assert slow.asked == 1


def test_a_client_that_goes_away_does_not_stop_the_work():
    slow = Slow()

    async def run() -> Ruling:
        with judges_of(slow) as judges:
            gone = asyncio.create_task(judges.ruling(push("v1")))
            await asyncio.sleep(0.05)
            gone.cancel()
            waiting = asyncio.create_task(judges.ruling(push("v1")))
            await asyncio.sleep(0.05)
            slow.may_rule.set()
            return await waiting

    assert asyncio.run(run()).kind is Kind.IMAGE
    assert slow.asked == 1


def test_a_judgement_that_fails_is_not_shared_with_the_next_push():
    asked = []

    def fails(push: Push) -> Ruling:
        asked.append(push)
        raise RuntimeError("the disk is full")

    async def run() -> None:
        with judges_of(fails) as judges:
            for _ in range(2):
                with pytest.raises(RuntimeError, match="the disk is full"):
                    await judges.ruling(push("v1"))

    asyncio.run(run())
    assert len(asked) == 2
