"""Runs every end-to-end test and writes the counts for ./test."""
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).parent
result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(
    unittest.defaultTestLoader.discover(str(here), pattern="*_e2e.py"))
bad = len(result.failures) + len(result.errors)
skipped = len(result.skipped)
(here / "../../build/e2e.count").resolve().write_text(
    f"{result.testsRun - bad - skipped} {bad} {skipped}\n")
sys.exit(bad > 0)
