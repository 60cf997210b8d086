"""The steps of the `pack` command: read the annotation files, write their images as shards, upload the files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from vision_research.config.addresses import absolute, is_s3, join
from vision_research.config.command_schema import PackCommand
from vision_research.config.errors import ConfigError
from vision_research.datasets.formats import format_of
from vision_research.protocols import DataFile
from vision_research.registry import data_files
from vision_research.storage.s3.objects import begin_run
from vision_research.storage.s3.pack_writer import PackWriter
from vision_research.storage.s3.path import as_path
from vision_research.storage.s3.settings import S3Settings
from vision_research.storage.s3.transfer import upload_bytes
from vision_research.storage.s3.uri import S3Uri


def pack(command: PackCommand) -> None:
    """Pack a data set whose annotation files list the images.

    Raises:
        ConfigError: the annotation files list no images, or an image is missing.
        S3Error: writing to S3 failed.
    """
    files = tuple(data_files(command.data))
    _refuse(command, files)
    settings = S3Settings(**command.storage.s3_settings)
    begin_run(settings)
    root, out = absolute(command.data.root), S3Uri.parse(command.out)
    contents = {file.path: _read_file(file.path, root) for file in files}
    names = list(dict.fromkeys(name for file in files for name in _image_names(file, contents[file.path])))
    with tempfile.TemporaryDirectory(prefix="vision_research-pack-") as scratch:
        writer = PackWriter(out, settings, command.shard_mb * 1_000_000, Path(scratch))
        num_shards = writer.write(names, lambda name: _read_file(name, root))
    for path, content in contents.items():
        upload_bytes(content, out.child(path), settings)
    print(f"{len(names)} images in {num_shards} shards. Train on them: data.root={out} storage=s3 storage.packed=true")


def _refuse(command: PackCommand, files: Sequence[DataFile]) -> None:
    problems = []
    if not is_s3(command.out):
        problems.append(f"out={command.out}: is a folder in S3. Type out=s3://BUCKET/KEY")
    if not files or not format_of(command.data).has_coco_file:
        problems.append(
            f"data={command.data.kind.value}: only COCO annotations are packed. Convert it, and type data=coco"
        )
    if command.storage.packed:
        problems.append("storage.packed=true: is packed already. Type storage.packed=false and the original data.root")
    if command.shard_mb < 1:
        problems.append(f"shard_mb={command.shard_mb}: has to be 1 or more")
    problems += [
        f"{address}: a pack holds what lies in data.root={command.data.root}. Type it relative to that"
        for address in dict.fromkeys(address for file in files for address in (file.path, file.folder))
        if is_s3(address) or Path(address).is_absolute()
    ]
    if problems:
        raise ConfigError(problems)


def _image_names(file: DataFile, content: bytes) -> list[str]:
    if file.images is None:
        return []
    try:
        return [str(Path(file.folder, name)) for name in file.images(content)]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file.key}={file.path}: is no COCO file ({error})") from error


def _read_file(name: str, root: str) -> bytes:
    try:
        return as_path(join(root, name)).read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"data.root={root}: there is no {name}. Pack the folder that holds it") from error
