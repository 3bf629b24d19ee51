"""A browser's window, and all it has to complain of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.conftest import PASSWORD
from tests.end_to_end.service import Person, Service

# Before anything of the page runs.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective} ${event.blockedURI}`));
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput)
    shifts.push([entry.value, entry.sources.map(({node}) => node?.outerHTML?.slice(0, 120) ?? String(node))]);
}).observe({ type: "layout-shift", buffered: true });
"""
# Less is a line that grew a word, or a list that lost one; ten times as much is what users are said to feel.
SHIFT_MIN = 0.005
# What fades from one colour to another is judged by what it becomes.
SETTLED = """() => new Promise(requestAnimationFrame).then(() => Promise.all(
  document.getAnimations().map((animation) => animation.finished.catch(() => undefined))))"""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
UPLOAD_BYTES_PER_SECOND = 12 * 2**20
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def choose(page: Page, *files: Path) -> None:
    """Choose files as a person does, by the button."""
    with page.expect_file_chooser() as chooser:
        page.locator("[data-upload]").click()
    chooser.value.set_files(files)


def slow_line(page: Page) -> Callable[[bool], None]:
    """From now on what the page sends takes its time; gives what cuts the line, `(True)`, and mends it."""
    devtools = page.context.new_cdp_session(page)
    speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": UPLOAD_BYTES_PER_SECOND}

    def cut(is_cut: bool) -> None:
        devtools.send("Network.emulateNetworkConditions", {"offline": is_cut, **speed})

    cut(False)
    return cut


class Window:
    """A browser of its own, with its own cookies; `page` is what it shows."""

    def __init__(
        self, browser: Browser, service: Service, *, width: int = 1280, height: int = 800, **more: Any
    ) -> None:
        self.service = service
        self._errors: list[str] = []
        self._context = browser.new_context(
            base_url=service.url, viewport={"width": width, "height": height}, accept_downloads=True, **more
        )
        self._context.set_default_timeout(30_000)
        self._context.add_init_script(WATCH)
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self._errors.append(f"uncaught: {error}"))
        self.page.on("console", self._hear)

    def sign_in(self, person: Person) -> None:
        """As the page does, but without its form."""
        answer = self._context.request.post(
            "/auth/session", form={"username": person.email, "password": PASSWORD}, headers={"Origin": self.service.url}
        )
        assert answer.ok, answer.text()

    def show_theme(self, theme: Literal["light", "dark"]) -> None:
        """As if the system had gone over to it just now, and all colours have settled."""
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        self.page.evaluate(SETTLED)

    def accessibility_violations(self) -> list[str]:
        """What axe says is wrong with what is shown now."""
        found = Axe().run(self.page, options=WCAG).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for one in found
            for node in one["nodes"]
        ]

    def overflow_pixels(self) -> int:
        """By how much what is shown is wider than the window."""
        return max(0, int(self.page.evaluate("document.body.scrollWidth - innerWidth")))

    def close(self) -> list[str]:
        """Close it; what it complained of."""
        violations = self.page.evaluate("window.violations ?? []")
        shifts = [
            f"layout shift {value:.4f} of {', '.join(nodes)}"
            for value, nodes in self.page.evaluate("window.shifts ?? []")
            if value > SHIFT_MIN
        ]
        self._context.close()
        return [*self._errors, *(f"content security policy: {violation}" for violation in violations), *shifts]

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        # That nobody is signed in the page learns from a refusal, which Chromium reports.
        if "status of 401" in message.text and message.location["url"].endswith("/users/me"):
            return
        self._errors.append(f"{message.type}: {message.text} ({message.location['url']})")
