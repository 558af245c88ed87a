"""Filters over a row of samples. Each is a dataclass; its name in events is a class variable."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Filter(abc.ABC):
    kind: ClassVar[str] = ""
    known: ClassVar[dict[str, type[Filter]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.kind:
            Filter.known[cls.kind] = cls

    @abc.abstractmethod
    def __call__(self, samples: Samples) -> Samples: ...

    @classmethod
    def read(cls, description: dict[str, Any]) -> Filter:
        options = dict(description)
        made = cls.known[options.pop("kind")]
        unknown = options.keys() - {field.name for field in dataclasses.fields(made)}
        if unknown:
            raise TypeError(f"{made.kind} takes no {', '.join(sorted(unknown))}")
        return made(**options)


@dataclasses.dataclass(frozen=True)
class Smooth(Filter):
    kind: ClassVar[str] = "smooth"
    width: int = 3

    def __call__(self, samples: Samples) -> Samples:
        return np.convolve(samples, np.ones(self.width) / self.width, mode="same")


@dataclasses.dataclass(frozen=True)
class LowPass(Filter):
    kind: ClassVar[str] = "low-pass"
    keep: float = 0.25

    def __call__(self, samples: Samples) -> Samples:
        spectrum = np.fft.rfft(samples)
        spectrum[int(len(spectrum) * self.keep):] = 0
        return np.fft.irfft(spectrum, n=len(samples))


@dataclasses.dataclass(frozen=True)
class Detrend(Filter):
    kind: ClassVar[str] = "detrend"
    degree: int = 1

    def __call__(self, samples: Samples) -> Samples:
        at = np.arange(len(samples))
        return samples - np.polynomial.Polynomial.fit(at, samples, self.degree)(at)


@dataclasses.dataclass(frozen=True)
class Noise(Filter):
    kind: ClassVar[str] = "noise"
    seed: int = 0
    scale: float = 1.0

    def __call__(self, samples: Samples) -> Samples:
        return samples + np.random.default_rng(self.seed).normal(0, self.scale, len(samples))
