from __future__ import annotations

import typing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy import linalg

if TYPE_CHECKING:
    from filters import Samples


class Peak(NamedTuple):
    at: int
    height: float


@dataclass(slots=True)
class Summary:
    mean: float
    deviation: float
    energy: float
    peaks: list[Peak]
    period: int | None = None

    def as_json(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if value is not None}


def peaks(samples: Samples, above: float) -> list[Peak]:
    inner = (samples[1:-1] > samples[:-2]) & (samples[1:-1] >= samples[2:]) & (samples[1:-1] > above)
    return [Peak(int(index) + 1, round(float(samples[index + 1]), 6)) for index in np.flatnonzero(inner)]


def period(samples: Samples) -> int | None:
    power = np.abs(np.fft.rfft(samples - samples.mean()))
    if len(power) < 3 or linalg.norm(power) < 1e-9:
        return None
    return int(round(len(samples) / int(np.argmax(power[1:]) + 1)))


def summarise(samples: Samples) -> Summary:
    return Summary(
        round(float(samples.mean()), 6), round(float(samples.std(ddof=1)), 6),
        round(float(samples @ samples), 6), peaks(samples, float(samples.mean())), period(samples),
    )


def fields() -> dict[str, str]:
    """What a summary holds, for those who ask."""
    return {name: str(kind) for name, kind in typing.get_type_hints(Summary).items()}
