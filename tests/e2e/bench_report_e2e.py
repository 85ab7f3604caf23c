"""Reports of a sweep and of a comparison: derived again by verify, looked at in a real browser."""
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

from bench_sweep_e2e import SWEEP, bench
from server import ROOT

SKIPPED = 77


class BenchReport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temp.cleanup)
        cls.root = pathlib.Path(cls.temp.name)
        sweep = cls.root / "tiny.toml"
        sweep.write_text(SWEEP.replace("warmup_tokens = 8", 'warmup_tokens = 8\nanchors = ["mlp_*"]'))
        cls.folders = [cls.root / "first", cls.root / "second"]
        for folder in cls.folders:
            code, text = bench("sweep", str(sweep), "--out", str(folder))
            assert code == 0, text
        cls.result = cls.root / "compared"
        code, text = bench("compare", *map(str, cls.folders), "--rules", str(sweep), "--out", str(cls.result))
        assert code in (0, 1, 3), text

    def check_in_browser(self, *reports):
        done = subprocess.run([str(ROOT / "tools/check_report"), *map(str, reports)], capture_output=True, text=True)
        if done.returncode == SKIPPED:
            self.skipTest(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_reports_are_whole_at_every_width_and_ask_the_network_for_nothing(self):
        self.check_in_browser(self.folders[0] / "report.html", self.result / "report.html")

    def test_the_browser_check_sees_what_it_is_there_for(self):
        page = self.root / "bad" / "report.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text('<!doctype html><meta charset="utf-8"><p style="width:3000px">wide</p><img src="http://127.0.0.1:9/x">'
                        '<a href="#nowhere">x</a><svg><text y="9" style="font-size:4px">small</text></svg>'
                        '<script>console.log("talks")</script>')
        done = subprocess.run([str(ROOT / "tools/check_report"), str(page)], capture_output=True, text=True)
        if done.returncode == SKIPPED:
            self.skipTest(done.stdout.strip())
        self.assertEqual(done.returncode, 1)
        for complaint in ("px wide in a window", "asks the network for http://127.0.0.1:9/x", "leads nowhere", "px high",
                          "writes to the console"):
            self.assertIn(complaint, done.stdout)

    def test_one_flipped_digit_of_any_report_is_found(self):
        folder = self.folders[0]
        code, text = bench("verify", str(folder))
        self.assertEqual(code, 0, text)
        for name in ("report.html", "junit.xml", "summary.md", "analysis/run.json", "analysis/answers.json",
                     "analysis/call_law.json"):
            file = folder / name
            whole = file.read_bytes()
            at = max(place.start() for place in re.finditer(rb"[0-8]", whole))
            file.write_bytes(whole[:at] + bytes([whole[at] + 1]) + whole[at + 1:])
            code, text = bench("verify", str(folder))
            file.write_bytes(whole)
            self.assertEqual(code, 8, name)
            self.assertIn(f"{name}: derived again it has other bytes", text)
        self.assertEqual(bench("verify", str(folder))[0], 0)

    def test_junit_is_xml_and_its_counts_are_true(self):
        suite = ElementTree.parse(self.result / "junit.xml").getroot().find("testsuite")
        cases = suite.findall("testcase")
        self.assertEqual(int(suite.get("tests")), len(cases))
        self.assertEqual(int(suite.get("failures")), len(suite.findall("testcase/failure")))
        self.assertEqual(int(suite.get("skipped")), len(suite.findall("testcase/skipped")))
        self.assertEqual({case.get("name") for case in cases}, {"measured", "calls", "floor"})
        code, text = bench("report", str(self.result), "--format", "junit")
        self.assertEqual(code, 0)
        self.assertEqual(text, (self.result / "junit.xml").read_text())

    def test_notes_are_quoted_unless_a_figure_is_none_of_the_datas(self):
        notes = self.root / "mine.md"
        notes.write_text("The fan was loud in all 3 legs.\n")
        code, text = bench("report", str(self.result), "--notes", str(notes))
        self.assertEqual(code, 0, text)
        self.assertIn("## Human notes\n\n> The fan was loud", text)
        notes.write_text("It got 87654.32 % faster.\n")
        code, text = bench("report", str(self.result), "--notes", str(notes))
        self.assertEqual(code, 1)
        self.assertIn("line 1: 87654.32 %", text)
        self.assertNotIn("> It got", text)

    def test_notes_put_into_a_sweeps_folder_before_it_is_closed_are_part_of_its_evidence(self):
        sweep, folder = self.root / "tiny.toml", self.root / "noted"
        self.assertEqual(bench("leg", str(sweep), "lower8", "--out", str(folder))[0], 5)
        (folder / "NOTES.md").write_text("The fan was loud.\n")
        code, text = bench("sweep", str(sweep), "--out", str(folder), "--resume")
        self.assertEqual(code, 0, text)
        self.assertIn("> The fan was loud.", (folder / "summary.md").read_text())
        code, text = bench("verify", str(folder))
        self.assertEqual(code, 0, text)
        (folder / "NOTES.md").write_text("The fan was quiet.\n")
        self.assertEqual(bench("verify", str(folder))[0], 8)

    def test_annotations_name_every_gate(self):
        code, text = bench("report", str(self.result), "--format", "github")
        self.assertEqual(code, 0)
        self.assertRegex(text, r"(?m)^::notice title=gate calls::PASS")
        self.assertEqual(len(text.splitlines()), 3)
