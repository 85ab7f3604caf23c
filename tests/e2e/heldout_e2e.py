"""The held-out word problems over HTTP: at least 198 of 200 right, in both formats. The completion
format runs in every leg of ./run and the default; the chat format in the oracle leg and the default, to
save time: that legs give the same bits is tested on raw logits."""
import json
import subprocess
import unittest

from server import DEMO, NVLLM, ROOT

LEGS = ["spelled-out", "lower8", "phaseE-off", "all-beta", "default"]
CHAT_LEGS = ["spelled-out", "default"]


def run_legs(legs, format_name):
    done = subprocess.run(
        [NVLLM, "bench", "legs", "--model", DEMO, "--problems", str(ROOT / "models/demo/heldout.jsonl"),
         "--legs", ",".join(legs), "--format", format_name, "--concurrency", "64", "--require", "198", "--json"],
        capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


class Heldout(unittest.TestCase):
    def check(self, format_name, wanted):
        code, legs = run_legs(wanted, format_name)
        self.assertIsInstance(legs, list, legs)
        self.assertEqual([leg["leg"] for leg in legs], wanted)
        for leg in legs:
            self.assertEqual((leg["total"], leg["failed"]), (200, 0))
            self.assertGreaterEqual(leg["right"], 198, leg)
            self.assertTrue(leg["same_tokens"], leg)
        self.assertEqual(code, 0)

    def test_completion_format_is_right_in_every_leg(self):
        self.check("completion", LEGS)

    def test_chat_format_is_right(self):
        self.check("chat", CHAT_LEGS)

    def test_the_gate_can_fail(self):
        done = subprocess.run(
            [NVLLM, "bench", "legs", "--model", DEMO, "--problems", str(ROOT / "models/demo/heldout.jsonl"),
             "--legs", "default", "--limit", "3", "--require", "4"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
