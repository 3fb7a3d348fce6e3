from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.fetch import Artifact, FetchError, Retries, fetch
from builder.progress import Advance, Quiet
from compliance.oci.digest import Digest

DATA = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(DATA).hexdigest()
HASTY = Retries(tries=3, first_wait=0.01)


@dataclass
class Index:
    """A server of one file that does what a test tells it to. `asked` are the Range headers it saw."""

    content: bytes = DATA
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next answers is cut off."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers, before any true one."""
    pause: float = 0.0
    hold: Callable[[], object] = lambda: None
    """Called before the answer is sent."""
    asked: list[str | None] = field(default_factory=list)
    authorised: list[str | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/packages/demo.whl"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        self.authorised.append(request.headers.get("Authorization"))
        if self.statuses:
            request.send_response(self.statuses.pop(0))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.cut_after:
            request.wfile.write(body[: self.cut_after.pop(0)])
            request.close_connection = True
            return
        half = len(body) // 2
        request.wfile.write(body[:half])
        time.sleep(self.pause)
        self.hold()
        request.wfile.write(body[half:])


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                index.answer(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def index() -> Iterator[Index]:
    with serving(Index()) as index:
        yield index


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def artifact(url: str, size: int | None = len(DATA), sha256: str = SHA256) -> Artifact:
    return Artifact(url, sha256, size, "demo-1.0-py3-none-any.whl")


def got(cache: Cache, *artifacts: Artifact) -> list[bytes]:
    return [path.read_bytes() for path in fetch(artifacts, cache, Quiet(), retries=HASTY).values()]


@pytest.mark.parametrize("size", [len(DATA), None])
def test_file_arrives_and_is_not_asked_for_again(index: Index, cache: Cache, size: int | None) -> None:
    wanted = artifact(index.url, size)
    assert got(cache, wanted) == [DATA]
    assert got(cache, wanted) == [DATA]
    assert index.asked == [None]
    assert list(cache.directory("partial").iterdir()) == []


def test_same_file_under_two_names_is_fetched_once(index: Index, cache: Cache) -> None:
    assert got(cache, artifact(index.url), artifact(index.url + "?again")) == [DATA]
    assert index.asked == [None]


def test_many_files_arrive_side_by_side(cache: Cache) -> None:
    """No server answers before all three have been asked."""
    together = threading.Barrier(3, timeout=120)
    first, second = DATA + b"1", DATA + b"2"
    with (
        serving(Index(hold=together.wait)) as index,
        serving(Index(content=first, hold=together.wait)) as a,
        serving(Index(content=second, hold=together.wait)) as b,
    ):
        servers = [
            artifact(a.url, None, hashlib.sha256(first).hexdigest()),
            artifact(b.url, None, hashlib.sha256(second).hexdigest()),
            artifact(index.url),
        ]
        found = fetch(servers, cache, Quiet())
    assert {path.read_bytes() for path in found.values()} == {first, second, DATA}


def test_cut_transfer_goes_on_where_it_ended(index: Index, cache: Cache) -> None:
    index.cut_after = [1_000_000, 2_000_000]
    assert got(cache, artifact(index.url)) == [DATA]
    assert index.asked[0] is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in index.asked[1:] if asked]
    assert len(starts) == 2
    assert 0 < starts[0] <= 1_000_000 < starts[1] <= 3_000_000


def test_server_without_ranges_starts_over(index: Index, cache: Cache) -> None:
    index.ranges = False
    index.cut_after = [1_000_000]
    assert got(cache, artifact(index.url)) == [DATA]


@pytest.mark.parametrize("status", [416, 206])
def test_refused_range_starts_over(index: Index, cache: Cache, status: int) -> None:
    (cache.directory("partial") / SHA256).write_bytes(DATA[:1000])
    index.statuses = [status]
    assert got(cache, artifact(index.url)) == [DATA]
    assert index.asked == ["bytes=1000-", None]


def test_what_a_killed_build_left_is_taken_up(index: Index, cache: Cache) -> None:
    (cache.directory("partial") / SHA256).write_bytes(DATA[:1_000_000])
    assert got(cache, artifact(index.url)) == [DATA]
    assert index.asked == ["bytes=1000000-"]


@pytest.mark.parametrize("left", [b"x" * 1000, DATA + b"x", b"x" * len(DATA)])
def test_wrong_leftover_costs_a_try_and_no_more(index: Index, cache: Cache, left: bytes) -> None:
    (cache.directory("partial") / SHA256).write_bytes(left)
    assert got(cache, artifact(index.url)) == [DATA]


def test_whole_leftover_needs_no_request(index: Index, cache: Cache) -> None:
    (cache.directory("partial") / SHA256).write_bytes(DATA)
    assert got(cache, artifact(index.url)) == [DATA]
    assert index.asked == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_busy_server_is_asked_again(index: Index, cache: Cache, status: int) -> None:
    index.statuses = [status, status]
    assert got(cache, artifact(index.url)) == [DATA]


def test_server_that_stays_busy_is_given_up(index: Index, cache: Cache) -> None:
    index.statuses = [503] * 10
    with pytest.raises(FetchError, match=r"was cut off 3 times: the server answered 503") as caught:
        got(cache, artifact(index.url))
    assert len(index.asked) == 3
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(401, "netrc"), (403, "netrc"), (404, "mlbuild lock"), (410, "mlbuild lock"), (418, "again")],
)
def test_refusal_is_final_and_says_what_to_do(index: Index, cache: Cache, status: int, remedy: str) -> None:
    index.statuses = [status]
    with pytest.raises(
        FetchError, match=rf"demo-1.0-py3-none-any.whl could not be fetched: .* {status}"
    ) as caught:
        got(cache, artifact(index.url))
    assert index.asked == [None]
    assert caught.value.remedy is not None
    assert remedy in caught.value.remedy


