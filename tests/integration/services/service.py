"""A service for tests: tells about itself over HTTP, and does to itself what a test asks for.

/healthz   whether the database answers
/count     how many items there are, asked of the database
/me        what it knows of itself, and how often it was asked: its cache
/burn?s=   uses so much CPU in a child of a child
/eat?mb=   takes so much memory
/exit?code=
/child     starts a process that outlives it
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import psycopg

BURN = "import time\nwhile time.process_time() < {0}: pass"
GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"


class Service(BaseHTTPRequestHandler):
    """Answers requests."""

    asked = 0
    eaten: ClassVar[list[bytearray]] = []

    def do_GET(self) -> None:
        """Do what a path asks for."""
        parts = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer = json.dumps(getattr(self, f"of_{parts.path[1:]}")(**given)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def of_healthz(self) -> int:
        with psycopg.connect(os.environ["FLASHCROWD_DSN"]) as connection:
            return connection.execute("SELECT 1").fetchone()[0]

    def of_count(self) -> int:
        with psycopg.connect(os.environ["FLASHCROWD_DSN"]) as connection:
            return connection.execute("SELECT count(*) FROM items").fetchone()[0]

    def of_me(self) -> dict[str, Any]:
        Service.asked += 1
        found = sorted(path.name for path in Path.cwd().iterdir())
        Path("written").touch()
        cpu_s = sum(os.times()[:4])
        return {"asked": Service.asked, "cpu_s": cpu_s, "found": found, "environment": dict(os.environ)}

    def of_burn(self, s: str) -> float:
        subprocess.run([sys.executable, "-c", GRANDCHILD, BURN.format(float(s))], check=True)
        return float(s)

    def of_eat(self, mb: str) -> int:
        for _ in range(int(mb)):
            Service.eaten.append(bytearray(os.urandom(1)) * 1024**2)
            time.sleep(0.001)
        return len(Service.eaten)

    def of_exit(self, code: str) -> None:
        print(f"asked to exit with {code}")
        os._exit(int(code))

    def of_child(self, token: str) -> int:
        sleeps = f"import time; time.sleep(600)  # {token}"
        return subprocess.Popen([sys.executable, "-c", sleeps], start_new_session=True).pid

    def log_message(self, format: str, *args: Any) -> None:
        print("asked for", self.path)


if __name__ == "__main__":
    print("listening")
    ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Service).serve_forever()
