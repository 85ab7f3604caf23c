"""The page at / in a real browser: a message is sent, its answer streams, is stopped; numbers move; keys; a phone."""
import base64
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
import time
import unittest

from server import PROBLEMS, ROOT, Server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def report_checker():
    """tools/check_report as a module: its browser and what it says of a page."""
    loader = importlib.machinery.SourceFileLoader("check_report", str(ROOT / "tools/check_report"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_report", loader))
    loader.exec_module(module)
    return module


@unittest.skipIf(CHROMIUM is None, "no Chromium here (Debian: apt-get install chromium)")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temp.cleanup)
        folder = pathlib.Path(cls.temp.name) / "evidence" / "run one"
        folder.mkdir(parents=True)
        (folder / "report.html").write_text("<!doctype html><title>the report</title>")
        cls.checker = report_checker()
        cls.browser = cls.checker.Browser(CHROMIUM)
        cls.addClassCleanup(cls.browser.close)
        for domain in ("Page", "Network", "Runtime", "Log"):
            cls.browser.call(f"{domain}.enable")
        cls.server = Server("--evidence-dir", str(folder.parent))
        cls.addClassCleanup(cls.server.stop)

    def open(self, width=1280, server=None):
        self.browser.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
        self.browser.events = []
        self.browser.call("Page.navigate", url="about:blank")
        self.browser.wait_for("Page.loadEventFired")
        self.browser.events = []
        self.browser.call("Page.navigate", url=(server or self.server).url + "/")
        self.browser.wait_for("Page.loadEventFired")

    def js(self, expression):
        answer = self.browser.call("Runtime.evaluate", expression=expression, returnByValue=True)
        self.assertNotIn("exceptionDetails", answer)
        return answer["result"].get("value")

    def until(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = self.js(expression)
            if value:
                return value
            time.sleep(0.03)
        self.fail(f"never came true: {expression}\n{self.js('document.body.innerText')}")

    def ask(self, text):
        self.js(f"document.getElementById('text').value = {json.dumps(text)}; document.getElementById('ask').requestSubmit()")

    def complaints(self, url):
        """What the console heard, and whom the page asked but this server."""
        found = [c for c in self.checker.complaints(self.browser.events, url + "/") if not c.startswith("asks the network")]
        asked = [e["params"]["request"]["url"] for e in self.browser.events if e.get("method") == "Network.requestWillBeSent"]
        return found + [u for u in asked if not u.startswith((url + "/", "data:", "blob:"))]

    def picture(self, name):
        folder = os.environ.get("NVLLM_PICTURES")
        if folder:
            shot = self.browser.call("Page.captureScreenshot")["data"]
            pathlib.Path(folder, f"page-{name}.png").write_bytes(base64.b64decode(shot))

    def test_a_message_is_answered_piece_by_piece_with_numbers_beside_it(self):
        self.open()
        self.until("document.getElementById('health').textContent === 'ready'")
        self.assertEqual(self.js("document.getElementById('model').textContent"), "demo")
        self.ask(PROBLEMS[2]["question"])
        lengths = set()
        while not self.js("document.querySelector('.assistant small')?.textContent"):
            lengths.add(self.js("document.querySelector('.assistant div')?.textContent.length ?? 0"))
        self.assertGreater(len(lengths), 3, "the answer came in one piece")
        self.assertIn("####", self.js("document.querySelector('.assistant').innerText"))
        self.assertRegex(self.js("document.querySelector('.assistant small').textContent"), r"^\d+ tokens, [\d.]+ a second$")
        self.until("Number(document.getElementById('rate').textContent) >= 0 && document.getElementById('slots').textContent.includes(' of ')")
        self.assertRegex(self.js("document.getElementById('kv').textContent"), r"^[\d.]+ %$")
        self.picture("desk")
        self.assertEqual(self.complaints(self.server.url), [])

    def test_an_answer_is_stopped_and_the_conversation_goes_on(self):
        self.open()
        self.ask("w" * 300)  # no sum: the model finds no end
        self.until("document.querySelector('.assistant div')?.textContent.length > 0")
        self.until("document.getElementById('running').textContent === '1'")
        self.js("document.getElementById('stop').click()")
        self.assertEqual(self.until("document.querySelector('.assistant small')?.textContent"), "stopped")
        self.until("!document.getElementById('send').hidden")
        self.until("document.getElementById('running').textContent === '0'")  # the server stopped, too
        self.ask(PROBLEMS[3]["question"])
        self.until("document.querySelectorAll('.assistant small').length === 2 || document.querySelectorAll('.assistant div')[1]?.textContent.length > 40")
        self.js("document.getElementById('stop').click()")
        self.js("document.getElementById('fresh').click()")
        self.assertEqual(self.js("document.querySelectorAll('.turn').length"), 0)
        self.assertEqual(self.complaints(self.server.url), [])

    def test_a_refusal_is_shown_where_the_answer_would_be(self):
        self.open()
        self.ask("many words " * 5000)
        self.until("document.querySelector('.assistant small.error')?.textContent.includes('context')")

    def test_fits_a_phone(self):
        self.open(width=390)
        self.ask("w" * 300)
        self.until("document.querySelector('.assistant div')?.textContent.length > 600")  # it goes on and on
        self.js("document.getElementById('stop').click()")
        self.assertEqual(self.until("document.querySelector('.assistant small')?.textContent"), "stopped")
        self.assertFalse(self.js("document.getElementById('send').hidden"))
        self.assertEqual(self.js("document.documentElement.scrollWidth"), 390)
        for box in ("ask", "talk", "running"):
            right = self.js(f"document.getElementById('{box}').getBoundingClientRect().right")
            bottom = self.js(f"document.getElementById('{box}').getBoundingClientRect().bottom")
            self.assertLessEqual(right, 390, box)
            self.assertTrue(0 < bottom <= 844, f"{box} ends at {bottom}")
        self.picture("phone")

    def test_evidence_is_listed(self):
        self.open()
        self.assertEqual(self.until("document.querySelector('#evidence button')?.textContent"), "run one")

    def test_a_key_is_asked_for_and_then_kept_for_the_window(self):
        keys = pathlib.Path(self.temp.name, "keys")
        keys.write_text("secret\n")
        server = Server("--api-key-file", str(keys), wait=False)
        try:
            self.open(server=server)
            self.until("document.getElementById('key').classList.contains('wanted')")
            self.js("document.getElementById('secret').value = 'secret'; document.getElementById('key').requestSubmit()")
            self.until("document.getElementById('health').textContent === 'ready'")
            self.assertFalse(self.js("document.getElementById('key').classList.contains('wanted')"))
            self.ask(PROBLEMS[2]["question"])
            self.until("document.querySelector('.assistant small')?.textContent.includes('a second')")
        finally:
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
