"""Draw docs/page.png, a picture of the page: ``python docs/page_picture.py``. It needs Chromium with its driver."""

from __future__ import annotations

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tests.web.browser_case import start_browser  # noqa: E402
from tests.web.site import Site  # noqa: E402

SECONDS = 62
WIDTH, HEIGHT = 1280, 860
SPIN = "local t = os.clock() + {seconds}\nwhile os.clock() < t do end\n"
SCRIPTS = {
    "invoice": SPIN.format(seconds=0.004) + "return 'invoice'",
    "thumbnail": SPIN.format(seconds=0.02) + "return 'png'",
    "import": SPIN.format(seconds=0.01)
    + "if #alaskaContext > 6 then error('row ' .. alaskaContext .. ' has no date') end",
}


def send(site: Site, random_of_one: random.Random) -> None:
    """Send requests for a while, more and less of them."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        left = end - time.monotonic()
        subject = random_of_one.choice(("invoice", "invoice", "thumbnail", "import"))
        site.request(subject, b"%d" % random_of_one.randrange(1_060_000), wait=5)
        time.sleep(0.04 + 0.05 * abs((left % 24) - 12) / 12)


def main() -> None:
    """Start a program, let it work, and take the picture."""
    site = Site(scripts=SCRIPTS)
    browser = start_browser()
    try:
        for number in range(3):
            site.ask("POST", "/api/v1/mailboxes/accounting?subject=monthly", b"%d" % number)
        with ThreadPoolExecutor(3) as pool:
            sending = [pool.submit(send, site, random.Random(number)) for number in range(3)]  # noqa: S311
            time.sleep(SECONDS - 8)
            metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            browser.get(f"{site.url}#/overview?span=60")
            time.sleep(5)
            browser.save_screenshot(str(HERE / "page.png"))
            for each in sending:
                each.result()
    finally:
        browser.quit()
        site.close()


if __name__ == "__main__":
    main()
