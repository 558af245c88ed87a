from networkx.algorithms.flow import build_residual_network, preflow_push
import networkx as nx


def bottleneck(network, start, end):
    value, (left, right) = nx.minimum_cut(network.graph, start, end, capacity="capacity", flow_func=preflow_push)
    cut = sorted(sorted(edge) for edge in network.graph.edges if (edge[0] in left) != (edge[1] in left))
    residual = build_residual_network(network.graph, "capacity")
    return {"passengers": value, "cut": cut, "residual_edges": residual.number_of_edges()}
