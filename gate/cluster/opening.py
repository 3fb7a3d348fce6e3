"""The webhook put together from the parts of a running gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from compliance.errors import InvalidInput, Location
from gate.cluster.certificate import Certificate
from gate.cluster.cluster_file import watch_cluster
from gate.cluster.reviews import Reviews
from gate.cluster.verdicts import Verdicts
from gate.cluster.webhook import make_webhook
from gate.service import Service


@dataclass(frozen=True, slots=True)
class Webhook:
    """An application, where it is to listen, and by which certificate."""

    app: FastAPI
    listen: str
    certificate: Certificate


def open_webhook(path: Path, service: Service) -> Webhook:
    """The webhook of a cluster file. Raises InvalidInput when it cannot be served as the file says."""
    cluster = watch_cluster(path)
    file = cluster()
    if file is None:
        raise InvalidInput("there is no such cluster file", at=Location(path))
    root = service.settings.public_url
    if root is None:
        raise InvalidInput(
            "the webhook for Kubernetes tells people where reports are, which nobody has said",
            remedy="Set public-url.",
        )
    verdicts = Verdicts(service.readable, service.store, service.rulebook.policies, root)
    app = make_webhook(Reviews(verdicts, cluster), service.metrics)
    return Webhook(app, file.listen, Certificate(file.certificate, file.key, file.client_ca))
