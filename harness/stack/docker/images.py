"""Which images the servers run from, and the making of those that need no registry.

An image is, in this order: the one that the environment names (FLASHCROWD_POSTGRES_IMAGE, FLASHCROWD_MONGO_IMAGE); the
official one, pinned, where the engine has it or can pull it; the one that ``flashcrowd images build`` made.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from harness.errors import StackError
from harness.stack.docker.recipes import Recipe
from harness.stack.embedded import instance

LABEL = "io.flashcrowd.image"
MADE_OF_LABEL = "io.flashcrowd.made-of"
#: A registry that is there answers in a moment; where packets to it vanish, every start would wait this long.
REGISTRY_SILENT_S = 5.0
#: Two hundred megabytes are sent, written and run.
BUILD_S = 300.0


class Origin(StrEnum):
    """Where an image comes from."""

    NAMED = "named"  # by the user
    OFFICIAL = "official"
    OFFLINE = "offline"  # made by ``flashcrowd images build``


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has.

    :param reference: as people name it, such as ``postgres:18``
    :param id: as the engine names it; the same content, the same id
    :param made_of: the packages in one that was made here, else None
    """

    reference: str
    id: str
    origin: Origin
    made_of: str | None = None

    def described(self) -> dict[str, str | None]:
        """The object ``image`` of a server in run.json."""
        return {"reference": self.reference, "id": self.id, "made_of": self.made_of}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What may be had for one kind of server.

    :param name: for ``flashcrowd images build``
    :param variable: the environment variable that names another
    """

    name: str
    variable: str
    official: str
    offline: str

    def choices(self) -> tuple[str, ...]:
        """References in the order in which they are looked for, registries left aside."""
        named = os.environ.get(self.variable, "")
        return (named,) if named else (self.official, self.offline)


POSTGRES = Wanted(
    name="postgres", variable="FLASHCROWD_POSTGRES_IMAGE", official="postgres:18", offline="flashcrowd/postgres:18"
)
MONGO = Wanted(name="mongo", variable="FLASHCROWD_MONGO_IMAGE", official="mongo:8", offline="flashcrowd/mongo:6")

#: Registries that did not answer are not asked again by the same process.
_not_pulled: dict[str, str] = {}


def _silently(line: str) -> None:
    pass


def postgres_image(client: docker.DockerClient, say: Callable[[str], None] = _silently) -> Image:
    """The image for PostgreSQL servers.

    :raises StackError: there is none, and how to get one
    """
    return image(client, POSTGRES, say)


def mongo_image(client: docker.DockerClient, say: Callable[[str], None] = _silently) -> Image:
    """The image for the members of a MongoDB replica set.

    :raises StackError: there is none, and how to get one
    """
    return image(client, MONGO, say)


def build(client: docker.DockerClient, recipe: Recipe, say: Callable[[str], None]) -> Image:
    """Make an image, unless the engine has it as it would be made; the one that had its tag goes.

    :raises StackError: the engine did not make it; what it said last
    """
    with _one_at_a_time():
        return _build(client, recipe, say)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    # Of two that make the same image at once, the second finds it made.
    with (instance.base() / "images.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(client: docker.DockerClient, recipe: Recipe, say: Callable[[str], None]) -> Image:
    key = recipe.key()
    before = _of_engine(client, recipe.tag, Origin.OFFLINE)
    if before is not None and _labels(client, before).get(LABEL) == key:
        say(f"{recipe.tag}: there already, made of {recipe.made_of}")
        return before
    say(f"{recipe.tag}: making it of {recipe.made_of}")
    labels = {LABEL: key, MADE_OF_LABEL: recipe.made_of}
    last = ""
    ended = False
    try:
        with tempfile.TemporaryFile() as context:
            recipe.write_context(context)
            context.seek(0)
            for line in client.api.build(
                fileobj=context,
                custom_context=True,
                tag=recipe.tag,
                buildargs=recipe.arguments,
                labels=labels,
                rm=True,
                forcerm=True,
                decode=True,
                timeout=BUILD_S,
            ):
                if "error" in line:
                    raise StackError(f"{recipe.tag}: the engine could not make it: {line['error']}\n{last}".rstrip())
                last = (last + line.get("stream", ""))[-2000:]
            ended = True
    except (DockerException, requests.RequestException, OSError) as error:
        raise StackError(f"{recipe.tag}: the engine could not make it: {error}\n{last}".rstrip()) from error
    finally:
        if not ended:  # an interrupt is among the reasons
            _discard(client, last)
    made = _of_engine(client, recipe.tag, Origin.OFFLINE)
    if made is None:
        raise StackError(f"{recipe.tag}: the engine made it and does not have it:\n{last}")
    _remove_replaced(client)
    return made


def _remove_replaced(client: docker.DockerClient) -> None:
    """Remove the images of ours whose tag another has now."""
    for replaced in client.api.images(filters={"dangling": True, "label": LABEL}):
        with suppress(APIError):  # a container of it is still there: the next time
            client.api.remove_image(replaced["Id"])


def _discard(client: docker.DockerClient, said: str) -> None:
    """Remove what the steps before the one that failed have made."""
    steps = re.findall(r"---> ([0-9a-f]{12})\b", said)
    if steps:
        with suppress(APIError):  # another image may begin with the same steps
            client.api.remove_image(steps[-1])


def image(client: docker.DockerClient, wanted: Wanted, say: Callable[[str], None] = _silently) -> Image:
    """The image for one kind of server.

    :param say: is told when one is pulled, which takes a while
    :raises StackError: there is none, and how to get one
    """
    try:
        named = os.environ.get(wanted.variable, "")
        if named:
            found = _of_engine(client, named, Origin.NAMED) or _pulled(client, named, Origin.NAMED, say)
            if found is None:
                raise StackError(
                    f"{wanted.variable}={named}: the engine does not have this image and cannot pull it "
                    f"({_not_pulled[named]}): name another, or unset it"
                )
            return found
        found = (
            _of_engine(client, wanted.official, Origin.OFFICIAL)
            or _pulled(client, wanted.official, Origin.OFFICIAL, say)
            or _of_engine(client, wanted.offline, Origin.OFFLINE)
        )
    except (DockerException, requests.RequestException) as error:
        raise StackError(f"the Docker engine does not say which images it has: {error}") from error
    if found is None:
        raise StackError(
            f"no image for {wanted.name}: the engine has no {wanted.official}, cannot pull it "
            f"({_not_pulled[wanted.official]}), and has no {wanted.offline}: make one without a registry with "
            f"`flashcrowd images build {wanted.name}`, or name one with {wanted.variable}"
        )
    return found


def _of_engine(client: docker.DockerClient, reference: str, origin: Origin) -> Image | None:
    """The image as the engine has it; None where it does not."""
    try:
        found = client.api.inspect_image(reference)
    except ImageNotFound:
        return None
    labels = found["Config"].get("Labels") or {}
    return Image(reference=reference, id=found["Id"], origin=origin, made_of=labels.get(MADE_OF_LABEL))


def _labels(client: docker.DockerClient, image: Image) -> dict[str, str]:
    labels: dict[str, str] | None = client.api.inspect_image(image.id)["Config"].get("Labels")
    return labels or {}


def _pulled(client: docker.DockerClient, reference: str, origin: Origin, say: Callable[[str], None]) -> Image | None:
    """The image from its registry; None where that has none, or does not answer."""
    if reference in _not_pulled:
        return None
    try:
        _ask_registry(client, reference)
        say(f"pulling {reference}")
        for line in client.api.pull(reference, stream=True, decode=True):
            if "error" in line:
                _not_pulled[reference] = line["error"]
                return None
    except (APIError, requests.RequestException) as error:
        _not_pulled[reference] = getattr(error, "explanation", None) or str(error)
        return None
    found = _of_engine(client, reference, origin)
    if found is None:
        _not_pulled[reference] = "the engine pulled it and does not have it"
    return found


def _ask_registry(client: docker.DockerClient, reference: str) -> None:
    """Have the engine look the image up: a pull waits for a silent registry without end."""
    patience_s = client.api.timeout
    client.api.timeout = REGISTRY_SILENT_S
    try:
        client.api.inspect_distribution(reference)
    finally:
        client.api.timeout = patience_s
