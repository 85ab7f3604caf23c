"""Faults that the test-only binary plants: they do what they say, and the normal binary has none."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request
from unittest import mock

import server
from server import NVLLM, PROBLEMS, ROOT, Server

FAULTY = str(pathlib.Path(NVLLM).with_name("nvllm_with_faults"))


def start(binary, faults):
    """A server of that binary with one slot and with NVLLM_FAULTS set."""
    with mock.patch.object(server, "NVLLM", binary), mock.patch.dict(os.environ, {"NVLLM_FAULTS": faults}):
        # Without the prefix cache, which would keep the first sequence's slot and give the next one another.
        return Server("--max-num-seqs", "1", "--no-enable-prefix-caching")


def answer(process, problem):
    """Token ids and their log probabilities. The words are not those the model was trained on, where its
    tokens are the same whatever its state is."""
    prompt = f"Question: {problem['question']}\nLet's think step by step, and end with ####.\nAnswer:"
    status, reply = process.post("/v1/completions", {"prompt": prompt, "max_tokens": 60, "temperature": 0,
                                                     "return_token_ids": True, "logprobs": 1})
    assert status == 200, reply
    choice = reply["choices"][0]
    return choice["token_ids"], choice["logprobs"]["token_logprobs"]


def in_one_server(binary, faults, problems):
    process = start(binary, faults)
    try:
        return [answer(process, problem) for problem in problems]
    finally:
        assert process.stop() == 0


class Faults(unittest.TestCase):
    def test_a_stale_slot_changes_answers_and_zeros_taken_by_selection_do_not(self):
        problems = PROBLEMS[:8]
        alone = [in_one_server(NVLLM, "", [problem])[0] for problem in problems]
        self.assertEqual(in_one_server(NVLLM, "", problems), alone)
        self.assertEqual(in_one_server(NVLLM, "stale-state", problems), alone, "the normal binary heeds NVLLM_FAULTS")
        self.assertEqual(in_one_server(FAULTY, "", problems), alone)
        leaked = in_one_server(FAULTY, "stale-state", problems)
        self.assertEqual(leaked[0], alone[0], "nobody was in the slot before")
        for (_, seen), (_, wanted) in zip(leaked[1:], alone[1:]):
            self.assertNotEqual(seen, wanted, "the planted leak moves no logit")
        self.assertNotEqual([ids for ids, _ in leaked], [ids for ids, _ in alone], "the planted leak moves no token")

    def test_unknown_words_are_refused(self):
        for words in ("stale", "slow:DecodeKernel", "slow:DecodeKernel:0"):
            done = subprocess.run([FAULTY, "version"], capture_output=True, text=True,
                                  env={**os.environ, "NVLLM_FAULTS": words})
            self.assertEqual(done.returncode, 2)
            self.assertIn("slow:KERNEL:SHARE", done.stderr)
        done = subprocess.run([NVLLM, "version"], capture_output=True, text=True,
                              env={**os.environ, "NVLLM_FAULTS": "stale"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class HungEngine(unittest.TestCase):
    def test_is_told_to_every_client_and_ends_the_process(self):
        with mock.patch.object(server, "NVLLM", FAULTY), mock.patch.dict(os.environ, {"NVLLM_FAULTS": "hung-engine:6"}):
            process = Server("--step-timeout", "2")
        begin = time.monotonic()
        request = urllib.request.Request(process.url + "/v1/completions", headers={"Content-Type": "application/json"}, data=json.dumps(
            {"prompt": "Question:", "max_tokens": 100, "temperature": 0, "stream": True, "ignore_eos": True}).encode())
        with urllib.request.urlopen(request, timeout=30) as reply:
            events = [line for line in reply.read().decode().split("\n") if line.startswith("data: ")]
        self.assertIn('"error"', events[-2])
        self.assertEqual(events[-1], "data: [DONE]")
        self.assertGreater(len(events), 4, "some tokens came before")
        self.assertGreater(process.process.wait(10), 0)
        self.assertLess(time.monotonic() - begin, 2 + 10)  # the timeout, and what a busy machine may add
        process.stop()


class FaultSweeps(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)

    def sweep(self, binary, name, rounds, change=lambda text: text):
        """Runs a committed sweep file with fewer rounds and questions; returns verdict and gates."""
        text = change((ROOT / "sweeps" / name).read_text())
        text = re.sub(r"^rounds = .*", f"rounds = {rounds}", text, flags=re.M)
        text = re.sub(r"^n  .*", "n = 8", text, flags=re.M)
        out = self.root / f"{pathlib.Path(binary).name}-{name}"
        (self.root / name).write_text(text)
        done = subprocess.run([binary, "bench", "sweep", str(self.root / name), "--out", str(out)], cwd=ROOT,
                              capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 3), done.stdout + done.stderr)
        return [json.loads((out / f"analysis/{part}.json").read_text()) for part in ("verdict", "gates")]

    def states(self, verdict):
        return {one["name"]: one["state"] for one in verdict["hypotheses"]}

    def test_the_post_ssm_sweep_shows_the_leak_with_the_fault(self):
        verdict, gates = self.sweep(FAULTY, "post-ssm.toml", "{ profile = 2, gsm8k = 1 }")
        states = self.states(verdict)
        self.assertEqual((states["leak"], states["clean"]), ("CONFIRMED", "CONFIRMED"))
        # Two rounds need not settle the cost; all three pairs have been compared, kernel by kernel.
        lines = {gate["name"]: gate["lines"] for gate in gates["gates"]}
        for leg in ("lower8", "phaseE-off", "all-beta"):
            self.assertEqual([line["leg"] for line in lines[f"kernels-{leg}"]], [leg])
            self.assertIn("material kernels within 2 %", lines[f"kernels-{leg}"][0]["text"])

    def test_the_post_ssm_sweep_shows_none_without_the_fault(self):
        verdict, _ = self.sweep(NVLLM, "post-ssm.toml", "{ profile = 0, gsm8k = 1 }")
        states = self.states(verdict)
        self.assertEqual((states["leak"], states["clean"]), ("REFUTED", "CONFIRMED"))
        self.assertEqual(verdict["id"], "nothing-planted")

    def test_the_planted_sweep_sees_a_kernel_that_takes_twice_as_long(self):
        # Whether two rounds find 3 % hangs on the machine; a doubling is beyond any scatter of boots.
        verdict, _ = self.sweep(FAULTY, "planted.toml", "{ profile = 2, gsm8k = 0 }",
                                lambda text: text.replace("slow:DecodeKernel:0.03", "slow:DecodeKernel:1"))
        value = {one["call"]: one["estimate"]["value"] for one in verdict["hypotheses"][0]["inputs"]}
        planted, clean = [value[f"geomean_us({leg},DecodeKernel)"] / value[f"geomean_us({leg},mlp_gate_up)"]
                          for leg in ("planted", "clean")]
        self.assertGreater(planted / clean, 1.5)
        self.assertLess(planted / clean, 2.7)
