"""As much of a Kubernetes API server as `kubectl create` needs: it asks a webhook, and says what that says.

Refusals and failed webhooks are worded as by k8s.io/apiserver (plugin/webhook/errors), warnings are passed on.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Webhook = Callable[[str, bytes], httpx.Response]
WEBHOOK = "serving.images.mlbuild.dev"
RESOURCES = {
    "/api/v1": ("", "pods", "Pod"),
    "/apis/apps/v1": ("apps", "deployments", "Deployment"),
    "/apis/batch/v1": ("batch", "cronjobs", "CronJob"),
}
USER = {"username": "alice@example.com", "groups": ["developers", "system:authenticated"]}


@contextmanager
def api_server(webhook: Webhook, path: str) -> Iterator[str]:
    """Serve, and ask the webhook at `path` before anything is created; yields the URL for kubectl."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(*_discovery(self.path.partition("?")[0]))

        def do_POST(self) -> None:
            created = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say(*_admitted(webhook, path, self.path, created))

        def _say(self, status: int, document: dict[str, Any], warnings: tuple[str, ...] = ()) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for each in warnings:
                quoted = each.replace("\\", "\\\\").replace('"', '\\"')
                self.send_header("Warning", f'299 - "{quoted}"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests have a log of their own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _discovery(path: str) -> tuple[int, dict[str, Any]]:
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [{"name": group} for group, _, _ in RESOURCES.values() if group]
        for one in groups:
            version = {"groupVersion": f"{one['name']}/v1", "version": "v1"}
            one |= {"versions": [version], "preferredVersion": version}
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path in RESOURCES:
        group, plural, kind = RESOURCES[path]
        resource = {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["create"]}
        version = f"{group}/v1" if group else "v1"
        return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": [resource]}
    return 404, _status(404, "NotFound", "the server could not find the requested resource")


def _admitted(
    webhook: Webhook, path: str, url: str, created: dict[str, Any]
) -> tuple[int, dict[str, Any], tuple[str, ...]]:
    prefix, _, rest = url.partition("?")[0].partition("/namespaces/")
    namespace, _, _ = rest.partition("/")
    group, plural, kind = RESOURCES[prefix]
    created["metadata"]["namespace"] = namespace
    request = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": group, "version": "v1", "kind": kind},
        "resource": {"group": group, "version": "v1", "resource": plural},
        "name": created["metadata"]["name"],
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": USER,
        "object": created,
        "oldObject": None,
    }
    question = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    try:
        answer = webhook(path, json.dumps(question).encode())
    except httpx.TransportError as error:
        service = f"https://mlgate.mlbuild.svc:443/cluster/{path}?timeout=5s"
        problem = f'failed calling webhook "{WEBHOOK}": failed to call webhook: Post "{service}": {error}'
        return 500, _status(500, "InternalError", f"Internal error occurred: {problem}"), ()
    response = answer.json()["response"]
    warnings = tuple(response.get("warnings", ()))
    if response["allowed"]:
        return 201, created, warnings
    said = response["status"]
    message = f'admission webhook "{WEBHOOK}" denied the request: {said["message"]}'
    return said["code"], _status(said["code"], said["reason"], message), warnings


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
