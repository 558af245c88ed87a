"""Thumbnails: scales an uploaded picture down, turns it upright, and writes a caption into it where asked."""

import base64
import binascii
import hashlib
import io
import json
from typing import Any, Optional

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

SIZES = {"small": (64, 64), "medium": (160, 160), "large": (480, 480)}
FORMATS = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def open_picture(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return ImageOps.exif_transpose(picture)


def add_caption(picture: Image.Image, caption: str) -> Image.Image:
    band = ImageColor.getrgb("#203040")
    draw = ImageDraw.Draw(picture)
    top = picture.height - 14
    draw.rectangle([0, top, picture.width, picture.height], fill=band)
    draw.text((3, top + 1), caption, fill="white")
    return picture


def make_thumbnail(data: bytes, size: tuple[int, int], caption: Optional[str], sharpen: bool) -> Image.Image:
    picture = open_picture(data).convert("RGB")
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    if sharpen:
        picture = picture.filter(ImageFilter.SHARPEN)
    return add_caption(picture, caption) if caption else picture


def encode(picture: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 82, "optimize": True} if name != "png" else {"optimize": True}
    picture.save(buffer, format=name.upper(), **options)
    return buffer.getvalue()


def failure(status: int, message: str) -> dict[str, Any]:
    return {"statusCode": status, "body": json.dumps({"error": message})}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    wanted = event.get("queryStringParameters") or {}
    name = wanted.get("format", "jpeg")
    if name not in FORMATS or wanted.get("size", "medium") not in SIZES:
        return failure(400, "unknown format or size")
    try:
        data = base64.b64decode(event["body"], validate=True)
        picture = make_thumbnail(
            data, SIZES[wanted.get("size", "medium")], wanted.get("caption"), wanted.get("sharpen") == "yes"
        )
    except (UnidentifiedImageError, binascii.Error):
        return failure(415, "this is no picture")
    encoded = encode(picture, name)
    return {
        "statusCode": 200,
        "headers": {"content-type": FORMATS[name], "etag": hashlib.sha256(encoded).hexdigest()[:16]},
        "body": base64.b64encode(encoded).decode("ascii"),
        "isBase64Encoded": True,
    }
