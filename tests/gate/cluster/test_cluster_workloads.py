"""The images of every kind of workload, wherever in a pod they are."""

from __future__ import annotations

import pytest

from gate.cluster.admission_review import GroupVersionKind
from gate.cluster.workloads import KINDS, images_of

POD_SPEC = {
    "initContainers": [{"name": "first", "image": "a"}],
    "containers": [{"name": "web", "image": "b"}, {"name": "proxy", "image": "c"}],
    "ephemeralContainers": [{"name": "debugger", "image": "d"}],
    "volumes": [
        {"name": "block", "rbd": {"image": "no image of a container"}},
        {"name": "model", "image": {"reference": "e"}},
    ],
}


@pytest.mark.parametrize(("kind", "place"), KINDS.items(), ids=lambda one: one[-1])
def test_every_image_is_found_where_it_is(kind, place):
    document = POD_SPEC
    for key in reversed(place):
        document = {key: document}
    group, version, name = kind
    found = images_of(GroupVersionKind(group=group, version=version, kind=name), document)
    assert {one.image: one.role for one in found} == {
        "a": "init container 'first'",
        "b": "container 'web'",
        "c": "container 'proxy'",
        "d": "ephemeral container 'debugger'",
        "e": "volume 'model'",
    }
    assert [one.image for one in found if one.mounted] == ["e"]
    for one in found:
        assert at(document, one.path) == one.image


def at(document, pointer: str):
    for key in pointer.split("/")[1:]:
        document = document[int(key) if isinstance(document, list) else key]
    return document
