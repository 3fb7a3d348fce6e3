"""Every page with shell blocks: what is there when its reader begins, and what cannot run in a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Start:
    """What a page's reader has at the beginning, besides an empty directory and the programs."""

    copied: tuple[str, ...] = ()
    """Files and directories of this repository, put into the directory under their last name."""
    gate: bool = False
    """A gate with the shipped policies, which the page calls gate.example.com (`$GATE`); `ci` is logged in."""
    registry: bool = False
    """An empty registry, which the page calls registry.example.com (`$REGISTRY`)."""
    docker: bool = False
    """A Docker daemon."""
    addresses: tuple[str, ...] = ()
    """Addresses that the page listens on, such as 127.0.0.1:5000. Each becomes one with a port that is free."""
    directories: tuple[str, ...] = ()
    """Directories that the page names from the root, such as /var/lib/mlgate. Each becomes one of the test's."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """A shell block that no page's test runs."""

    block: str
    """Its first line."""
    why: str
    covered_by: str
    """FILE::TEST that runs what it is about."""


PAGES: Final[Mapping[str, Start]] = {
    "README.md": Start(copied=("examples",), gate=True),
    "docs/ci-pipeline.md": Start(copied=("examples/iris-serving", "examples/legacy-notebook"), gate=True),
    "docs/data-scientist.md": Start(
        copied=("examples/iris-serving", "examples/legacy-notebook"), gate=True, docker=True
    ),
    "docs/notifications.md": Start(
        addresses=("gate.example.com:5000", "127.0.0.1:8000"), directories=("/var/lib/mlgate",)
    ),
    "docs/platform-engineer.md": Start(
        copied=("base-images", "deploy", "policies/advisories"),
        addresses=("127.0.0.1:5000",),
        directories=("/mnt/write-once", "/var/backups/mlgate"),
    ),
    "docs/security-engineer.md": Start(
        copied=("policies", "examples/iris-serving", "examples/legacy-notebook"),
        registry=True,
        addresses=("gate.example.com",),
    ),
    "docs/tutorials/ci-pipeline.md": Start(gate=True),
    "docs/tutorials/data-scientist.md": Start(gate=True),
    "docs/tutorials/platform-engineer.md": Start(addresses=("127.0.0.1:5000",)),
    "docs/tutorials/security-engineer.md": Start(copied=("examples/iris-serving", "examples/legacy-notebook")),
}
"""The pages that are read by a test, by their place in the repository."""

_CLUSTER: Final = "it needs a cluster"
_KUBECTL: Final = "tests/gate/cluster/test_cluster_kubectl.py::test_the_page_shows_what_kubectl_says"
_CLIENT: Final = "it is what a client prints on storage of its own, which is compared word by word elsewhere"
_CLIENTS: Final = "tests/gate/test_gate_clients.py::test_what_is_shown_of_a_refusal_is_what_the_transcript_says"

_MAIN_JOB: Final = (
    "tests/acceptance/test_main_job.py::test_the_shipped_example_is_admitted_pushed_pulled_and_answers"
)

_FIGURES: Final = "it measures for minutes, and figures differ from run to run"

_BENCHMARK: Final = (
    "tests/docs/test_benchmark_commands.py::test_a_benchmark_knows_the_options_that_the_page_gives_it"
)


def _alike(why: str, covered_by: str, *blocks: str) -> tuple[NotRun, ...]:
    """Blocks that are left out for one reason, and covered by one test."""
    return tuple(NotRun(block, why, covered_by) for block in blocks)


