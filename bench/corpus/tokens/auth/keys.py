"""The signing key, as the key ring of one deployment."""

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class KeyRing:
    private: RSAPrivateKey

    @cached_property
    def public(self) -> RSAPublicKey:
        return self.private.public_key()

    @cached_property
    def key_id(self) -> str:
        der = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        return digest.finalize().hex()[:12]

    def as_jwk(self) -> dict:
        numbers = self.public.public_numbers()
        return {
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id,
            "n": _number(numbers.n), "e": _number(numbers.e),
        }


def load_key_ring(path: Path) -> KeyRing:
    return KeyRing(serialization.load_pem_private_key(path.read_bytes(), password=None))
