"""A tiny sweep with the real binary: killed in the middle, resumed, verified, tampered with."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from server import DEMO, NVLLM, ROOT

SWEEP = f"""
schema = "nvllm.sweep/v1"
name   = "tiny"
claim  = "Deeper fusion does not pay"
[model]
id   = "demo"
path = "{DEMO}"
[legs.lower8]
arguments = ["--leg", "lower8"]
expect_kernels = {{ DecodeKernel = 2, PhaseE_Beta_Kernel = 2, Phase_D_MLP_Kernel = 0 }}
[legs.phaseE-off]
arguments = ["--leg", "phaseE-off"]
[legs.all-beta]
arguments = ["--leg", "all-beta"]
[schedule]
rounds = {{ profile = 2, gsm8k = 1 }}
[profile]
warmup_tokens = 8
bursts = [{{ requests = 2, max_tokens = 16 }}, {{ requests = 2, max_tokens = 8 }}]
[gsm8k]
n = 3
prompt = "demo"
score = "strict"
max_tokens = 200
[gates]
calls = {{ kind = "identity", required = true }}
floor = {{ kind = "count_at_least", right = 3, required = true }}
[[verdict]]
when = "gate(calls)"
id   = "measured"
[[verdict]]
when = "true"
id   = "not-measured"
"""
CALLS = {"lower8": [2, 2, 0], "phaseE-off": [4, 0, 4], "all-beta": [0, 4, 0]}


def bench(*arguments, env=None):
    done = subprocess.run([NVLLM, "bench", *arguments], capture_output=True, text=True,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout + done.stderr


def servers_of(process_id):
    """Processes whose command line is a server that this test's sweep started."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and str(process_id).encode() in b" ".join(words):
            found.append(entry.parent.name)
    return found


