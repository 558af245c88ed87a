from html import escape

import bleach

from .base import Renderer


class PlainRenderer(Renderer):
    extensions = ("txt", "log")

    def render(self, text, **options):
        return "".join(f"<p>{bleach.linkify(escape(part))}</p>" for part in text.split("\n\n"))
