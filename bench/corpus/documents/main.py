"""Shows documents of several kinds as HTML."""

import logging

from renderers import find, renderers

logging.getLogger().setLevel(logging.INFO)


class Handler:
    def __call__(self, event, context):
        if "name" not in event:
            return {"formats": {extension: kind.__name__ for extension, kind in sorted(renderers.items())}}
        try:
            renderer = find(event["name"])
        except LookupError as error:
            return {"error": str(error)}
        html = renderer.render(event["text"], name=event["name"], **event.get("options", {}))
        logging.info("%s: %d characters by %s", event["name"], len(html), type(renderer).__name__)
        return {"html": html}


handler = Handler()