class BenchSweep(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        self.sweep = self.root / "tiny.toml"
        self.sweep.write_text(SWEEP)
        self.out = self.root / f"evidence-{os.getpid()}"

    def check_complete(self):
        for leg, calls in CALLS.items():
            metadata = json.loads((self.out / leg / "profile_metadata.json").read_text())
            seen = metadata["calls_per_decode_step"]
            self.assertEqual([seen[k] for k in ("DecodeKernel", "PhaseE_Beta_Kernel", "Phase_D_MLP_Kernel")], calls)
            self.assertEqual(metadata["law"]["residual_rows"], 0)
        hashes = {leg: [json.loads(line)["token_ids_sha256"] for line in (self.out / leg / "perq.jsonl").read_text().splitlines()]
                  for leg in CALLS}
        self.assertEqual(len(hashes["lower8"]), 3)
        self.assertEqual(hashes["lower8"], hashes["phaseE-off"])
        self.assertEqual(hashes["lower8"], hashes["all-beta"])
        done = subprocess.run(["sha256sum", "-c", "--quiet", "MANIFEST.sha256"], cwd=self.out, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_run_killed_in_the_middle_goes_on_and_is_verified(self):
        process = subprocess.Popen([NVLLM, "bench", "sweep", str(self.sweep), "--out", str(self.out)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = self.out / "journal.jsonl"
        deadline = time.monotonic() + 120
        # Two units sealed and a third one measuring: the kill comes in the middle of it.
        while time.monotonic() < deadline:
            text = journal.read_text() if journal.exists() else ""
            if text.count('"event":"sealed"') == 2 and text.count('"state":"MEASURING"') == 3:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        sealed = journal.read_text().count('"event":"sealed"')
        self.assertEqual(sealed, 2)
        deadline = time.monotonic() + 10
        while servers_of(os.getpid()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(servers_of(os.getpid()), [], "the server outlived the bench that was killed")
        self.assertNotEqual(bench("verify", str(self.out))[0], 0)

        code, text = bench("sweep", str(self.sweep), "--out", str(self.out), "--resume")
        self.assertEqual(code, 0, text)
        self.assertIn("2 of 9 units are sealed already", text)
        self.assertIn("verdict: measured", text)
        self.check_complete()
        attempts = list(self.out.glob("*/attempts/*"))
        self.assertEqual(len(attempts), 1, "what the killed unit left has to stay visible")
        code, text = bench("verify", str(self.out), "--level", "2")
        self.assertEqual(code, 0, text)
        self.assertIn("12 raw traces", text)

        perq = self.out / "all-beta/rounds/01/gsm8k/perq.jsonl"
        perq.write_text(perq.read_text().replace('"completion_tokens":3', '"completion_tokens":4', 1))
        self.assertEqual(bench("verify", str(self.out), "--level", "0")[0], 8)

    def test_an_interrupt_ends_with_130_and_leaves_no_server(self):
        process = subprocess.Popen([NVLLM, "bench", "sweep", str(self.sweep), "--out", str(self.out)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = self.out / "journal.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if journal.exists() and '"state":"MEASURING"' in journal.read_text():
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        self.assertEqual(servers_of(os.getpid()), [])
        self.assertFalse((self.out / "MANIFEST.sha256").exists())

    def test_a_server_that_dies_fails_its_unit_and_the_sweep_goes_on(self):
        process = subprocess.Popen([NVLLM, "bench", "sweep", str(self.sweep), "--out", str(self.out)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        servers = []
        deadline = time.monotonic() + 60
        while not servers and time.monotonic() < deadline:
            servers = servers_of(os.getpid())
        os.kill(int(servers[0]), signal.SIGKILL)
        self.assertEqual(process.wait(120), 5)
        failed = json.loads((self.out / "lower8/attempts/01/sealed.json").read_text())
        self.assertEqual(failed["state"], "FAILED")
        self.assertEqual(len(list(self.out.glob("*/rounds/*/*/sealed.json"))), 8)
        code, text = bench("sweep", str(self.sweep), "--out", str(self.out), "--resume")
        self.assertEqual(code, 0, text)
        self.check_complete()

    def test_out_root_moves_the_folders_and_no_older_one_is_disturbed(self):
        root = {"OUT_ROOT": str(self.root / "elsewhere")}
        for _ in range(2):
            self.assertEqual(bench("leg", str(self.sweep), "lower8", env=root)[0], 5)
        first, second = sorted((self.root / "elsewhere/tiny").iterdir(), key=lambda path: len(path.name))
        self.assertEqual(second.name, first.name + "-2")
        self.assertEqual(sorted(path.name for path in first.glob("*/rounds")), ["rounds"])

    def test_init_plan_and_doctor(self):
        file = self.root / "ab.toml"
        self.assertEqual(bench("init", "ab", "--out", str(file))[0], 0)
        self.assertEqual(bench("init", "ab", "--out", str(file))[0], 2)
        self.assertEqual(bench("schema", str(file))[0], 0)
        code, text = bench("plan", str(file), "--model", DEMO)
        self.assertEqual(code, 3, text)
        self.assertIn("no noise is known", text)
        self.assertEqual(bench("plan", str(file), "--model", DEMO, "--allow-underpowered")[0], 0)
        code, text = bench("doctor", "--model", DEMO, "--probe", "0.2")
        self.assertIn(code, (0, 6), text)
        self.assertIn("noise probe", text)

    def test_calls_typed_wrongly_are_refused_before_anything_is_measured(self):
        self.sweep.write_text(SWEEP.replace("DecodeKernel = 2", "DecodeKernel = 3"))
        code, text = bench("sweep", str(self.sweep), "--out", str(self.out))
        self.assertEqual(code, 2)
        self.assertIn("plan and geometry give 2", text)
        self.assertFalse(self.out.exists())

    def test_the_committed_sweep_files_are_understood(self):
        for name in ("three-leg.toml", "aa.toml", "external.toml"):
            code, text = bench("schema", str(ROOT / "sweeps" / name))
            self.assertEqual(code, 0, text)
