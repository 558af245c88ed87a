#!/usr/bin/env python3
"""Whether every native library of popular packages still loads after trimming and stripping.

    python3 bench/native.py [--python PATH] [--keep DIR] [PACKAGE...]

Each package is installed with uv or pip, packaged as a build does at level `safe` (`bench/package.py` says how), unzipped,
and every shared library of the result is loaded with `dlopen`, in a process of its own forked from the interpreter, as
is the original's. Printed are, per package, the libraries, how many were stripped and by how much, how many became
links, and those that load before and not after: there must be none. The modules are then imported from the result.
"""

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile

from package import binary, install

# Requirement, and what is imported of it.
PACKAGES = {
    "numpy": ["numpy", "numpy.random", "numpy.linalg"],
    "scipy": ["scipy.linalg", "scipy.sparse", "scipy.optimize", "scipy.special"],
    "pandas": ["pandas"],
    "pillow": ["PIL.Image", "PIL._imagingft"],
    "cryptography": ["cryptography.hazmat.bindings._rust"],
    "lxml": ["lxml.etree", "lxml.objectify"],
    "pydantic": ["pydantic"],
    "grpcio": ["grpc"],
    "psycopg2-binary": ["psycopg2"],
    "opencv-python-headless": ["cv2"],
    "scikit-learn": ["sklearn.linear_model"],
    "pyarrow": ["pyarrow.parquet"],
}

LOAD = r"""
import ctypes, os, sys
root = sys.argv[1]
for name in sys.stdin.read().splitlines():
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            ctypes.CDLL(os.path.join(root, name))
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print(name)
"""


def unzip(archive, folder):
    """As Lambda does: modes and links."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            mode, path = entry.external_attr >> 16, os.path.join(folder, entry.filename)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if stat.S_ISLNK(mode):
                os.symlink(opened.read(entry).decode(), path)
                continue
            with open(path, "wb") as file:
                file.write(opened.read(entry))
            os.chmod(path, stat.S_IMODE(mode))


def libraries(tree):
    found = []
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".so") or ".so." in name:
                with open(path, "rb") as file:
                    if file.read(4) == b"\x7fELF":
                        found.append(os.path.relpath(path, tree))
    return sorted(found)


def loading(python, tree, names):
    ran = subprocess.run([python, "-S", "-c", LOAD, tree], input="\n".join(names), stdout=subprocess.PIPE, text=True, check=True)
    return set(ran.stdout.splitlines())


def check(program, python, package, modules, folder):
    tree, after = os.path.join(folder, "tree"), os.path.join(folder, "after")
    install(python, tree, [package])
    archive, cache = os.path.join(folder, "package.zip"), os.path.join(folder, "cache")
    subprocess.run([program, tree, python, cache, archive, "plain"], check=True, stdout=subprocess.DEVNULL)
    unzip(archive, after)
    before, names = libraries(tree), libraries(after)
    lost = sorted(loading(python, tree, names) - loading(python, after, names))
    links = [name for name in names if os.path.islink(os.path.join(after, name))]
    saved = [os.path.getsize(os.path.join(tree, name)) - os.path.getsize(os.path.join(after, name)) for name in names if name not in links]
    environment = {**os.environ, "PYTHONPATH": after, "PYTHONDONTWRITEBYTECODE": "1"}
    imported = subprocess.run(
        [python, "-S", "-c", "\n".join("import " + module for module in modules)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print("%-24s %4d libraries, %d dropped, %3d stripped by %9d bytes, %d links: %s%s" % (
        package, len(before), len(before) - len(names), sum(size > 0 for size in saved), sum(saved), len(links),
        "all load" if not lost else "LOST " + ", ".join(lost),
        "" if imported.returncode == 0 else ", IMPORT FAILED: " + imported.stdout.strip().splitlines()[-1]))
    return not lost and imported.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the interpreter to install for and load with")
    parser.add_argument("--keep", help="keep what is installed and made here")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="some of: " + ", ".join(PACKAGES))
    options = parser.parse_args()
    program, good = binary(), True
    for package in options.packages or PACKAGES:
        folder = os.path.join(os.path.abspath(options.keep), package) if options.keep else tempfile.mkdtemp(prefix="glowplug-native-")
        os.makedirs(folder, exist_ok=True)
        try:
            good &= check(program, options.python, package, PACKAGES.get(package, [package]), folder)
        finally:
            if not options.keep:
                shutil.rmtree(folder)
    sys.exit(not good)


if __name__ == "__main__":
    main()
