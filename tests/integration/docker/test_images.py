"""Images are made once, of what they say, and the right one is found."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from harness.errors import Exit, StackError
from harness.stack.docker import images
from harness.stack.docker.images import MONGO, POSTGRES, Image, Origin
from harness.stack.docker.recipes import Recipe
from harness.stack.docker.rootfs import RootFilesystem
from tests.integration.command import Place
from tests.integration.docker import registry
from tests.integration.docker.conftest import Run

pytestmark = pytest.mark.docker


@pytest.fixture
def tag(client: docker.DockerClient) -> Iterator[str]:
    """A tag of the test's own; the image that has it in the end goes."""
    tag = f"flashcrowd/test-{secrets.token_hex(4)}:1"
    yield tag
    for image in client.images.list(name=tag):
        client.images.remove(image.id, force=True)


def small(tag: str, folder: Path, text: str, dockerfile: str = "FROM scratch\nCOPY root/ /\n") -> Recipe:
    """An image of one file."""
    (folder / "Dockerfile").write_text(dockerfile)
    root = RootFilesystem()
    root.add_text("etc/text", text)
    return Recipe(tag=tag, made_of="a text", files=folder, root=root)


def test_an_image_is_made_anew_only_when_it_would_come_out_otherwise(
    client: docker.DockerClient, tag: str, tmp_path: Path
) -> None:
    said: list[str] = []
    first = images.build(client, small(tag, tmp_path, "one"), said.append)
    assert images.build(client, small(tag, tmp_path, "one"), said.append) == first
    second = images.build(client, small(tag, tmp_path, "two"), said.append)
    assert second.id != first.id and second.made_of == "a text"
    assert said == [
        f"{tag}: making it of a text",
        f"{tag}: there already, made of a text",
        f"{tag}: making it of a text",
    ]
    with pytest.raises(ImageNotFound):
        client.images.get(first.id)
    labels = client.images.get(second.id).labels
    assert labels[images.LABEL] == small(tag, tmp_path, "two").key()


def test_an_image_in_use_is_removed_when_it_no_longer_is(
    client: docker.DockerClient, tag: str, tmp_path: Path, run: Run
) -> None:
    first = images.build(client, small(tag, tmp_path, "one"), lambda line: None)
    container = run(first.id, "none", begin=False)
    images.build(client, small(tag, tmp_path, "two"), lambda line: None)
    assert client.images.get(first.id).tags == []
    container.remove()
    images.build(client, small(tag, tmp_path, "three"), lambda line: None)
    with pytest.raises(ImageNotFound):
        client.images.get(first.id)


def test_a_build_that_fails_says_why_and_leaves_nothing(client: docker.DockerClient, tag: str, tmp_path: Path) -> None:
    recipe = small(tag, tmp_path, "one", dockerfile='FROM scratch\nCOPY root/ /\nRUN ["/no/such/program"]\n')
    with pytest.raises(StackError, match=r"(?s)could not make it: .*no such file.*Step 3/") as raised:
        images.build(client, recipe, lambda line: None)
    (copied,) = re.findall(r"---> ([0-9a-f]{12})\n", str(raised.value))
    with pytest.raises(ImageNotFound):
        client.images.get(copied)


def test_the_command_makes_both_and_again_nothing(
    client: docker.DockerClient, offline: Mapping[str, Image], place: Place
) -> None:
    command = place.run("images", "build", "postgres", "mongo")
    assert command.process.returncode == Exit.FINE, command.printed
    lines = command.printed.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [POSTGRES.offline, MONGO.offline]
    assert all(": there already, made of " in line for line in lines)
    assert {client.images.get(image.reference).id for image in offline.values()} == {
        image.id for image in offline.values()
    }
    assert place.left() == []


