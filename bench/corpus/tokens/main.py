"""Login tokens: issue, check, publish the key, seal a secret."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

import jwt

from auth import Sealer, TokenService, load_key_ring

KEYS = load_key_ring(Path(__file__).parent / "signing_key.pem")
TOKENS = TokenService(KEYS)
SEALER = Sealer(os.environ.get("SEALING_SECRET", "only for tests").encode())

Action = Callable[[dict[str, Any]], dict[str, Any]]
ACTIONS: dict[str, Action] = {}


def action(function: Action) -> Action:
    ACTIONS[function.__name__] = function
    return function


@action
def issue(event: dict[str, Any]) -> dict[str, Any]:
    token = TOKENS.issue(event["subject"], event.get("scopes", []), datetime.fromisoformat(event["now"]))
    return {"access_token": token, "token_type": "Bearer"}


@action
def check(event: dict[str, Any]) -> dict[str, Any]:
    try:
        claims = TOKENS.check(event["token"], verify_expiry=event.get("verify_expiry", True))
    except jwt.InvalidTokenError as error:
        return {"active": False, "why": type(error).__name__}
    return {"active": True, **claims}


@action
def roundtrip(event: dict[str, Any]) -> dict[str, Any]:
    return check({"token": issue(event)["access_token"], "verify_expiry": False})


@action
def keys(event: dict[str, Any]) -> dict[str, Any]:
    return {"keys": [KEYS.as_jwk()]}


@action
def seal(event: dict[str, Any]) -> dict[str, Any]:
    sealed = SEALER.seal(event["text"], event["audience"])
    return {"sealed": sealed, "opened": SEALER.open(sealed, event.get("reader", event["audience"]))}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    try:
        function = ACTIONS[event["action"]]
    except KeyError:
        raise ValueError(f"unknown action {event.get('action')!r}; one of {', '.join(sorted(ACTIONS))}") from None
    return function(event)
