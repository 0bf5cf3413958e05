"""Pages over HTTP, made of what the database says; before the fix each stays in memory."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg

PAGE_BYTES = 8 * 1024**2
kept: list[bytes] = []


class Pages(BaseHTTPRequestHandler):
    """Answers every path with the number of items."""

    def do_GET(self) -> None:
        """One page."""
        with psycopg.connect(os.environ["FLASHCROWD_DSN"]) as connection:
            row = connection.execute("SELECT count(*) FROM items").fetchone()
        if os.environ.get("FLASHCROWD_VARIANT") == "before" and self.path == "/page":
            kept.append(b"x" * PAGE_BYTES)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{row}\n".encode())


if __name__ == "__main__":
    ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Pages).serve_forever()
