"""Acme's stock service, as small as it can be: `python stock_service.py PORT`."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STOCK = {"BOLT-8": 500, "NUT-8": 3}


class Handler(BaseHTTPRequestHandler):
    """GET /stock/SKU"""

    def do_GET(self) -> None:
        sku = self.path.rpartition("/")[2]
        status = 200 if sku in STOCK else 404
        body = json.dumps({"sku": sku, "left": STOCK.get(sku, 0)}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 9200), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
