"""Asks a picture's header for its size: a file of 100 kB can hold a picture that takes gigabytes to decode."""

from __future__ import annotations

import io

from vision_research.config.schema import DataConfig

MAX_PIXELS = DataConfig.max_pixels
"""Default of `data.max_pixels`."""


def too_many_pixels(content: bytes, limit: int) -> str | None:
    """Return why a picture is too large to be decoded, or None; a format without a known header is not judged.

    Args:
        content: of the file; its first kilobytes are enough for most formats.
        limit: the most pixels.
    """
    from PIL import Image, UnidentifiedImageError

    # Pillow warns or raises at a limit of its own.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    if width * height <= limit:
        return None
    return f"{width} x {height} pixels, and data.max_pixels={limit}"
