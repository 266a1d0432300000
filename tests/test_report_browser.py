"""What a browser makes of a study's page."""

import json
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from report_pages import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_study(tmp_path_factory.mktemp("study"))


def seen(page: Browser, selector: str) -> int:
    return page.ask(f"document.querySelectorAll({json.dumps(selector)}).length")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_browser_shows_the_page_and_its_controls_work(study, tmp_path):
    with browser(tmp_path) as page:
        page.open(study / "report.html", width=390, scheme="dark")
        assert page.ask("document.documentElement.scrollWidth") <= 390
        assert page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        page.open(study / "report.html", width=1280)
        assert page.ask("document.documentElement.scrollWidth") <= 1280
        assert seen(page, "#return .chart svg") == 2
        assert seen(page, "#return path.mean") == 5
        assert seen(page, "#mechanism path.mean") == 5

        # The mouse over the right end of Hopper's chart reads its last values.
        hopper = "[...document.querySelectorAll('#return .chart')].find(f => f.textContent.includes('Hopper'))"
        page.ask(f"{hopper}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = page.ask(f"{hopper}.querySelector('svg').getBoundingClientRect().toJSON()")
        page.point(box["right"] - 15, box["top"] + 60)
        told = page.ask("document.getElementById('readout').innerText")
        assert told.startswith("Iteration 4")
        assert "GAIL 205 [200, 210]" in told
        assert "GAILFE 305 [300, 310]" in told
        assert "Expert 2,000" in told
        page.point(5, 5)
        assert page.ask("document.getElementById('readout').hidden")

        # So do the arrow keys, for other values of x too.
        page.ask("document.querySelector('#return input[value=wall_time_s]').click()")
        page.ask(f"{hopper}.querySelector('svg').focus()")
        page.press("End")
        assert "90.0 seconds of wall time" in page.ask("document.getElementById('spoken').textContent")
        page.press("ArrowLeft")
        assert "30.0 seconds of wall time" in page.ask("document.getElementById('spoken').textContent")

        assert seen(page, "#return path.seed") == 10
        page.ask("document.querySelector('#return [data-show=seeds]').click()")
        assert seen(page, "#return path.seed") == 0
        page.ask("document.querySelector('#return [data-show=seeds]').click()")
        page.ask("document.querySelector('#return [data-seed=\"1\"]').click()")
        assert seen(page, "#return path.seed") == 5
        page.ask("document.querySelector('#return [data-name=\"0\"]').click()")
        assert seen(page, "#return path.mean") == 3
        assert (
            page.ask("document.querySelector('#return [data-name=\"0\"]').getAttribute('aria-pressed')") == "false"
        )
        assert seen(page, "img") == 0  # the hostile setting is text
        # The video is none, which is no fault of the page.
        assert [fault for fault in page.faults if "video" not in fault and "media" not in fault.lower()] == []
