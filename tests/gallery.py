"""Puts a recorded experiment into the gallery: ``python -m tests.gallery reports/crafting-burst/latest``.

Copies the reports and the verdict, and takes pictures of the report's first screens in headless Chromium, light and dark.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM

GALLERY = Path(__file__).parents[1] / "reports" / "gallery"
COPIED = ("report.html", "report.md", "verdict.json", "junit.xml")
WIDTH, HEIGHT = 1280, 1700


def main(folder: Path) -> None:
    """Copy an experiment's reports and picture them."""
    target = GALLERY / json.loads((folder / "verdict.json").read_text())["incident"]
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(folder / name, target / name)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--no-sandbox"])
        for scheme in ("light", "dark"):
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            page.goto((target / "report.html").resolve().as_uri())
            page.wait_for_selector("canvas")
            page.screenshot(path=target / f"report-{scheme}.png")
        chromium.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.gallery reports/<incident>/latest")
    main(Path(sys.argv[1]))
