import hashlib
import hmac
import logging

import httpx
import redis
from pydantic import ValidationError

from relay import __version__, cache, chat, settings
from relay.events import adapter

log = logging.getLogger("relay")
log.setLevel(logging.INFO)


def is_signed(body: str, signature: str) -> bool:
    expected = hmac.new(settings.secret.get_secret_value().encode(), body.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={expected}", signature)


def seen_before(delivery: str) -> bool:
    """Whether this delivery was relayed already; without the cache it counts as new."""
    try:
        return not cache.set(f"delivery:{delivery}", "1", nx=True, ex=3600)
    except redis.ConnectionError:
        log.warning("no cache, %s counts as new", delivery)
        return False


def post(room: str, text: str) -> dict:
    response = chat.post(f"rooms/{room}", json={"text": text})
    response.raise_for_status()
    return response.json()


def handler(event, context):
    if event.get("path") == "/version":
        return {"statusCode": 200, "version": __version__, "stage": settings.stage}
    if not is_signed(event["body"], event["headers"].get("x-signature", "")):
        return {"statusCode": 401}
    try:
        received = adapter.validate_json(event["body"])
    except ValidationError as error:
        return {"statusCode": 422, "problems": error.errors(include_url=False, include_input=False)}
    delivery = event["headers"].get("x-delivery")
    if delivery and seen_before(delivery):
        return {"statusCode": 208}
    room = settings.rooms.get(received.branch, "builds")
    try:
        return {"statusCode": 200, "text": received.describe(), "posted": post(room, received.describe())}
    except httpx.HTTPError as error:
        return {"statusCode": 502, "error": repr(error)}