def test_the_offline_image_is_taken_where_the_official_one_cannot_be_had(
    client: docker.DockerClient, offline: Mapping[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, name in ((POSTGRES, "postgres"), (MONGO, "mongo")):
        monkeypatch.delenv(kind.variable, raising=False)
        without = replace(kind, official="127.0.0.1:1/none:1")
        assert images.image(client, without) == offline[name]
        assert offline[name].origin == Origin.OFFLINE
        with pytest.raises(
            StackError, match=rf"cannot pull it \(.*\).*`flashcrowd images build {name}`.*{kind.variable}"
        ):
            images.image(client, replace(without, offline="flashcrowd/none:1"))


def test_the_official_image_is_taken_where_the_engine_has_it(
    client: docker.DockerClient, offline: Mapping[str, Image], tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POSTGRES.variable, raising=False)
    repository, _, version = tag.partition(":")
    assert client.images.get(offline["mongo"].id).tag(repository, version)
    found = images.image(client, replace(POSTGRES, official=tag))
    assert (found.reference, found.origin, found.id) == (tag, Origin.OFFICIAL, offline["mongo"].id)
    client.images.remove(tag)


def test_a_named_image_comes_before_all_others(
    client: docker.DockerClient, offline: Mapping[str, Image], tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, _, version = tag.partition(":")
    assert client.images.get(offline["mongo"].id).tag(repository, version)
    monkeypatch.setenv(POSTGRES.variable, tag)
    found = images.postgres_image(client)
    assert (found.reference, found.id, found.origin) == (tag, offline["mongo"].id, Origin.NAMED)
    client.images.remove(tag)
    monkeypatch.setenv(MONGO.variable, "127.0.0.1:1/none:1")
    with pytest.raises(
        StackError, match=r"FLASHCROWD_MONGO_IMAGE=127.0.0.1:1/none:1: the engine does not have .*unset it"
    ):
        images.mongo_image(client)


def test_the_official_image_is_pulled_where_a_registry_has_it(
    client: docker.DockerClient, offline: Mapping[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POSTGRES.variable, raising=False)
    said: list[str] = []
    with registry.serving("postgres", "18", secrets.token_hex(8)) as reference:
        try:
            found = images.image(client, replace(POSTGRES, official=reference), said.append)
            assert (found.reference, found.origin, found.made_of) == (reference, Origin.OFFICIAL, None)
            assert said == [f"pulling {reference}"]
            assert client.images.get(reference).id == found.id != offline["postgres"].id
            # another version than the registry has
            other = reference.replace(":18", ":17")
            assert images.image(client, replace(POSTGRES, official=other)) == offline["postgres"]
            # from now on the engine has it
            assert images.image(client, replace(POSTGRES, official=reference), said.append) == found
            assert len(said) == 1
        finally:
            for image in client.images.list(name=reference):
                client.images.remove(image.id, force=True)


def test_a_named_image_is_pulled(client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry.serving("mine", "1", secrets.token_hex(8)) as reference:
        monkeypatch.setenv(MONGO.variable, reference)
        try:
            found = images.mongo_image(client)
            assert (found.reference, found.origin) == (reference, Origin.NAMED)
        finally:
            for image in client.images.list(name=reference):
                client.images.remove(image.id, force=True)


def test_a_registry_that_says_nothing_is_not_waited_for(
    client: docker.DockerClient, offline: Mapping[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(POSTGRES.variable, raising=False)
    monkeypatch.setattr(images, "REGISTRY_SILENT_S", 0.3)
    with socket.socket() as silent_one:
        silent_one.bind(("127.0.0.1", 0))
        silent_one.listen()
        silent = replace(POSTGRES, official=f"127.0.0.1:{silent_one.getsockname()[1]}/none:1")
        said: list[str] = []
        assert images.image(client, silent, said.append) == offline["postgres"] and said == []
        # another time it is not asked at all
        monkeypatch.setattr(images, "_ask_registry", lambda client, reference: pytest.fail("asked again"))
        assert images.image(client, silent) == offline["postgres"]
    assert client.ping(), "the engine is asked with its usual patience again"


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        pytest.param(("oracle",), {}, Exit.USAGE, "name postgres, postgres:VERSION", id="what"),
        pytest.param(("postgres:latest",), {}, Exit.USAGE, "name postgres, postgres:VERSION", id="version"),
        pytest.param(("mongo:5",), {}, Exit.USAGE, "or mongo", id="version of mongo"),
        pytest.param(("postgres:9",), {}, Exit.STACK, "install Debian's package postgresql-9", id="not here"),
        pytest.param(("postgres",), {"DOCKER_HOST": "unix:///nowhere"}, Exit.STACK, "no Docker engine", id="no engine"),
    ],
)
def test_what_cannot_be_made_is_refused(
    place: Place, arguments: tuple[str, ...], environment: dict[str, str], code: Exit, said: str
) -> None:
    command = place.run("images", "build", *arguments, **environment)
    assert command.process.returncode == code, command.printed
    assert said in command.printed and "Traceback" not in command.printed
