"""The server: the HTTP API over the engine and a store, started by `aicflow serve` or mounted as an ASGI app."""
