"""A server's life: ready, busy, full, leaving."""
import csv
import gzip
import http.client
import json
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from server import DEMO, NVLLM, PROBLEMS, ROOT, Server, prompt_of


class Life(unittest.TestCase):
    def test_sigterm_finishes_what_is_running_and_exits_zero(self):
        server = Server()
        results = []
        def ask(problem):
            results.append(server.post("/v1/completions", {"prompt": prompt_of(problem), "max_tokens": 200, "temperature": 0}))
        threads = [threading.Thread(target=ask, args=(problem,)) for problem in PROBLEMS[:4]]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 10
        while "vllm:num_requests_running" not in server.get("/metrics")[1] or self.gauge(server, "vllm:num_requests_running") < 1:
            self.assertLess(time.monotonic(), deadline)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        self.assertEqual(server.stop(), 0)
        self.assertEqual([status for status, _ in results], [200] * 4)
        texts = {reply["choices"][0]["text"] for _, reply in results}
        self.assertEqual(texts, {problem["answer"] for problem in PROBLEMS[:4]})

    def test_a_second_sigterm_ends_at_once_with_an_answer_and_exit_code_zero(self):
        server = Server("--shutdown-timeout", "60")
        replies = []
        body = {"prompt": "The ", "max_tokens": 3500, "ignore_eos": True, "temperature": 0}
        thread = threading.Thread(target=lambda: replies.append(server.post("/v1/completions", body)))
        thread.start()
        deadline = time.monotonic() + 10
        while self.gauge(server, "vllm:num_requests_running") != 1:
            self.assertLess(time.monotonic(), deadline)
        server.process.send_signal(signal.SIGTERM)
        while server.get("/health")[0] != 503:
            self.assertLess(time.monotonic(), deadline)
        self.assertIsNone(server.process.poll(), "the first signal did not wait for the running request")
        begin = time.monotonic()
        # The second signal. Last words take 2 s at the most, and the program its time to leave.
        self.assertEqual(server.stop(seconds=10), 0)
        self.assertLess(time.monotonic() - begin, 5)
        thread.join()
        status, reply = replies[0]
        self.assertEqual((status, reply["error"]["code"]), (503, "draining"))

    def test_sigterm_while_loading_exits_promptly_with_zero(self):
        server = Server("--tokenizer", DEMO, "--max-num-seqs", "1", "--max-model-len", "64",
                        model="synthetic:qwen3.5-4b", wait=False)
        status, reply = server.get("/health")
        self.assertEqual((status, reply["error"]["code"]), (503, "loading"))
        begin = time.monotonic()
        self.assertEqual(server.stop(seconds=10), 0)
        self.assertLess(time.monotonic() - begin, 3)

    @staticmethod
    def gauge(server, name):
        for line in server.get("/metrics")[1].splitlines():
            if line.startswith(name) and not line.startswith("#"):
                return float(line.rsplit(" ", 1)[1])
        return None

    def test_a_client_that_leaves_is_cancelled(self):
        server = Server()
        try:
            address = urllib.parse.urlparse(server.url)
            connection = http.client.HTTPConnection(address.hostname, address.port)
            body = json.dumps({"prompt": "The ", "max_tokens": 3000, "ignore_eos": True, "temperature": 0, "stream": True})
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            reply.readline()
            self.assertEqual(self.gauge(server, "vllm:num_requests_running"), 1)
            reply.close()
            connection.close()
            deadline = time.monotonic() + 5
            while self.gauge(server, "vllm:num_requests_running") != 0:
                self.assertLess(time.monotonic(), deadline, "still running")
            self.assertEqual(server.get("/health")[0], 200)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_many_requests_at_once_give_the_same_answers_as_one(self):
        server = Server("--max-num-seqs", "4", "--memory-budget", "200MiB", "--max-model-len", "512")
        try:
            alone = [server.post("/v1/completions", {"prompt": prompt_of(p), "max_tokens": 60, "temperature": 0})[1]
                     ["choices"][0]["text"] for p in PROBLEMS[:12]]
            together = [None] * 12
            def ask(i):
                together[i] = server.post("/v1/completions", {"prompt": prompt_of(PROBLEMS[i]), "max_tokens": 60,
                                                              "temperature": 0})[1]["choices"][0]["text"]
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(together, alone)
        finally:
            server.stop()

    def test_a_full_queue_is_429_with_retry_after(self):
        server = Server("--max-num-seqs", "1", "--max-waiting", "1")
        try:
            body = {"prompt": "The ", "max_tokens": 400, "ignore_eos": True, "temperature": 0}
            statuses = []
            threads = [threading.Thread(target=lambda: statuses.append(server.post("/v1/completions", body)[0]))
                       for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(set(statuses), {200, 429})
        finally:
            server.stop()


class Refusals(unittest.TestCase):
    def refuse(self, *words):
        done = subprocess.run([NVLLM, *words], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_a_port_in_use_is_named(self):
        server = Server()
        try:
            port = server.url.rsplit(":", 1)[1]
            code, message = self.refuse("serve", "--model", DEMO, "--port", port)
            self.assertEqual(code, 5)
            self.assertIn(port, message)
        finally:
            server.stop()

    def test_a_profile_folder_that_cannot_be_is_refused_before_the_port_is_taken(self):
        code, message = self.refuse("serve", "--model", DEMO, "--port", "0", "--profile-dir", "/dev/null/profiles")
        self.assertEqual(code, 2)
        self.assertIn("--profile-dir /dev/null/profiles", message)

    def test_a_budget_too_small_prints_who_wanted_what(self):
        code, message = self.refuse("generate", "--model", DEMO, "--prompt", "x", "--memory-budget", "1MiB")
        self.assertEqual(code, 6)
        for word in ("weights", "KV blocks", "recurrent state", "--memory-budget"):
            self.assertIn(word, message)

    def test_a_missing_model_an_unknown_leg_and_an_unknown_command(self):
        self.assertIn("nowhere", self.refuse("generate", "--model", "/nowhere", "--prompt", "x")[1])
        self.assertIn("lower8", self.refuse("generate", "--model", DEMO, "--prompt", "x", "--leg", "none")[1])
        code, message = self.refuse("dance")
        self.assertEqual(code, 2)
        self.assertIn("serve", message)


class WithoutServer(unittest.TestCase):
    def test_generate_prints_the_answer(self):
        done = subprocess.run([NVLLM, "generate", "--model", DEMO, "--prompt", "-", "--max-tokens", "200"],
                              input=prompt_of(PROBLEMS[0]), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), PROBLEMS[0]["answer"])

    def test_generate_json_is_one_object(self):
        done = subprocess.run([NVLLM, "generate", "--model", DEMO, "--prompt", prompt_of(PROBLEMS[0]), "--json"],
                              capture_output=True, text=True)
        reply = json.loads(done.stdout)
        self.assertEqual(reply["finish_reason"], "stop")
        self.assertEqual(reply["text"], PROBLEMS[0]["answer"])

    def test_chat_answers_a_line(self):
        done = subprocess.run([NVLLM, "chat", "--model", DEMO, "--temperature", "0"],
                              input=PROBLEMS[1]["question"] + "\n", capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("####", done.stdout)

    def test_inspect_finds_nothing_missing_in_the_demo(self):
        done = subprocess.run([NVLLM, "inspect", DEMO, "--json"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsInstance(json.loads(done.stdout), dict)

    def test_inspect_prints_the_plan_that_a_start_logs(self):
        flags = ["--memory-budget", "300MiB", "--max-model-len", "1000"]
        shown = subprocess.run([NVLLM, "inspect", DEMO, "--max-num-seqs", "1", "--no-enable-prefix-caching", *flags], capture_output=True, text=True)
        started = subprocess.run([NVLLM, "generate", "--model", DEMO, "--prompt", "x", "--max-tokens", "1",
                                  "--log-level", "info", *flags], capture_output=True, text=True)
        self.assertEqual((shown.returncode, started.returncode), (0, 0), started.stderr)
        marker = " info engine "
        logged = [line.split(marker)[1] for line in started.stderr.splitlines() if marker + "  " in line]
        table = shown.stdout[shown.stdout.index("memory plan"):].splitlines()[1:len(logged) + 1]
        self.assertEqual(table, logged)
        self.assertIn("weights", logged[0])
        self.assertEqual(logged[-1], "  1 requests at context 1000")

    def test_inspect_exits_with_6_when_the_budget_that_was_asked_about_is_too_small(self):
        done = subprocess.run([NVLLM, "inspect", DEMO, "--memory-budget", "20MiB"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 6)
        self.assertIn("does not fit a memory budget of 20.0 MiB", done.stdout)


class Profiles(unittest.TestCase):
    CALLS_PER_DECODE_STEP = {  # four full-attention layers in the demo model
        "lower8": {"DecodeKernel": 2, "PhaseE_Beta_Kernel": 2, "Phase_D_MLP_Kernel": 0},
        "phaseE-off": {"DecodeKernel": 4, "PhaseE_Beta_Kernel": 0, "Phase_D_MLP_Kernel": 4},
        "all-beta": {"DecodeKernel": 0, "PhaseE_Beta_Kernel": 4, "Phase_D_MLP_Kernel": 0},
    }

    def test_a_profile_counts_the_kernels_that_the_leg_speaks(self):
        for leg, wanted in self.CALLS_PER_DECODE_STEP.items():
            with self.subTest(leg=leg), tempfile.TemporaryDirectory() as folder:
                server = Server("--leg", leg, "--profile-dir", folder)
                try:
                    self.assertEqual(server.post("/stop_profile", {})[0], 409)
                    self.assertEqual(server.post("/start_profile", {}), (200, ""))
                    self.assertEqual(server.post("/start_profile", {})[0], 409)
                    body = {"prompt": "The ", "max_tokens": 20, "ignore_eos": True, "temperature": 0}
                    for _ in range(2):
                        self.assertEqual(server.post("/v1/completions", body)[0], 200)
                    status, reply = server.post("/stop_profile", {})
                    self.assertEqual(status, 200, reply)
                finally:
                    self.assertEqual(server.stop(), 0)
                self.check_files(pathlib.Path(reply["folder"]), leg, wanted, requests=2, tokens=20)

    def check_files(self, folder, leg, wanted, requests, tokens):
        self.assertEqual(folder.name, "001")
        names = {"profile_kernels.csv", "kernels.csv", "trace.json.gz", "profile_metadata.json"}
        self.assertEqual({path.name for path in folder.iterdir()}, names)
        metadata = json.loads((folder / "profile_metadata.json").read_text())
        # The first token of an answer comes from the prefill.
        steps = requests * (tokens - 1)
        self.assertEqual((metadata["leg"], metadata["decode_steps"], metadata["prefills"], metadata["requests"]),
                         (leg, steps, requests, requests))
        with open(folder / "profile_kernels.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]), ["config_id", "kernel_symbol", "n_calls", "mean_us", "p50_us", "p95_us", "total_ms"])
        self.assertEqual({row["config_id"] for row in rows}, {leg})
        calls = {row["kernel_symbol"]: int(row["n_calls"]) for row in rows}
        self.assertEqual({name: calls.get(name, 0) for name in wanted}, {name: n * steps for name, n in wanted.items()})
        totals = [float(row["total_ms"]) for row in rows]
        self.assertEqual(totals, sorted(totals, reverse=True))
        with gzip.open(folder / "trace.json.gz", "rt") as file:
            events = json.load(file)["traceEvents"]
        self.assertEqual(sum(event["ph"] == "X" and event["name"] == "decode step" for event in events), steps)
        self.assertEqual(sum(event["ph"] == "X" and event["tid"] == 2 for event in events), sum(calls.values()))

    def test_without_the_flag_there_is_nothing_to_start(self):
        server = Server()
        try:
            status, reply = server.post("/start_profile", {})
            self.assertEqual(status, 404)
            self.assertIn("--profile-dir", reply["error"]["message"])
            self.assertEqual(server.post("/stop_profile", {})[0], 404)
        finally:
            self.assertEqual(server.stop(), 0)

    def test_a_profile_can_start_and_stop_while_requests_run(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server("--profile-dir", folder)
            try:
                body = {"prompt": "The ", "max_tokens": 600, "ignore_eos": True, "temperature": 0}
                replies = []
                threads = [threading.Thread(target=lambda: replies.append(server.post("/v1/completions", body)))
                           for _ in range(3)]
                for thread in threads:
                    thread.start()
                profiles = 0
                while any(thread.is_alive() for thread in threads):
                    self.assertEqual(server.post("/start_profile", {})[0], 200)
                    self.assertEqual(server.post("/stop_profile", {})[0], 200)
                    profiles += 1
                for thread in threads:
                    thread.join()
                self.assertGreater(profiles, 1)
                self.assertEqual(len({reply["choices"][0]["text"] for status, reply in replies if status == 200}), 1)
                self.assertEqual(len(list(pathlib.Path(folder).iterdir())), profiles)
            finally:
                self.assertEqual(server.stop(), 0)
