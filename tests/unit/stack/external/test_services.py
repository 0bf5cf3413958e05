"""Services of one's own: named, or refused."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.model import Service
from harness.stack.external.services import endpoints

WEB = Service(name="web", command=("web",), instances=2)


def test_every_instance_is_named() -> None:
    found = endpoints([WEB], ["web=http://10.0.0.5:8080", "other=http://x", "web=http://[::1]/", "web=http://third:1"])
    assert [one.url for one in found["web"]] == ["http://10.0.0.5:8080", "http://[::1]:80"]
    assert [one.name for one in found["web"]] == ["web-1", "web-2"]


def test_too_few_are_refused() -> None:
    with pytest.raises(UsageError, match=r"has 2 of the service web, and FLASHCROWD_EXTERNAL_SERVICES names 1"):
        endpoints([WEB], ["web=http://10.0.0.5:8080"])


def test_one_that_does_not_listen_cannot_be_named() -> None:
    worker = Service(name="worker", command=("worker",), listens=False)
    with pytest.raises(UsageError, match=r"processes of its own \(worker\).*--stack embedded or docker"):
        endpoints([worker], [])


@pytest.mark.parametrize(
    "wrong", ["web", "web=", "web=host:80", "web=https://host", "web=http://me:secret@host", "web=http://host:x", "web=http://h/p"]
)  # fmt: skip
def test_a_wrong_address_is_not_repeated(wrong: str) -> None:
    with pytest.raises(UsageError, match="must hold addresses such as web=http://HOST:PORT") as caught:
        endpoints([WEB], [wrong])
    assert "secret" not in str(caught.value)
