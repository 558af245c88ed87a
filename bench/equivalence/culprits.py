"""Which deferred imports make tests come out otherwise: found by halving, then looked at one by one."""

import json
import os

import suite

# Culprits of one package, after which something else is wrong.
MOST = 15
# Culprits of one test, after which it is taken for one that sees every deferral.
MOST_OF_A_TEST = 2


def halved(suspects, fails):
    """The last of the shortest failing prefix: guilty, given those before it. All of them together fail."""
    low, high = 0, len(suspects)
    while high - low > 1:
        middle = (low + high) // 2
        if fails(suspects[:middle]):
            high = middle
        else:
            low = middle
    return suspects[high - 1]


class Search:
    """The search for the culprits of one package. `original` is a run without edits, `flaky` tests are left out."""

    def __init__(self, setting, tree, original, flaky, note):
        self.setting, self.tree, self.original, self.flaky, self.note = setting, tree, original, flaky, note
        # Tests that every culprit alone makes fail.
        self.everywhere = set()

    def differs(self, ids, files):
        """Runs these files with these imports deferred."""
        self.tree.apply(ids)
        run = suite.run(self.setting, files)
        within = None if files is None else set(files)
        found = suite.differences(self.original_of(files), run, self.flaky, within)
        return found, run

    def original_of(self, files):
        """The original's outcomes, of a run of the same files: what runs before a test may matter."""
        key = None if files is None else tuple(files)
        if key not in self.originals:
            self.tree.apply([])
            self.originals[key] = suite.run(self.setting, files)
        return self.originals[key]

    def search(self, ids, found):
        """The culprits among `ids`, which together make the tests in `found` differ, and the files that show it."""
        self.originals = {None: self.original}
        files = sorted({suite.file_of(test) for test in found})
        if files == ["."] or not all(os.path.exists(os.path.join(self.setting.root, path)) for path in files):
            files = None
        if files is not None and not self.differs(ids, files)[0]:
            files = None
        culprits, left, count = [], list(ids), {}
        while len(culprits) < MOST:
            now, _ = self.differs(left, files)
            everywhere = {test for test in now if count.get(test, 0) >= MOST_OF_A_TEST}
            if everywhere:
                self.flaky = self.flaky | everywhere
                self.everywhere |= everywhere
                continue
            if not now:
                break
            self.note("%d tests differ, looking for the import" % len(now))
            guilty = halved(left, lambda some: bool(self.differs(some, files)[0]))
            left.remove(guilty)
            culprits.append(self.described(guilty, left, files))
            for test in culprits[-1]["tests"]:
                count[test] = count.get(test, 0) + 1
            self.note("found " + guilty)
        return culprits, left

    def described(self, guilty, others, files):
        """What one culprit does: deferred alone if that shows anything, else together with the others."""
        found, run = self.differs([guilty], files)
        alone = bool(found)
        if not alone:
            found, run = self.differs([*others, guilty], files)
            without, _ = self.differs(others, files)
            found = {test: outcomes for test, outcomes in found.items() if test not in without}
        texts = [run.texts[test] for test in found if test in run.texts]
        candidate = self.tree.candidates[guilty]
        return {
            "id": guilty,
            "line": candidate["line"],
            "targets": candidate["targets"],
            "alone": alone,
            "tests": {test: list(outcomes) for test, outcomes in found.items()},
            "message": suite.message(texts[0] if texts else "" if run.ended else run.output, self.setting.work),
            "effects": self.effects(candidate, files),
        }

    def effects(self, candidate, files):
        """What the build's comparison of effects says about it, once the tests are collected; None if it was loaded
        by then."""
        self.tree.apply([candidate["id"]])
        config = os.path.join(self.setting.work, "effects.json")
        pair = [candidate["module"], candidate["name"]]
        user = {path[: -len(".py")].replace("/", ".") for path in files or ()}
        with open(config, "w", encoding="utf-8") as file:
            json.dump({
                "agent": os.path.join(os.path.dirname(os.path.dirname(suite.HERE)), "python/glowplug_agent/effects.py"),
                "force": [pair], "deferred": [pair], "support": self.tree.support, "user": sorted(user),
            }, file)
        found = suite.run(self.setting, files, effects=config).effects or []
        return next((entry["effects"] for entry in found), None)
