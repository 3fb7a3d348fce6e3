"""What is pushed, and where to: chosen at random, again and again among what there is."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from compliance.oci.digest import Digest
from tests.crash import content
from tests.crash.content import Item, Nature
from tests.crash.model import Model

REPOSITORIES: Final = ("crash/app", "crash/other")
TAGS: Final = ("v1", "v2", "latest")


class Choices:
    """`key` is the file of the key that the gate trusts; `model` knows where something is."""

    def __init__(self, random: Random, model: Model, key: Path) -> None:
        self._random = random
        self._model = model
        self._key = key
        self._items: list[Item] = []

    def fresh(self, nature: Nature) -> Item:
        """A new image of this nature."""
        item = content.image(self._random, nature)
        self._items.append(item)
        return item

    def some_item(self) -> Item:
        """One that was pushed before, or a new one of any nature."""
        if self._items and self._random.random() < 0.35:
            return self._random.choice(self._items)
        images = [item for item in self._items if item.nature in {Nature.GOOD, Nature.ROOT, Nature.OWNERLESS}]
        natures = [Nature.GOOD, Nature.GOOD, Nature.ROOT, Nature.OWNERLESS]
        if images:
            natures += [Nature.INDEX, Nature.INDEX, Nature.EVIDENCE, Nature.FORGED]
        nature = self._random.choice(natures)
        if nature is Nature.INDEX:
            made = content.index(tuple(self._random.sample(images, min(len(images), self._random.randint(1, 3)))))
        elif nature in {Nature.EVIDENCE, Nature.FORGED}:
            about = self._random.choice(images)
            made = content.evidence(self._key, about, forged=nature is Nature.FORGED)
        else:
            return self.fresh(nature)
        self._items.append(made)
        return made

    def aimed(self, item: Item) -> tuple[str, Item, str | None]:
        """The item with a repository and a tag, or none, to push it by."""
        tag = None if item.subject is not None else self._random.choice((None, *TAGS))
        return self._random.choice(REPOSITORIES), item, tag

    def some_place(self) -> tuple[str, Digest] | None:
        """Where something is for sure, if anywhere."""
        places = sorted(self._model.sure)
        return self._random.choice(places) if places else None
