import csv
import os
from typing import Any, TypeAlias

import networkx as nx
from networkx.exception import NetworkXNoPath, NodeNotFound

Path: TypeAlias = list[str]
HERE = os.path.dirname(__file__)


class Network:
    def __init__(self, graph: nx.Graph):
        self.graph = graph

    def shortest(self, start: str, end: str, weight: str = "minutes") -> tuple[Path, float]:
        length, path = nx.single_source_dijkstra(self.graph, start, end, weight=weight)
        return path, length

    def alternatives(self, start: str, end: str, count: int) -> list[Path]:
        paths = nx.shortest_simple_paths(self.graph, start, end, weight="minutes")
        return [path for path, _ in zip(paths, range(count))]

    def describe(self) -> dict[str, Any]:
        return {
            "stations": self.graph.number_of_nodes(),
            "connected": nx.is_connected(self.graph),
            "bridges": sorted(map(sorted, nx.bridges(self.graph))),
            "diameter": nx.diameter(self.graph),
            "between": {
                name: round(value, 4) for name, value in sorted(nx.betweenness_centrality(self.graph).items())
            },
        }


def load(name: str = "lines.csv") -> Network:
    graph = nx.Graph()
    with open(os.path.join(HERE, name), newline="") as file:
        for row in csv.DictReader(file):
            graph.add_edge(row["from"], row["to"], minutes=int(row["minutes"]), capacity=int(row["capacity"]))
    return Network(graph)
