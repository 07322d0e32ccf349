"""Draw docs/page.png, a picture of the page: ``python docs/page_picture.py``. It needs Chromium with its driver."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from alaska import errors  # noqa: E402
from alaska.aio import Client, Request  # noqa: E402
from tests.web.browser_case import start_browser  # noqa: E402
from tests.web.site import Site  # noqa: E402

SECONDS = 64.0
WIDTH, HEIGHT = 1280, 860
WAVE_SECONDS = 24.0
SCRIPTS = {
    "invoice": "local t = os.clock() + 0.004\nwhile os.clock() < t do end\nreturn 'invoice'",
    "import": "if #alaskaContext > 6 then error('row ' .. alaskaContext .. ' has no date') end",
}
SERVICES = {"thumbnails": 0.12, "search-index": 0.05, "mails": 0.08}
"""The seconds that a request to a service takes."""


def offer(worker: Client, name: str, seconds: float) -> None:
    """Offer a service that takes its time, and some requests at once."""

    @worker.service(name, concurrency=3)
    async def work(request: Request) -> str:
        await asyncio.sleep(seconds * (0.5 + random.random()))  # noqa: S311
        return f"{request.subject} done"


async def read(client: Client) -> None:
    """Read the mail about errors of scripts, as a program that reports them would."""
    async for _ in client.inbox():
        pass


async def ask(client: Client, service: str, subject: str, content: str) -> None:
    """Send a request, and wait for its answer."""
    with suppress(errors.ClientError):  # the script fails, or the picture has been taken
        await client.request(service, subject, content, timeout=30)


async def send(client: Client, end: float) -> None:
    """Send requests until a time, and more and less of them."""
    loop, choice = asyncio.get_running_loop(), random.Random(7)  # noqa: S311
    asking: set[asyncio.Task[None]] = set()

    def begin(service: str, subject: str, content: str) -> None:
        task = asyncio.create_task(ask(client, service, subject, content))
        asking.add(task)
        task.add_done_callback(asking.discard)

    for name, delay in (("mails", 3600), ("default", 7200), ("thumbnails", 86400)):
        await client.send_for(name, "later", "", delay=delay)
    with_subjects = [("default", "invoice"), ("default", "import"), *((name, "work") for name in SERVICES)]
    while (left := end - loop.time()) > 0:
        service, subject = choice.choice(with_subjects)
        begin(service, subject, str(choice.randrange(1_030_000)))
        if choice.random() < 0.2:
            await client.publish("orders", "paid", "{}")
        if choice.random() < 0.003:  # a batch, which waits for a moment
            for number in range(25):
                begin("thumbnails", "work", str(number))
        await asyncio.sleep(0.012 + 0.016 * abs(left % WAVE_SECONDS - WAVE_SECONDS / 2) / WAVE_SECONDS)


async def work(endpoint: str, photograph: asyncio.Event, done: asyncio.Event) -> None:
    """Offer services and send requests to them; say when there is enough to see, and go on until that is ``done``."""
    worker = Client(endpoint)
    for name, seconds in SERVICES.items():
        offer(worker, name, seconds)
    async with Client(endpoint, address="aw.err") as reporter, Client(endpoint) as shop:
        loop = asyncio.get_running_loop()
        working = worker.run(), read(reporter), send(shop, loop.time() + 90)
        tasks = [asyncio.create_task(each) for each in working]
        await asyncio.sleep(SECONDS)
        photograph.set()
        await done.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def draw(site: Site) -> None:
    """Let a program work, and take the picture."""
    photograph, done = asyncio.Event(), asyncio.Event()
    working = asyncio.create_task(work(site.endpoint, photograph, done))
    await asyncio.wait([working, asyncio.create_task(photograph.wait())], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.to_thread(take, site)
    done.set()
    await working


def take(site: Site) -> None:
    """Take the picture, as somebody who operates the broker sees the page."""
    browser = start_browser()
    try:
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        browser.get(f"{site.url}web/icon.svg")
        browser.execute_async_script(
            "const done = arguments[0]; fetch('../api/v1/session', {method: 'POST', headers:"
            "{'Content-Type': 'application/json'}, body: JSON.stringify({token: 'T-dan'})}).then(done, done);"
        )
        browser.get(f"{site.url}#/overview?span=60")
        browser.execute_async_script("setTimeout(arguments[0], 5000);")
        browser.save_screenshot(str(HERE / "page.png"))
    finally:
        browser.quit()


def main() -> None:
    """Start a program, and draw it."""
    site = Site(scripts=SCRIPTS)
    try:
        asyncio.run(draw(site))
    except errors.ClientError as error:
        sys.exit(f"the picture was not taken: {error}")
    finally:
        site.close()


if __name__ == "__main__":
    main()