def test_other_content_names_both_hashes(index: Index, cache: Cache) -> None:
    index.content = b"x" * len(DATA)
    with pytest.raises(FetchError) as caught:
        got(cache, artifact(index.url))
    assert SHA256 in caught.value.message
    assert hashlib.sha256(index.content).hexdigest() in caught.value.message
    assert index.url in caught.value.message
    assert caught.value.remedy is not None
    assert cache.get(Digest(f"sha256:{SHA256}")) is None


def test_longer_file_is_refused_before_it_has_all_arrived(index: Index, cache: Cache) -> None:
    index.content = DATA * 10
    with pytest.raises(FetchError, match=r"is longer than the 5,120,000 bytes of the lock"):
        got(cache, artifact(index.url))


def test_shorter_file_is_refused(index: Index, cache: Cache) -> None:
    index.content = DATA[:-1]
    with pytest.raises(FetchError, match=r"5,119,999 of 5,120,000 bytes arrived|cannot resume"):
        got(cache, artifact(index.url))


def test_credentials_are_used_and_never_shown(index: Index, cache: Cache) -> None:
    index.statuses = [404]
    url = index.url.replace("http://", "http://user:hunter2@") + "?token=hunter2"
    with pytest.raises(FetchError) as caught:
        got(cache, artifact(url))
    assert index.authorised == ["Basic dXNlcjpodW50ZXIy"]
    assert "hunter2" not in f"{caught.value.message} {caught.value.remedy} {caught.value}"


@pytest.mark.parametrize("url", ["http://user:hunter2@127.0.0.1:1/x", "http://user:hunter2@nowhere.invalid/x"])
def test_unreachable_server_is_named_without_credentials(cache: Cache, url: str) -> None:
    with pytest.raises(FetchError, match="was cut off 3 times") as caught:
        got(cache, artifact(url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host/file", "http://[::1/x", "http://", "http://host:port/x"])
def test_url_that_cannot_be_fetched_is_refused(cache: Cache, url: str) -> None:
    with pytest.raises(FetchError):
        got(cache, artifact(url))


@pytest.mark.parametrize("form", [str, lambda path: path.as_uri()])
def test_local_file_is_taken(tmp_path: Path, cache: Cache, form: Callable[[Path], str]) -> None:
    path = tmp_path / "with space.whl"
    path.write_bytes(DATA)
    assert got(cache, artifact(form(path))) == [DATA]


def test_local_file_of_another_content_is_refused(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "demo.whl").write_bytes(b"other")
    with pytest.raises(FetchError, match=f"the lock says {SHA256}"):
        got(cache, artifact(str(tmp_path / "demo.whl")))


def test_local_file_that_is_gone_is_refused(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(FetchError, match="cannot be read: No such file"):
        got(cache, artifact((tmp_path / "demo.whl").as_uri()))


def test_first_failure_ends_the_others(index: Index, cache: Cache) -> None:
    failed = threading.Event()
    with serving(Index(hold=lambda: failed.wait(120))) as slow:
        index.statuses = [404]
        with pytest.raises(FetchError, match="404"):
            got(cache, artifact(slow.url), artifact(index.url, None, "0" * 64))
        assert cache.get(Digest(f"sha256:{SHA256}")) is None  # it was not waited for
        failed.set()


class Counted(Quiet):
    """Adds up what is reported."""

    def __init__(self) -> None:
        self.done = 0
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    @contextmanager
    def bytes(self, label: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        def advance(count: int) -> None:
            self.done += count

        yield advance


def test_progress_adds_up_even_when_it_starts_over(index: Index, cache: Cache) -> None:
    index.ranges = False
    index.cut_after = [1_000_000]
    progress = Counted()
    fetch([artifact(index.url)], cache, progress, retries=HASTY)
    assert progress.done == len(DATA)
    assert progress.steps == ["Downloading 1 files, 5 MB"]
    fetch([artifact(index.url)], cache, progress)
    assert len(progress.steps) == 1


PROGRAM = """
import sys
from pathlib import Path
from builder.cache import Cache
from builder.fetch import Artifact, fetch
from builder.progress import Quiet
url, sha256, size, root = sys.argv[1:]
fetch([Artifact(url, sha256, int(size), "demo")], Cache(Path(root)), Quiet())
"""


def in_a_process_of_its_own(index: Index, cache: Cache) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, index.url, SHA256, str(len(DATA)), str(cache.root)])


@pytest.mark.acceptance  # a server, and three builds that it keeps waiting
def test_two_builds_fetch_one_file_once(cache: Cache) -> None:
    with serving(Index(pause=1.0)) as index:
        builds = [in_a_process_of_its_own(index, cache) for _ in range(3)]
        assert [build.wait() for build in builds] == [0, 0, 0]
        assert index.asked == [None]


def test_killed_build_leaves_what_had_arrived(cache: Cache) -> None:
    with serving(Index(pause=600.0)) as index:
        build = in_a_process_of_its_own(index, cache)
        partial = cache.directory("partial") / SHA256
        while not (partial.exists() and partial.stat().st_size > 1 << 20):
            assert build.poll() is None
            time.sleep(0.01)
        build.kill()
        build.wait()
        index.pause = 0.0
        assert got(cache, artifact(index.url)) == [DATA]
        assert index.asked[1] is not None
