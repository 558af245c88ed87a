"""The clients, made once for each execution environment."""

import json

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from relay.settings import settings


def _chat_stand_in(request: httpx.Request) -> httpx.Response:
    if request.headers.get("authorization") != "Bearer t0ken":
        return httpx.Response(401)
    sent = json.loads(request.content)
    return httpx.Response(201, json={"id": len(sent["text"]), "room": request.url.path.rsplit("/", 1)[-1]})


chat = httpx.Client(
    base_url=str(settings.chat.base_url),
    headers={"Authorization": f"Bearer {settings.chat.token.get_secret_value()}"},
    timeout=httpx.Timeout(settings.chat.timeout, connect=1.0),
    transport=httpx.MockTransport(_chat_stand_in) if settings.stage == "test" else None,
)
cache = redis.Redis.from_url(settings.redis_url, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
