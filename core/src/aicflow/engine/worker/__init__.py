"""A process at work: claims, leases, the log of events, and who is told of them."""
