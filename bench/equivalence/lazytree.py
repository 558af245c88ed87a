"""A tree of installed packages with any set of its imports deferred."""

import json
import os
import shutil
import subprocess

from environment import ROOT, base, plain


def build():
    """The helper that judges imports and compiles edits."""
    return built("lazy_tree")


def built(example):
    """An example program of `glowplug-optimize`, made now."""
    subprocess.run(
        ["cargo", "build", "-q", "--release", "-p", "glowplug-optimize", "--example", example], cwd=ROOT, check=True
    )
    return os.path.join(ROOT, "target", "release", "examples", example)


class LazyTree:
    """The packages of a setting; `apply` chooses what is deferred."""

    def __init__(self, helper, setting):
        self.site, self.setting = setting.site, setting
        self.tag = "cpython-" + setting.version.replace(".", "")
        cache = os.path.join(base(), "cache")
        command = [helper, setting.python, setting.version, setting.site, cache, setting.folder]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.answer()
        self.support, self.support_source = first["support"], first["support_source"]
        self.candidates = {candidate["id"]: candidate for candidate in first["candidates"]}
        # Source -> the edited bytecode that lies beside it now.
        self.applied = {}
        self.forget()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the helper lazy_tree ended, with status %s" % self.process.wait())
        return json.loads(line)

    def allowed(self):
        """Ids of what the rules allow, by path and line; pytest, its plugins and tests stay as they are."""

        def wanted(candidate):
            owner = plain(candidate["distribution"] or "")
            return not (candidate["refusal"] or candidate["native"] or candidate["test"] or owner in self.setting.left)

        return [id for id, candidate in self.candidates.items() if wanted(candidate)]

    def apply(self, ids):
        """Defers these imports and no others. Files whose edits the compiler did not take: path -> message."""
        files, failed = {}, {}
        if ids:
            self.process.stdin.write(json.dumps(sorted(ids)) + "\n")
            self.process.stdin.flush()
            answer = self.answer()
            files, failed = answer["files"], answer["failed"]
        for path in self.applied.keys() - files.keys():
            os.remove(self.bytecode(path))
        for path, made in files.items():
            if self.applied.get(path) != made:
                os.makedirs(os.path.dirname(self.bytecode(path)), exist_ok=True)
                shutil.copyfile(made, self.bytecode(path))
        self.applied = files
        support = os.path.join(self.site, self.support + ".py")
        if ids:
            with open(support, "w", encoding="utf-8") as file:
                file.write(self.support_source)
        elif os.path.exists(support):
            os.remove(support)
        return failed

    def bytecode(self, path):
        folder, name = os.path.split(os.path.join(self.site, path))
        return os.path.join(folder, "__pycache__", "%s.%s.pyc" % (name[: -len(".py")], self.tag))

    def forget(self):
        """Removes bytecode of any kind, ours of an earlier run among it."""
        for folder, folders, _ in os.walk(self.site):
            if "__pycache__" in folders:
                shutil.rmtree(os.path.join(folder, "__pycache__"))
        self.apply([])

    def close(self):
        self.apply([])
        self.process.stdin.close()
        self.process.wait()
