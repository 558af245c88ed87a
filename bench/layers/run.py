"""What shared layers gain on a fleet of twenty functions, against one layer with everything and against no layers.

The fleet is `fleet.json`: real distributions with their real sizes (`measure.py` has installed them). Prints the
objective and its parts in MB, the layers, and how far the plan can be from the best one. Takes seconds.
"""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ("stored", "downloaded", "republished", "mixed", "total")


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "fleet.json"
    command = ["cargo", "run", "--quiet", "--locked", "-p", "glowplug-layers", "--example", "fleet", "--", path.resolve()]
    found = json.loads(subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout)
    fleet = json.loads(path.read_text(encoding="utf-8"))
    distributions, functions, plan = fleet["distributions"], fleet["functions"], found["plan"]

    print(f"{len(functions)} functions, {len(distributions)} distributions; MB, in zips")
    print(f"\n{'':28}" + "".join(f"{part:>13}" for part in PARTS))
    rows = {
        "no layers": found["none"]["cost"],
        "one layer with everything": found["everything"]["cost"],
        f"{len(plan['layers'])} shared layers": plan["cost"],
    }
    for name, cost in rows.items():
        print(f"{name:28}" + "".join(f"{cost[part] / 1e6:13.1f}" for part in PARTS))
    for name, other in list(rows.items())[:2]:
        # How much of the other's bytes the plan saves; a negative figure is what it costs more.
        gains = (1 - plan["cost"][part] / other[part] if other[part] else 0 for part in PARTS)
        print(f"{'saved against ' + name.split(' with')[0]:28}" + "".join(f"{gain:13.0%}" for gain in gains))
    if not found["everything"]["fits"]:
        print("one layer with everything unpacks to more than Lambda's 250 MB: it could not be deployed")
    proof = "proved to be the best" if plan["exact"] else f"at most {found['gap']:.2%} above the best"
    print(f"\nthe plan is {proof} ({plan['nodes']} nodes)\n")
    for index, layer in enumerate(plan["layers"], 1):
        size = sum(distributions[member]["compressed"] for member in layer["members"]) / 1e6
        names = ", ".join(distributions[member]["name"] for member in layer["members"])
        users = ", ".join(functions[user]["name"] for user in layer["users"])
        print(f"layer {index}: {size:.1f} MB, {names}\n  for {users}")


if __name__ == "__main__":
    main()