NOT_RUN: Final[Mapping[str, tuple[NotRun, ...]]] = {
    "docs/adr/0010-layers-are-gzip-unless-the-spec-says-zstd.md": (
        NotRun("$ python -m benchmarks.pull --rounds 1", _FIGURES, _BENCHMARK),
    ),
    "docs/benchmarks.md": (
        *_alike(
            _FIGURES,
            _BENCHMARK,
            "$ python -m benchmarks.build --rounds 1",
            "$ make bench-memory",
            "$ make bench-sbom",
            "$ make bench-pull",
            "$ make bench-policy",
            "$ make bench-gate",
            "$ make bench-pages",
        ),
        NotRun(
            "$ python -m tests.crash --interleavings 200 --steps 25 --seed 100 --minutes 27 | tail -52",
            "it runs for half an hour",
            "tests/gate/test_gate_crash.py::test_the_promises_hold_in_a_short_interleaving",
        ),
    ),
    "README.md": (
        NotRun(
            "make demo    # sets up, then admits, pulls, runs and asks one image, and shows another refused",
            "it sets up the machine, and `make test` runs this test",
            _MAIN_JOB,
        ),
    ),
    "examples/iris-serving/README.md": (
        NotRun("mlbuild            # lock, check, build, scan, check", "the main job's test does this", _MAIN_JOB),
        NotRun(
            "$ curl -s localhost:8080/predict -H 'Content-Type: application/json' \\",
            "the main job's test does this",
            _MAIN_JOB,
        ),
        NotRun(
            "uv venv --python 3.11 && uv pip sync pylock.toml && .venv/bin/python train.py",
            "it installs what another test installs already",
            "tests/builder/test_examples_static.py::test_the_iris_model_is_trained_to_the_same_bytes_with_what_is_locked",
        ),
    ),
    "docs/ci-pipeline.md": (
        NotRun(
            "$ mlbuild --github login --oidc --audience https://gate.example.org",
            "only a job of a CI has the identity token",
            "tests/acceptance/test_workflow_runs.py::test_the_page_shows_what_a_login_says",
        ),
        NotRun(
            "mlbuild --github policy review before/policies policies --gate gate.example.com --comment",
            "it writes a comment to a pull request on GitHub",
            "tests/acceptance/test_workflow_runs.py::test_a_change_of_policies_is_commented_once",
        ),
        NotRun(
            "$ mlbuild verify gate.example.com/serving/iris:1.3 --key gate-public.pem",
            "the gate that tests of pages share has no image that stopped to comply",
            "tests/gate/test_gate_summaries.py::test_the_newest_summary_of_a_copy_is_what_counts",
        ),
        NotRun(
            "cosign verify-attestation --key gate-public.pem --insecure-ignore-tlog=true --new-bundle-format \\",
            "cosign cannot be installed from a package index",
            "tests/gate/test_gate_summaries.py::test_an_admitted_image_has_one_summary_signed_by_the_gate",
        ),
        NotRun(
            "$ docker login 127.0.0.1:15000 --username oidc --password-stdin < token",
            "it needs an issuer of identity tokens",
            "tests/gate/identity/test_identity_programs.py::test_a_pipeline_pushes_with_the_token_of_its_ci",
        ),
        *_alike(
            _CLIENT,
            _CLIENTS,
            "$ docker push gate.example.com/serving/iris:1.5",
            "$ podman push gate.example.com/serving/iris:1.5",
            "$ buildah push gate.example.com/serving/iris:1.5",
            "$ skopeo copy oci:image docker://gate.example.com/serving/iris:1.5",
            "$ ctr images push gate.example.com/serving/iris:1.5",
            "$ docker pull gate.example.com/serving/iris:1.5",
            "$ ctr images pull gate.example.com/serving/iris:1.5",
        ),
        NotRun(
            "$ mlbuild why gate.example.com/serving/iris@sha256:"
            "c4ee25984994e6661b501e2e2afb8894c79c9a4110e3dfd6887147833f2abbfa",
            "what was refused is the push that clients show above",
            "tests/gate/test_gate_why.py::test_a_refusal_is_told_in_full_by_tag_and_by_digest",
        ),
    ),
    "docs/platform-engineer.md": (
        NotRun(
            "$ scripts/conformance.sh path/to/conformance",
            "the suite cannot be installed from a package index",
            "tests/gate/test_gate_conformance_script.py::test_a_program_is_run_against_a_gate_that_only_audits",
        ),
        NotRun(
            "$ deploy/image/build.sh",
            "it is built in a checkout, and takes a while",
            "tests/deploy/test_deploy.py::test_the_image_is_built_by_mlbuild_and_runs",
        ),
        NotRun(
            "MLGATE_DATABASE=postgresql://gate:PASSWORD@db.internal/gate mlgate serve --upstream https://registry.internal",
            "it needs a PostgreSQL server",
            "tests/gate/test_gate_several.py::test_one_of_two_gates_is_killed_under_load_and_nothing_is_lost",
        ),
        NotRun(
            "pg_dump --format=custom --no-owner --dbname postgresql://gate@db.internal/gate --file gate.dump",
            "it needs a PostgreSQL server",
            "tests/gate/test_gate_backup.py::test_a_gate_that_was_restored_goes_on",
        ),
        NotRun(
            "$ curl -s -o answer.json -w '%{http_code} %{time_total}\\n' "
            "--cacert tls.crt --data @question.json \\",
            _CLUSTER,
            "tests/gate/cluster/test_cluster_gate.py::test_an_answer_takes_milliseconds",
        ),
        NotRun(
            "$ kubectl kustomize deploy/kubernetes/example | grep ^kind: | sort | uniq -c",
            "the kubectl of Debian 12 is too old for it",
            "tests/deploy/test_kubernetes.py::test_kustomize_puts_it_together_and_cert_manager_is_told_of_every_webhook",
        ),
        NotRun(
            "$ mlbuild base lock python3.13-audio",
            "it asks the archives of Debian for packages of this day",
            "tests/builder/bases/test_bases_acceptance.py::"
            "test_locking_again_gives_a_lock_that_builds_and_then_stays_as_it_is",
        ),
        NotRun(
            "$ mlbuild base build python3.13-audio --output out",
            "it builds what was locked before",
            "tests/builder/bases/test_bases_build.py::test_a_base_can_be_written_as_an_oci_layout",
        ),
        NotRun(
            "$ mlbuild --quiet base outdated",
            "what is pending changes from day to day",
            "tests/builder/bases/test_bases_outdated.py::test_the_command_says_what_is_pending_and_by_its_exit_code",
        ),
        *_alike(
            _CLUSTER,
            _KUBECTL,
            "$ kubectl create -f admitted.yaml",
            "$ kubectl create -f refused.yaml",
            "$ kubectl create -f found-later.yaml",
            "$ kubectl create -f ended.yaml",
            "$ kubectl create -f unknown-digest.yaml",
            "$ kubectl create -f other-stage.yaml",
            "$ kubectl create -f other-registry.yaml",
            "$ kubectl create -f audited.yaml",
            "$ kubectl create -f gate-down.yaml",
        ),
    ),
}
"""What is left out, by page."""


def site() -> tuple[str, ...]:
    """The pages of the site, and those beside what they are about, by their place in the repository."""
    places = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/README.md")]
    elsewhere = ("README.md", "CONTRIBUTING.md", "policies/README.md")
    return (*elsewhere, *sorted(str(path.relative_to(ROOT)) for path in places))
