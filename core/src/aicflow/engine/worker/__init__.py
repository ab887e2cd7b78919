"""A process at work: claims, leases, the log of events, and the observers of them."""
