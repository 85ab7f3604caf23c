"""The held-out word problems over HTTP: at least 198 of 200 right, in every leg and both formats."""
import json
import subprocess
import unittest

from server import DEMO, NVLLM, ROOT

LEGS = ["spelled-out", "lower8", "phaseE-off", "all-beta", "every-beta", "default"]


def run_legs(legs, format_name):
    done = subprocess.run(
        [NVLLM, "bench", "legs", "--model", DEMO, "--problems", str(ROOT / "models/demo/heldout.jsonl"),
         "--legs", ",".join(legs), "--format", format_name, "--require", "198", "--json"],
        capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


class Heldout(unittest.TestCase):
    def check(self, format_name):
        code, legs = run_legs(LEGS, format_name)
        self.assertIsInstance(legs, list, legs)
        self.assertEqual([leg["leg"] for leg in legs], LEGS)
        for leg in legs:
            self.assertEqual((leg["total"], leg["failed"]), (200, 0))
            self.assertGreaterEqual(leg["right"], 198, leg)
            self.assertTrue(leg["same_tokens"], leg)
        self.assertEqual(code, 0)

    def test_completion_format_is_right_in_every_leg(self):
        self.check("completion")

    def test_chat_format_is_right_in_every_leg(self):
        self.check("chat")

    def test_the_gate_can_fail(self):
        done = subprocess.run(
            [NVLLM, "bench", "legs", "--model", DEMO, "--problems", str(ROOT / "models/demo/heldout.jsonl"),
             "--legs", "default", "--limit", "3", "--require", "4"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
