"""Sweeps over servers that are not ours: started by a command, or running already."""
import csv
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from server import DEMO, NVLLM, Server

MOCK = str(pathlib.Path(__file__).parent / "mock_server.py")
QUESTIONS = 8

SWEEP = """
schema = "nvllm.sweep/v1"
name   = "mock"
claim  = "The mock adds"
[server]
kind    = "KIND"
command = COMMAND
ready   = { timeout_s = READY, poll_s = 0.05 }
stop    = { signal = "TERM", grace_s = 1 }
URL
[model]
id = "mock"
[legs.a]
[legs.b]
arguments = ["--delay-ms", "2"]
[schedule]
rounds = { profile = 1, gsm8k = 1 }
order  = "sequential"
ON_FAILURE
[profile]
warmup_tokens = 8
deadline_s = 2
bursts = [{ requests = 2, max_tokens = 24 }, { requests = 2, max_tokens = 8 }]
[gsm8k]
dataset    = { path = "PROBLEMS" }
n          = 8
prompt     = "demo"
score      = "strict"
deadline_s = 1
[gates]
floor = { kind = "count_at_least", right = 8, required = true }
[[verdict]]
when = "gate(floor)"
id   = "adds"
[[verdict]]
when = "true"
id   = "open"
"""


def bench(*arguments):
    done = subprocess.run([NVLLM, "bench", *arguments], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def processes_with(word):
    """Ids of living processes whose command line holds the word."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def is_alive(process_id):
    try:
        state = pathlib.Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def make_library(path):
    """Something that can be preloaded and does nothing; where there is no compiler, a library of this process."""
    try:
        subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", str(path)], check=True, capture_output=True)
        return str(path)
    except (OSError, subprocess.CalledProcessError):
        return next(word for word in pathlib.Path("/proc/self/maps").read_text().split() if ".so" in word and word.startswith("/"))


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class OtherServers(unittest.TestCase):
    def setUp(self):
        temp = tempfile.TemporaryDirectory()
        self.addCleanup(temp.cleanup)
        self.root = pathlib.Path(temp.name)
        self.log, self.faults = self.root / "questions.log", self.root / "faults"
        self.out, self.sweep = self.root / "evidence", self.root / "mock.toml"
        with open(self.root / "problems.jsonl", "w") as problems:
            for i in range(QUESTIONS):
                problems.write(json.dumps({"question": f"QUIZ {i} and {i + 3}", "answer": f"#### {2 * i + 3}"}) + "\n")
        self.command = [sys.executable, MOCK, "--port", "${port}", "--log", str(self.log), "--faults", str(self.faults)]
        self.write_sweep()

    def write_sweep(self, kind="vllm", url="", on_failure="", ready=20, command=None):
        text = SWEEP
        for key, value in (("KIND", kind), ("COMMAND", json.dumps(command or self.command)), ("URL", url),
                           ("READY", str(ready)), ("ON_FAILURE", on_failure),
                           ("PROBLEMS", str(self.root / "problems.jsonl"))):
            text = text.replace(key, value, 1)
        self.sweep.write_text(text)

    def run_sweep(self, *flags):
        return bench("sweep", str(self.sweep), "--out", str(self.out), *flags)

    def start_sweep(self, *flags):
        return subprocess.Popen([NVLLM, "bench", "sweep", str(self.sweep), "--out", str(self.out), *flags],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def reasons(self):
        lines = (self.out / "journal.jsonl").read_text().splitlines()
        return [event["data"]["reason"] for event in map(json.loads, lines) if event["event"] == "failed"]

    def mocks(self):
        return [one for one in processes_with(str(self.log)) if is_alive(one) and "mock_server" in
                pathlib.Path(f"/proc/{one}/cmdline").read_text()]

    def lines(self, leg):
        return [json.loads(line) for line in (self.out / leg / "perq.jsonl").read_text().splitlines()]

    def check_whole(self, method="none"):
        for leg in "ab":
            lines = self.lines(leg)
            self.assertEqual([line["prompt_index"] for line in lines], list(range(1, QUESTIONS + 1)))
            self.assertTrue(all(line["correct"] for line in lines))
            metadata = json.loads((self.out / leg / "profile_metadata.json").read_text())
            self.assertEqual(metadata["boots"][0]["profiler"]["method"], method)
            self.assertEqual(metadata["engine"]["observed"]["/v1/models"], ["mock"])
        code, text = bench("verify", str(self.out), "--level", "2")
        self.assertEqual(code, 0, text)

    def test_a_server_started_by_its_command_is_measured_and_ended(self):
        self.faults.write_text("child")
        code, text = self.run_sweep()
        self.assertEqual(code, 0, text)
        self.assertIn("verdict: adds", text)
        self.check_whole()
        self.assertEqual(self.mocks(), [])
        child = int(pathlib.Path(str(self.log) + ".child").read_text())
        self.assertTrue(until(lambda: not is_alive(child)), "what the server started outlived it")
        boots = [json.loads((self.out / leg / "profile_metadata.json").read_text())["boots"][0] for leg in "ab"]
        walls = [boot["budget"]["wall_ms_per_token"] for boot in boots]
        self.assertGreater(walls[1], walls[0] + 0.5)  # leg b waits 2 ms a token, leg a 1 ms
        self.assertIn("kernels are not profiled", (self.out / "summary.md").read_text())

    def inject(self, library):
        text = self.sweep.read_text().replace("[profile]\n", f'[profile]\nmethod = "inject"\nlibrary = "{library}"\n')
        self.sweep.write_text(text.replace("[legs.a]\n", f'[legs.a]\nenv = {{ LD_PRELOAD = "{self.root}/other.so" }}\n'))

    def starts(self):
        """What the servers were started with, in order."""
        return [json.loads(line) for line in pathlib.Path(str(self.log) + ".env").read_text().splitlines()]

    def profile_metadata(self, leg):
        return json.loads((self.out / leg / "rounds/01/profile/profile_metadata.json").read_text())

    def test_kernels_of_any_server_are_had_by_a_library_loaded_into_it(self):
        library, other = make_library(self.root / "profile.so"), make_library(self.root / "other.so")
        self.write_sweep(kind="llama.cpp")
        self.inject(library)
        code, text = self.run_sweep()
        self.assertEqual(code, 0, text)
        self.check_whole("inject")
        for leg in "ab":
            metadata = self.profile_metadata(leg)
            self.assertEqual(metadata["profiler"], {"method": "inject", "processes": 1, "lost_kernels": 0, "findings": [],
                                                    "complete": True})
            self.assertEqual(metadata["law"], {"decode_steps": 46, "prefills": 2, "rows": 3, "residual_rows": 0})
            self.assertAlmostEqual(metadata["budget"]["kernels_ms_per_step"], 3 * 0.040 + 2 * 0.005, places=6)
            with open(self.out / leg / "rounds/01/profile/kernels.csv", newline="") as file:
                calls = {row["short_name"]: int(row["n_calls"]) for row in csv.DictReader(file)}
            self.assertEqual(calls, {"gemm": 3 * 46 + 2, "norm": 2 * 46, "embed": 2})
            self.assertTrue((self.out / leg / "profile_kernels.csv").exists())
        profiled = [one for one in self.starts() if one["NVLLM_PROFILE_DIR"]]
        self.assertEqual([one["LD_PRELOAD"] for one in profiled], [f"{self.root}/other.so:{library}", library])
        self.assertEqual({one["NVLLM_PROFILE_START"] for one in profiled}, {"wait"})
        # Questions are put to servers as they are.
        self.assertEqual([one["LD_PRELOAD"] for one in self.starts() if one not in profiled], [f"{self.root}/other.so", ""])
        for one in profiled:
            self.assertFalse(pathlib.Path(one["NVLLM_PROFILE_DIR"]).exists(), "a folder of sockets was left")
        self.assertIn("profile library in it", (self.out / "summary.md").read_text())

    def test_kernels_of_several_processes_add_up_and_lost_ones_are_told(self):
        self.write_sweep()
        self.inject(make_library(self.root / "profile.so"))
        self.faults.write_text("workers=2 loses=3")
        code, text = self.run_sweep()
        self.assertEqual(code, 0, text)
        self.check_whole("inject")
        profiler = self.profile_metadata("a")["profiler"]
        self.assertEqual((profiler["processes"], profiler["lost_kernels"], profiler["complete"]), (2, 6, False))
        with open(self.out / "a/rounds/01/profile/kernels.csv", newline="") as file:
            self.assertIn(("norm", str(2 * 2 * 46)), [(row["short_name"], row["n_calls"]) for row in csv.DictReader(file)])
        summary = (self.out / "summary.md").read_text()
        for words in ("may lack records", "6 kernels ran of which nothing was kept", "2 processes ran kernels"):
            self.assertIn(words, summary)

    def test_a_server_without_cuda_fails_the_units_that_demand_its_kernels(self):
        self.write_sweep()
        self.inject(make_library(self.root / "profile.so"))
        self.faults.write_text("no-cuda")
        code, text = self.run_sweep()
        self.assertEqual(code, 5, text)
        self.assertEqual(len(self.reasons()), 2)
        self.assertTrue(all("no process of the server loaded the profile library" in one for one in self.reasons()), self.reasons())
        self.faults.write_text("")
        code, text = self.run_sweep("--resume")
        self.assertEqual(code, 0, text)
        self.check_whole("inject")

    def test_a_library_that_is_missing_is_refused_before_anything_starts(self):
        self.inject(self.root / "none.so")
        for code, text in (self.run_sweep(), bench("plan", str(self.sweep))):
            self.assertEqual(code, 2, text)
            self.assertIn("tools/build release nvllm_profile", text)
        self.assertFalse(self.out.exists())
        self.assertFalse(pathlib.Path(str(self.log) + ".env").exists())

    def test_a_bench_killed_leaves_neither_server_nor_its_children(self):
        self.faults.write_text("child hangs=1")
        process = self.start_sweep("--only", "a/gsm8k")
        self.assertTrue(until(self.log.exists, 30))
        child = int(pathlib.Path(str(self.log) + ".child").read_text())
        self.assertEqual(len(self.mocks()), 1)
        process.kill()
        process.wait()
        self.assertTrue(until(lambda: not self.mocks() and not is_alive(child)), "the group outlived the bench")

    def test_a_port_that_answers_already_is_refused_and_its_server_left_alone(self):
        port = free_port()
        foreign = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                                   cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.assertTrue(until(lambda: listens(port)))
            self.write_sweep(url=f'url = "http://127.0.0.1:{port}"')
            code, text = self.run_sweep()
            self.assertEqual(code, 5, text)
            self.assertIn("answers already", self.reasons()[0])
            self.assertIsNone(foreign.poll())
        finally:
            foreign.kill()
            foreign.wait()
        code, text = self.run_sweep("--resume")
        self.assertEqual(code, 0, text)

    def test_every_fault_fails_its_units_with_a_reason_and_the_rest_goes_on(self):
        for fault, words, ready in (("no-start", "it ended with status 3", 20),
                                    ("never-ready", "its time was over", 1),
                                    ("nonsense", "/v1/completions", 20),
                                    ("dies=3", "question 3 ended as server_died", 20),
                                    ("broken=2", "question 2 ended as http_error", 20)):
            with self.subTest(fault):
                subprocess.run(["rm", "-rf", str(self.out)], check=True)
                self.write_sweep(ready=ready)
                self.faults.write_text(fault)
                code, text = self.run_sweep()
                self.assertEqual(code, 5, text)
                self.assertTrue(any(words in reason for reason in self.reasons()), self.reasons())
                failed = sorted(self.out.glob("*/attempts/*/sealed.json"))
                self.assertEqual(len(failed), len(self.reasons()))
                self.assertTrue(all(json.loads(one.read_text())["state"] == "FAILED" for one in failed))
                self.assertFalse((self.out / "MANIFEST.sha256").exists())
                self.assertEqual(self.mocks(), [])
                self.faults.write_text("")
                code, text = self.run_sweep("--resume")
                self.assertEqual(code, 0, text)
                self.check_whole()
                self.assertEqual(sorted(self.out.glob("*/attempts/*/sealed.json")), failed)

    def test_a_sweep_stops_at_a_failure_where_the_file_says_so(self):
        self.write_sweep(on_failure='on_failure = "stop"')
        self.faults.write_text("no-start")
        self.assertEqual(self.run_sweep()[0], 5)
        self.assertEqual(len(self.reasons()), 1)

    def test_slow_wrong_and_plain_servers_are_results_and_no_failures(self):
        self.faults.write_text("wrong plain ignores-term hangs=2")
        code, text = self.run_sweep()
        self.assertEqual(code, 1, text)  # the floor is not reached
        summary = json.loads((self.out / "a/gsm8k.json").read_text())
        self.assertEqual((summary["correct"], summary["censored"]), (0, 1))
        metadata = json.loads((self.out / "a/gsm8k_metadata.json").read_text())
        rules = " ".join(f"{one['rule']} {one['reason']}" for one in metadata["deviations"])
        for words in ("token_ids:", "ignore_eos:", "metrics:", "was killed"):
            self.assertIn(words, rules)

    def test_questions_that_a_killed_run_had_answered_are_kept(self):
        self.faults.write_text("hangs=6")
        self.write_sweep()
        self.sweep.write_text(self.sweep.read_text().replace("deadline_s = 1\n", "deadline_s = 60\n"))
        process = self.start_sweep("--only", "a/gsm8k")
        self.assertTrue(until(lambda: self.log.exists() and len(self.log.read_text().splitlines()) == 6, 30))
        process.kill()
        process.wait()
        self.faults.write_text("")
        self.log.unlink()
        code, text = self.run_sweep("--resume")
        self.assertEqual(code, 0, text)
        self.check_whole()
        asked = self.log.read_text().splitlines()
        self.assertEqual(len(asked), QUESTIONS - 5 + QUESTIONS)  # the rest of leg a, and all of leg b
        died = self.out / "a/attempts/01"
        self.assertEqual(json.loads((died / "sealed.json").read_text())["state"], "DIED")
        self.assertEqual(len((died / "perq.jsonl").read_text().splitlines()), 5)
        metadata = json.loads((self.out / "a/rounds/01/gsm8k/gsm8k_metadata.json").read_text())
        self.assertEqual([one["answers_kept"] for one in metadata["earlier_boots"]], [5])
        self.assertIn("died while MEASURING", metadata["earlier_boots"][0]["ended"])
        boots = [line["boot_id"] for line in self.lines("a")]
        self.assertEqual(boots[:5], metadata["earlier_boots"][0]["boot_ids"] * 5)
        self.assertNotIn(metadata["boot_id"], boots[:5])
        self.assertEqual(boots[5:], [metadata["boot_id"]] * 3)

    def settled_facts(self):
        """What does not depend on time, from the derived files."""
        facts = {}
        for leg in "ab":
            keys = ("qid", "prompt_index", "pred", "correct", "status", "output_sha256", "token_ids_sha256", "attempt")
            facts[leg] = [{key: line[key] for key in keys} for line in self.lines(leg)]
            counts = json.loads((self.out / leg / "gsm8k.json").read_text())
            facts[leg].append({key: counts[key] for key in ("n", "correct", "wrong", "censored", "errors", "accuracy")})
        facts["gates"] = json.loads((self.out / "analysis/gates.json").read_text())
        accuracy = json.loads((self.out / "analysis/accuracy.json").read_text())
        facts["accuracy"] = [[leg["leg"], leg.get("candidate", {}).get("right")] for leg in accuracy["legs"]]
        facts["verdict"] = json.loads((self.out / "analysis/verdict.json").read_text())["id"]
        return facts

    def test_runs_killed_at_any_moment_come_to_the_same_end(self):
        self.command += ["--delay-ms", "4"]
        self.write_sweep()
        begin = time.monotonic()
        code, text = self.run_sweep()
        whole = time.monotonic() - begin
        self.assertEqual(code, 0, text)
        wanted = self.settled_facts()
        chance = random.Random(7)
        for trial in range(6):
            self.out = self.root / f"trial-{trial}"
            kills = 0
            for _ in range(12):
                process = self.start_sweep(*(["--resume"] if (self.out / "journal.jsonl").exists() else []))
                try:
                    process.wait(chance.uniform(0.05, 0.6) * whole if kills < 3 else 120)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills += 1
                    self.assertTrue(until(lambda: not self.mocks()), "a server outlived its bench")
            self.assertGreater(kills, 0)
            self.assertEqual(process.returncode, 0, f"trial {trial} after {kills} kills")
            self.assertEqual(self.settled_facts(), wanted, f"trial {trial} after {kills} kills")
            self.check_whole()


class ExternalNvllm(unittest.TestCase):
    def test_a_running_server_of_ours_is_measured_and_left_running(self):
        server = Server()
        self.addCleanup(server.stop)
        with tempfile.TemporaryDirectory() as temp:
            sweep, out = pathlib.Path(temp) / "external.toml", pathlib.Path(temp) / "out"
            text = SWEEP.replace("KIND", "external", 1).replace("command = COMMAND\n", "")
            text = text.replace("URL", f'url = "{server.url}"', 1).replace("READY", "5", 1).replace("ON_FAILURE", "")
            text = text.replace("PROBLEMS", f"{DEMO}/heldout.jsonl").replace('id = "mock"', 'id = "demo"', 1)
            text = text.replace('arguments = ["--delay-ms", "2"]\n', "").replace("right = 8", "right = 4")
            text = text.replace("deadline_s = 1\n", "deadline_s = 60\n").replace("n          = 8", "n          = 4")
            text = text.replace("deadline_s = 2\n", "deadline_s = 60\n")
            sweep.write_text(text)
            code, text = bench("sweep", str(sweep), "--out", str(out))
            self.assertEqual(code, 0, text)
            self.assertEqual(server.get("/health")[0], 200)
            legs = [[json.loads(line)["token_ids_sha256"]
                     for line in (out / leg / "perq.jsonl").read_text().splitlines()] for leg in "ab"]
            self.assertEqual(legs[0], legs[1])
            self.assertTrue(all(legs[0]))
            self.assertIn("server not restarted between rounds", (out / "summary.md").read_text())
            self.assertEqual(bench("verify", str(out), "--level", "2")[0], 0)


if __name__ == "__main__":
    unittest.main()
