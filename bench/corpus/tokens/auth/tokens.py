"""Issues and checks access tokens."""

from datetime import datetime, timedelta, timezone

import jwt
from jwt import PyJWKSet

from .keys import KeyRing


class TokenService:
    issuer = "https://login.example.com"

    def __init__(self, keys: KeyRing, lifetime: timedelta = timedelta(hours=1)):
        self.keys = keys
        self.lifetime = lifetime

    def issue(self, subject: str, scopes: list[str], now: datetime) -> str:
        claims = {
            "iss": self.issuer, "sub": subject, "scope": " ".join(scopes),
            "iat": now.astimezone(timezone.utc), "exp": now.astimezone(timezone.utc) + self.lifetime,
        }
        return jwt.encode(claims, self.keys.private, algorithm="RS256", headers={"kid": self.keys.key_id})

    def check(self, token: str, verify_expiry: bool = True) -> dict:
        keys = PyJWKSet.from_dict({"keys": [self.keys.as_jwk()]})
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(
            token, key.key, algorithms=["RS256"], issuer=self.issuer, options={"verify_exp": verify_expiry}
        )
