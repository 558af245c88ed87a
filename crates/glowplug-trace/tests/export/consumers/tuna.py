"""Opens a text of `-X importtime` as `tuna FILE -o FOLDER` does, and prints the tree that it has read."""

import json
import logging
import sys
from pathlib import Path

from tuna.cli import main
from tuna.main import read


class Refuse(logging.Handler):
    """tuna warns of lines that it does not know, and goes on."""

    def emit(self, record):
        sys.exit(record.getMessage())


logging.getLogger("tuna").addHandler(Refuse())
main([sys.argv[1], "-o", sys.argv[2], "--no-browser"])
assert (Path(sys.argv[2]) / "index.html").read_text().strip()
print(json.dumps(read(sys.argv[1])))
