"""What a checkpoint that is on its way to S3 costs the training beside it."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from urllib.parse import urlsplit

import torch
from s3_place import BUCKET, Place, show

from vision_research.storage.s3.client import s3_client
from vision_research.storage.s3.mirror import Mirror, MirrorThread
from vision_research.storage.s3.transfer import PART_BYTES
from vision_research.storage.s3.uri import S3Uri
from vision_research.work_dir import WorkDir

NUM_BYTES = 200_000_000
TURNS = 6
ALONE_S = 3.0


def upload(place: Place) -> None:
    """Print what an upload costs, and what of that the server takes, which is another machine's in earnest.

    The bare sender puts the same bytes in the same parts from a process of its own, which computes nothing: no
    checksum, no signature of the body. What an iteration is slower beside it is the server's work and the memory's.
    """
    content = place.folder / "content"
    content.write_bytes(os.urandom(NUM_BYTES))
    training, sender = _started(_train), _started(_send)
    alone, bare, beside = [], [], []
    for turn in range(TURNS):
        alone.append(_iteration_s(training, lambda: time.sleep(ALONE_S)))
        bare.append(_iteration_s(training, lambda turn=turn: _send_bare(sender, place, content, turn)))
        beside.append(_iteration_s(training, lambda turn=turn: _mirror(place, content, turn)))
        print(
            f"    alone {1000 * alone[-1]:.2f} ms, beside a bare sender {1000 * bare[-1]:.2f}, beside an upload "
            f"{1000 * beside[-1]:.2f}",
            flush=True,
        )
    show("iteration beside an upload", 1000 * median(beside), "alone [ms]", 1000 * median(alone), 1.02)
    show("iteration beside a bare sender", 1000 * median(bare), "alone [ms]", 1000 * median(alone), 1.02)
    show(
        "iteration beside an upload [ms], over a bare sender",
        1000 * median(beside),
        "bare sender [ms]",
        1000 * median(bare),
        1.02,
    )


def _started(run: Callable[[Connection], None]) -> Connection:
    theirs, ours = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=_until_over, args=(run, theirs), daemon=True).start()
    assert ours.recv() == "ready"
    return ours


def _until_over(run: Callable[[Connection], None], pipe: Connection) -> None:
    with suppress(EOFError, BrokenPipeError):
        run(pipe)


def _train(pipe: Connection) -> None:
    torch.set_num_threads(1)
    pipe.send("ready")
    layer, batch = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(2, 64, 96, 96)
    ended = time.perf_counter()
    while True:
        started = ended
        layer(batch).square().mean().backward()
        ended = time.perf_counter()
        pipe.send((started, ended))


def _iteration_s(pipe: Connection, work: Callable[[], object]) -> float:
    """Return the mean of the iterations that lie within some work, in seconds."""
    while pipe.poll():
        pipe.recv()
    first = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        times = []
        while not doing.done():
            started, ended = pipe.recv()
            if started >= first:
                times.append(ended - started)
        doing.result()
    return mean(times[:-1])


def _mirror(place: Place, content: Path, turn: int) -> None:
    work_dir = WorkDir(place.folder / f"run{turn}")
    work_dir.root.mkdir()
    (work_dir.root / "epoch_1.pth").hardlink_to(content)
    started = time.perf_counter()
    thread = MirrorThread(Mirror(work_dir, S3Uri(BUCKET, f"runs/{turn}"), place.settings), interval_s=0.01)
    thread.start()
    thread.finish()
    print(f"upload {turn}: {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _send_bare(sender: Connection, place: Place, content: Path, turn: int) -> None:
    client = s3_client(place.settings)
    addresses = [
        client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": f"bare/{turn}/{start}"})
        for start in range(0, NUM_BYTES, PART_BYTES)
    ]
    sender.send((addresses, str(content)))
    assert sender.recv() == "sent"


def _send(pipe: Connection) -> None:
    os.nice(19)
    pipe.send("ready")
    while True:
        addresses, content = pipe.recv()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda item: _put(item[1], content, item[0] * PART_BYTES), enumerate(addresses)))  # noqa: B023
        pipe.send("sent")


def _put(address: str, content: str, start: int) -> None:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc)
    length = min(PART_BYTES, NUM_BYTES - start)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    with open(content, "rb") as file:  # noqa: PTH123
        connection.sock.sendfile(file, start, length)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
