"""Renderers by format: every module in this folder brings one."""

import importlib
import pkgutil

from .base import Renderer, find, renderers

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "base":
        importlib.import_module(f"{__name__}.{_module.name}")
