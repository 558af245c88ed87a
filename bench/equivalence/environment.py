"""Where a package's tests run: a virtual environment with its wheels, and the tests of its source distribution."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# The installer, fetched once.
UV = "uv==0.13.9"

# Asks an environment which distributions are left alone: pytest with what it needs, and its plugins; but nothing of
# that which the package itself needs.
LEFT_ALONE = r"""
import json, re, sys
from importlib import metadata

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

known = {plain(d.metadata["Name"]): d for d in metadata.distributions()}

def closure(names):
    seen, queue = set(), [plain(name) for name in names]
    while queue:
        name = queue.pop()
        if name in known and name not in seen:
            seen.add(name)
            queue += [plain(re.match(r"[\w.-]+", text).group()) for text in known[name].requires or ()
                      if "extra ==" not in text]
    return seen

plugins = {name for name, d in known.items() if any(e.group == "pytest11" for e in d.entry_points)}
own = closure(sys.argv[1:])
print(json.dumps({
    "left": sorted((closure(["pytest"]) | plugins) - own),
    "versions": {name: d.version for name, d in known.items()},
}))
"""


@dataclass
class Setting:
    """One package, ready for its tests."""

    package: object
    version: str
    work: str
    python: str
    site: str
    # Where the tests start, what their ids are relative to, and how pytest finds its configuration.
    folder: str
    root: str
    config: list
    # Distributions that stay as they are, and everybody's version.
    left: set
    versions: dict


def interpreter(version):
    """A Python of this minor version that really runs: names on the path may be stubs that do not."""
    names = ["python" + version, *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/%s.*/bin/python3" % version)))]
    script = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for name in names:
        done = subprocess.run(["sh", "-c", '"$0" -c "$1"', name, script], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.split(" ", 1)[0] == version:
            return os.path.realpath(done.stdout.strip().split(" ", 1)[1])
    sys.exit("no Python %s on the path or among pyenv's" % version)


def plain(name):
    """A distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def base():
    """Where everything that can be made again lies."""
    return os.path.join(ROOT, "target", "equivalence")


def uv():
    """The installer, in an environment of its own."""
    folder = os.path.join(base(), "tools")
    executable = os.path.join(folder, "bin", "uv")
    if not os.path.exists(executable):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q", UV], check=True)
    return executable


def call(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("%s failed:\n%s" % (" ".join(command[1:4]), done.stderr[-2000:]))
    return done.stdout


def prepare(package, python, version):
    """Installs and unpacks; what is there already stays."""
    work = os.path.join(base(), version, package.name)
    venv, folder = os.path.join(work, "venv"), os.path.join(work, "tests")
    lock = locked(package, python, version)
    os.makedirs(work, exist_ok=True)
    inside = os.path.join(venv, "bin", "python")
    if not newer(os.path.join(work, "installed"), lock):
        shutil.rmtree(venv, ignore_errors=True)
        call(uv(), "venv", "-q", "--python", python, venv)
        call(uv(), "pip", "install", "-q", "--python", inside, "--only-binary", package.name, "-r", lock)
        shutil.rmtree(folder, ignore_errors=True)
        unpack(package, python, work, folder)
        open(os.path.join(work, "installed"), "w").close()
    site = call(inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    answer = json.loads(call(inside, "-c", LEFT_ALONE, package.name, *package.lazy_too))
    for part in package.inside:
        shutil.copytree(os.path.join(folder, part), os.path.join(site, part), dirs_exist_ok=True)
    config = []
    for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        path = os.path.join(folder, name)
        if os.path.exists(path) and mentions_pytest(path):
            config = ["-c", path]
            break
    root = site if package.inside else folder
    return Setting(package, version, work, inside, site, folder, root, config, set(answer["left"]), answer["versions"])


def mentions_pytest(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return any(mark in text for mark in ("[pytest]", "[tool:pytest]", "[tool.pytest"))


def newer(path, than):
    return os.path.exists(path) and os.path.getmtime(path) >= os.path.getmtime(than)


def locked(package, python, version):
    """The file with every version that is installed; made once, then kept in the repository."""
    lock = os.path.join(HERE, "locks", version, package.name + ".txt")
    if not os.path.exists(lock):
        os.makedirs(os.path.dirname(lock), exist_ok=True)
        wanted = os.path.join(base(), package.name + ".in")
        os.makedirs(base(), exist_ok=True)
        with open(wanted, "w", encoding="utf-8") as file:
            file.write("\n".join([package.requirement, "pytest", *package.needs]) + "\n")
        call(uv(), "pip", "compile", "-q", "--no-header", "--no-annotate", "--python", python, wanted, "-o", lock)
    return lock


def unpack(package, python, work, folder):
    """The parts of the source distribution that the tests need."""
    wanted, described = os.path.join(work, "sdist.in"), os.path.join(work, "pylock.toml")
    with open(wanted, "w", encoding="utf-8") as file:
        file.write(package.requirement + "\n")
    how = ["-q", "--no-deps", "--format", "pylock.toml", "--python", python]
    call(uv(), "pip", "compile", *how, wanted, "-o", described)
    with open(described, encoding="utf-8") as file:
        (url,) = (part.split('"')[1] for part in file if part.startswith("sdist ="))
    archive = os.path.join(work, "sdist.tar.gz")
    urllib.request.urlretrieve(url, archive)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            member.name = member.name.partition("/")[2]
            if any(member.name == part or member.name.startswith(part + "/") for part in package.parts()):
                # Older versions of Python have no filters.
                safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                tar.extract(member, folder, **safe)
