"""Answers questions about a network of stations."""

import networkx as nx

import network

NETWORK = network.load()


def handler(event, context):
    ask = event["ask"]
    try:
        if ask == "route":
            path, minutes = NETWORK.shortest(event["from"], event["to"])
            return {"path": path, "minutes": minutes}
        if ask == "alternatives":
            return {"paths": NETWORK.alternatives(event["from"], event["to"], event.get("count", 3))}
        if ask == "describe":
            return NETWORK.describe()
        if ask == "rank":
            return {"rank": network.rank(NETWORK)}
        if ask == "bottleneck":
            return network.bottleneck(NETWORK, event["from"], event["to"])
        return {"error": f"cannot {ask}", "can": [name for name in dir(network) if not name.startswith("_")]}
    except (nx.NetworkXNoPath, nx.NodeNotFound) as error:
        return {"error": str(error), "type": type(error).__name__}
