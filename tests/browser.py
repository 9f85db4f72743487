"""Headless Chromium, by way of ChromeDriver's own protocol (https://www.w3.org/TR/webdriver2/)."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Space": " "}
KEYS |= {
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}


def why_none() -> str:
    """What is missing on this machine; empty where there is a browser."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"needs {' and '.join(missing)} (Debian: chromium, chromium-driver)" if missing else ""


class Browser:
    """One window of a browser that starts anew, and is gone after the `with`."""

    def __enter__(self) -> Self:
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.driver.stdout is not None
        port = next(
            found[1]
            for line in self.driver.stdout
            if (found := re.search(r"successfully on port (\d+)", line))
        )
        self.url = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={self.profile.name}"],
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        try:
            session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._stop()
            raise
        self.url += f"/{session['sessionId']}"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._stop()

    def _stop(self) -> None:
        self.driver.terminate()
        self.driver.communicate(timeout=30)
        self.profile.cleanup()

    def open(self, page: Path, scripts: bool = True) -> None:
        """Load a file from the disk; without scripts it is not waited for until it is drawn."""
        self._ask("POST", "/url", {"url": page.resolve().as_uri()})
        if scripts:
            self._wait_until_drawn()

    def reload(self, scripts: bool = True) -> None:
        """Load the page anew, and wait for it as in `open`: location.reload() would only begin."""
        self._ask("POST", "/refresh", {})
        if scripts:
            self._wait_until_drawn()

    def _wait_until_drawn(self) -> None:
        """What is typed at a page before anything of it is on the screen, Chromium drops."""
        self.run_slowly("requestAnimationFrame(() => requestAnimationFrame(done))")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a JavaScript function body returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_slowly(self, script: str) -> Any:
        """What a JavaScript function body hands to `done`, within two minutes."""
        self._ask("POST", "/timeouts", {"script": 120_000})
        return self._ask(
            "POST", "/execute/async", {"script": f"const done = arguments[0]; {script}", "args": []}
        )

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What came since the last call: of the console (browser), or of the network (performance)."""
        return self._ask("POST", "/se/log", {"type": kind})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int, zoom: int = 1) -> None:
        """A viewport of this size, narrower than a window could be; zoomed, it has as much less room."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width // zoom,
            height=height // zoom,
            deviceScaleFactor=zoom,
            mobile=width < 600,
        )

    def colours(self, scheme: str) -> None:
        """As if the reader's system were light, or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str) -> None:
        """Press and release a key."""
        self.type(KEYS[key])

    def type(self, text: str) -> None:
        """Press and release the key of each character."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", "/actions", {"actions": [keyboard]})

    def wait_for(self, address: str) -> None:
        """Until the page is one whose address has this in it."""
        for _ in range(100):
            if address in self._ask("GET", "/url") and self.run("return document.readyState") == "complete":
                return self._wait_until_drawn()
            time.sleep(0.05)
        raise TimeoutError(address)

    def visible(self, selector: str) -> bool:
        """Whether the first element of a CSS selector is displayed, also where scripts are switched off."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return self._ask("GET", f"/element/{next(iter(found.values()))}/displayed")

    def screenshot(self) -> bytes:
        """The viewport as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=150) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:  # of a script, say
            error.add_note(json.load(error)["value"]["message"])
            raise
