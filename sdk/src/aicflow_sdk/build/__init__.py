"""Building workflow documents in Python: expressions as objects, nodes, edges, triggers."""
