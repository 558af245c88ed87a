"""Seals small secrets for the browser: encrypted, and bound to whom they are for."""

import base64
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.hashes import SHA256


class Sealer:
    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sealing").derive(secret)
        self._cipher = AESGCM(key)

    def seal(self, text: str, audience: str, nonce: bytes | None = None) -> str:
        nonce = nonce or hashlib.sha256(f"{audience}:{text}".encode()).digest()[:12]
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), audience.encode())).decode()

    def open(self, sealed: str, audience: str) -> str | None:
        data = base64.urlsafe_b64decode(sealed)
        try:
            return self._cipher.decrypt(data[:12], data[12:], audience.encode()).decode()
        except InvalidTag:
            return None
