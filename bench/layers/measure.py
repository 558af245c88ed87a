"""Installs what each function of `functions.json` requires and writes `fleet.json`: the distributions with their real
sizes, which the optimiser's benchmark reads. Needs `uv` (or `UV` in the environment) and a network; takes minutes.

Bytes are those of the wheels' files without bytecode; compressed ones, each file deflated by itself at effort 6, as
`glowplug` packs them.
"""

import csv
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
# What installers write for themselves: it differs between two installs of one wheel.
MARKS = {"RECORD", "REQUESTED", "INSTALLER", "direct_url.json", "uv_cache.json"}
# Needed for the first response by hardly anybody: the others count as hot.
COLD = {"openpyxl", "et-xmlfile", "tzdata", "pytz", "greenlet"}


def normalise(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def install(requirements, spec, folder):
    subprocess.run(
        [
            os.environ.get("UV", "uv"), "pip", "install", "--quiet", "--target", folder, "--only-binary", ":all:",
            "--python-version", spec["python"], "--python-platform", spec["platform"], *requirements,
        ],
        check=True,
    )


def distributions(folder):
    """Name, version, digest and sizes of everything installed in `folder`."""
    for info in sorted(pathlib.Path(folder).glob("*.dist-info")):
        name, version = info.name[: -len(".dist-info")].split("-", 1)
        unzipped = compressed = 0
        digest = hashlib.sha256()
        with open(info / "RECORD", newline="", encoding="utf-8") as record:
            paths = sorted(row[0] for row in csv.reader(record) if row)
        for path in paths:
            file = pathlib.Path(folder, path.replace("../../", ""))
            if file.name in MARKS or file.suffix == ".pyc" or not file.is_file():
                continue
            content = file.read_bytes()
            deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = len(deflate.compress(content)) + len(deflate.flush())
            unzipped += len(content)
            compressed += min(packed, len(content)) + 2 * len(path) + 76
            digest.update(path.encode() + hashlib.sha256(content).digest())
        yield normalise(name), version, digest.hexdigest()[:16], unzipped, compressed


def main():
    spec = json.loads((HERE / "functions.json").read_text(encoding="utf-8"))
    moves = spec["moves"]
    known, functions = {}, []
    for name, function in spec["functions"].items():
        folder = tempfile.mkdtemp(prefix="layers-")
        try:
            install(function["requirements"], spec, folder)
            needs = []
            for found in distributions(folder):
                if found not in known:
                    distribution, version, digest, unzipped, compressed = found
                    known[found] = {
                        "name": distribution, "version": version, "digest": digest, "unzipped": unzipped,
                        "compressed": compressed, "moves": moves.get(distribution, moves["default"]),
                        "hot": distribution not in COLD,
                    }
                needs.append(list(known).index(found))
        finally:
            shutil.rmtree(folder)
        own = function["own_bytes"]
        functions.append(
            {"name": name, "own_unzipped": own, "own_compressed": own // 3, "cold_starts": function["cold_starts"], "needs": needs}
        )
        print(f"{name}: {len(needs)} distributions", file=sys.stderr)
    fleet = {"distributions": list(known.values()), "functions": functions}
    (HERE / "fleet.json").write_text(json.dumps(fleet, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
