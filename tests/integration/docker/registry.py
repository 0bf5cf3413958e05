"""A registry of one image, as the engine asks one: enough of the distribution protocol for a pull."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def serving(name: str, tag: str, text: str) -> Iterator[str]:
    """Serve an image of one file on this machine's loopback, where engines ask without TLS; its reference."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("text")
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))
    layer = gzip.compress(tar.getvalue())
    rootfs = {"type": "layers", "diff_ids": [_digest(tar.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    described = [
        {"mediaType": media, "size": len(blob), "digest": _digest(blob)}
        for media, blob in (
            ("application/vnd.docker.container.image.v1+json", config),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", layer),
        )
    ]
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[0], "layers": described[1:]}
    ).encode()
    answers = {
        "/v2/": ("application/json", b"{}"),
        **{f"/v2/{name}/manifests/{called}": (_MANIFEST, manifest) for called in (tag, _digest(manifest))},
        **{f"/v2/{name}/blobs/{_digest(blob)}": ("application/octet-stream", blob) for blob in (config, layer)},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = answers.get(self.path, ("application/json", b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'))
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *said: object) -> None:
            """Not on the tests' standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/{name}:{tag}"
        finally:
            server.shutdown()
            thread.join()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
