import networkx as nx
import numpy as np


def rank(network, damping: float = 0.85) -> dict[str, float]:
    scores = nx.pagerank(network.graph, alpha=damping, weight="capacity")
    order = np.argsort([-value for value in scores.values()], kind="stable")
    names = list(scores)
    return {names[index]: round(float(scores[names[index]]), 4) for index in order}
