"""What only a GPU shows: sampling there, a device that breaks, and memory that it does not have."""
import csv
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from unittest import mock

import server
from server import DEMO, NVLLM, PROBLEMS, Server, prompt_of


def why_no_gpu():
    """Empty where nvllm serves on a GPU."""
    done = subprocess.run([NVLLM, "inspect", DEMO, "--device", "cuda"], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip()


WHY_NOT = why_no_gpu()
LIBRARY = pathlib.Path(NVLLM).with_name("libnvllm_profile.so")
SWEEP = """
schema = "nvllm.sweep/v1"
name   = "injected"
claim  = "Kernels of a server of ours are the same, seen from outside"
[server]
command = ["nvllm", "serve", "--port", "${port}", "--model", "${model.path}", "--device", "cuda", "--log-level", "warning", "--no-enable-prefix-caching"]
[legs.beta]
arguments = ["--leg", "every-beta"]
[schedule]
rounds = { profile = 1, gsm8k = 0 }
[profile]
METHOD
bursts = [{ requests = 2, max_tokens = 24 }, { requests = 2, max_tokens = 8 }]
[[verdict]]
when = "true"
id   = "open"
"""
# A program of another framework: twenty products by themselves, then a hundred in ten runs of a graph.
TORCH_PROGRAM = """
import torch
a = torch.randn(256, 256, device="cuda")
b = torch.empty_like(a)
for _ in range(20):
    torch.mm(a, a, out=b)
torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    for _ in range(10):
        torch.mm(a, a, out=b)
for _ in range(10):
    graph.replay()
torch.cuda.synchronize()
"""


def kernels_of(folder):
    """Calls by kernel, and the metadata, of a profile."""
    with open(pathlib.Path(folder) / "profile_kernels.csv", newline="") as file:
        calls = {row["kernel_symbol"]: int(row["n_calls"]) for row in csv.DictReader(file)}
    return calls, json.loads((pathlib.Path(folder) / "profile_metadata.json").read_text())


def tell(folder, command):
    """The answer of the one process that loaded the library in `folder`."""
    (path,) = pathlib.Path(folder).glob("control-*.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(command.encode() + b"\n")
        return json.loads(client.makefile().readline())


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Gpu(unittest.TestCase):
    def complete(self, process, **fields):
        status, reply = process.post("/v1/completions", {"prompt": prompt_of(PROBLEMS[0]), "max_tokens": 40,
                                                         "return_token_ids": True, **fields})
        self.assertEqual(status, 200, reply)
        return reply["choices"][0]

    def test_tokens_are_drawn_as_asked(self):
        process = Server("--device", "cuda")
        self.addCleanup(process.stop)
        greedy = self.complete(process, temperature=0)["token_ids"]
        self.assertEqual(self.complete(process, temperature=1, top_k=1)["token_ids"], greedy)
        self.assertEqual(self.complete(process, temperature=1, top_p=1e-6)["token_ids"], greedy)
        self.assertEqual(self.complete(process, temperature=1, min_p=1)["token_ids"], greedy)
        self.assertEqual(self.complete(process, temperature=0, logit_bias={"5": 0.0})["token_ids"], greedy, "an adjusted row")
        # Words the model was not trained on, which leave it in doubt.
        hot = {"prompt": "The sea and the moon", "temperature": 1.8}
        once = self.complete(process, **hot, seed=11, logprobs=0)
        self.assertEqual(self.complete(process, **hot, seed=11)["token_ids"], once["token_ids"])
        self.assertNotEqual(self.complete(process, **hot, seed=12)["token_ids"], once["token_ids"])
        for token, probability in zip(once["token_ids"], once["logprobs"]["token_logprobs"]):
            self.assertLessEqual(probability, 0, token)
        # However a token is chosen and reported, it has the same probability; the likeliest is its own alternative.
        alone = self.complete(process, temperature=0, logprobs=0)
        for more in ({"logprobs": 1}, {"logprobs": 5}, {"logprobs": 0, "logit_bias": {"5": 0.0}}, {"logprobs": 5, "logit_bias": {"5": 0.0}}):
            other = self.complete(process, temperature=0, **more)
            self.assertEqual(other["token_ids"], alone["token_ids"], more)
            for one, two in zip(other["logprobs"]["token_logprobs"], alone["logprobs"]["token_logprobs"]):
                self.assertAlmostEqual(one, two, delta=1e-3, msg=str(more))
            if more["logprobs"] == 0:
                continue
            for one, top in zip(other["logprobs"]["token_logprobs"], other["logprobs"]["top_logprobs"]):
                self.assertAlmostEqual(max(top.values()), one, delta=1e-6, msg=str(more))
        # Alternatives do not change what is drawn; biases and penalties do.
        self.assertEqual(self.complete(process, **hot, seed=11, logprobs=3)["token_ids"], once["token_ids"])
        banned = self.complete(process, temperature=0, logit_bias={str(greedy[0]): -100})["token_ids"]
        self.assertNotEqual(banned[0], greedy[0])
        doubt = {"prompt": "The sea and the moon", "temperature": 0}
        same, unlike = (self.complete(process, **doubt, presence_penalty=penalty, frequency_penalty=penalty)["token_ids"] for penalty in (0, 2))
        self.assertGreater(len(set(unlike)) / len(unlike), len(set(same)) / len(same))
        self.assertLess(len(greedy), 40, "it ended by itself")
        longer = self.complete(process, temperature=0, min_tokens=40)["token_ids"]
        self.assertEqual(len(longer), 40)
        self.assertEqual(longer[:len(greedy) - 1], greedy[:-1])

    def test_a_broken_device_ends_every_stream_and_the_server(self):
        faulty = str(pathlib.Path(NVLLM).with_name("nvllm_with_faults"))
        with mock.patch.object(server, "NVLLM", faulty), mock.patch.dict(os.environ, {"NVLLM_FAULTS": "broken-device:30"}):
            process = Server("--device", "cuda")
        body = json.dumps({"prompt": prompt_of(PROBLEMS[0]), "max_tokens": 200, "ignore_eos": True, "stream": True, "temperature": 0})
        streams = [urllib.request.urlopen(urllib.request.Request(process.url + "/v1/completions", body.encode(),
                                                                 {"Content-Type": "application/json"}), timeout=60)
                   for _ in range(3)]
        texts = [stream.read().decode() for stream in streams]
        broken = time.monotonic()
        for text in texts:
            events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
            self.assertIn("error", events[-1], text[-300:])
            self.assertNotIn("finish_reason\":\"", text)
            self.assertGreater(len(events), 3, "tokens came before")
            code = process.process.wait(10)
        self.assertLess(time.monotonic() - broken, 5)
        self.assertNotEqual(code, 0)
        self.assertIn("device", process.process.stderr.read())
        process.stop()

    def test_more_memory_than_the_gpu_has_is_refused_with_the_table(self):
        done = subprocess.run([NVLLM, "serve", "--model", "synthetic:qwen3.5-27b", "--tokenizer", DEMO, "--device", "cuda", "--port", "0",
                               "--memory-budget", "2TiB", "--max-num-seqs", "512", "--max-model-len", "262144"],
                              capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        for word in ("2.00 TiB", "weights", "KV blocks", "total", "--memory-budget"):
            self.assertIn(word, done.stderr)

    def profiled(self, command, folder, **environment):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                              env={**os.environ, "LD_PRELOAD": str(LIBRARY), "NVLLM_PROFILE_DIR": folder, **environment})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("profile written", done.stderr)
        return kernels_of(pathlib.Path(folder) / "001")

    def test_the_library_profiles_a_program_from_start_to_end(self):
        with tempfile.TemporaryDirectory() as folder:
            calls, metadata = self.profiled([NVLLM, "generate", "--model", DEMO, "--device", "cuda", "--prompt", prompt_of(PROBLEMS[0]),
                                             "--max-tokens", "20", "--leg", "every-beta"], folder)
        self.assertIn("PhaseE_Beta_Kernel", calls)
        self.assertEqual(metadata["profiler"]["lost_kernels"], 0)
        self.assertIn("generate", metadata["model"])

    def test_a_sweep_counts_by_the_library_what_the_server_itself_counts(self):
        by_method = {}
        for method in ("inject", "in-process"):
            with tempfile.TemporaryDirectory() as folder:
                sweep, out = pathlib.Path(folder) / "sweep.toml", pathlib.Path(folder) / "out"
                sweep.write_text(SWEEP.replace("METHOD", f'method = "{method}"'))
                done = subprocess.run([NVLLM, "bench", "sweep", str(sweep), "--model", DEMO, "--out", str(out)], capture_output=True,
                                      text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                metadata = json.loads((out / "beta/rounds/01/profile/profile_metadata.json").read_text())
                by_method[method] = metadata["calls_per_decode_step"]
                if method == "inject":
                    self.assertTrue(metadata["profiler"]["complete"], metadata["profiler"])
                done = subprocess.run([NVLLM, "bench", "verify", str(out), "--level", "2"], capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreater(by_method["inject"]["PhaseE_Beta_Kernel"], 0)
        self.assertEqual(by_method["inject"], by_method["in-process"])

    def test_the_library_profiles_programs_of_other_frameworks(self):
        if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True).returncode != 0:
            self.skipTest("no torch here")
        with tempfile.TemporaryDirectory() as folder:
            calls, _ = self.profiled([sys.executable, "-c", TORCH_PROGRAM], folder)
        self.assertGreaterEqual(max(calls.values()), 120, calls)

    def test_the_library_starts_and_stops_when_told_and_counts_as_the_server_does(self):
        with tempfile.TemporaryDirectory() as folder:
            with mock.patch.dict(os.environ, {"LD_PRELOAD": str(LIBRARY), "NVLLM_PROFILE_DIR": folder, "NVLLM_PROFILE_START": "wait"}):
                process = Server("--device", "cuda", "--leg", "every-beta", "--no-enable-prefix-caching")
            self.addCleanup(process.stop)
            self.assertIn("no profile is running", tell(folder, "stop")["error"])
            self.complete(process, temperature=0)
            self.assertEqual(tell(folder, "start"), {"started": True})
            self.assertIn("running", tell(folder, "start")["error"])
            tokens = len(self.complete(process, temperature=0, max_tokens=9, ignore_eos=True)["token_ids"])
            answer = tell(folder, "stop")
            calls, _ = kernels_of(answer["folder"])
            self.assertEqual(sum(calls.values()), answer["kernel_calls"])
            self.assertEqual(calls["PhaseE_Beta_Kernel"] % (tokens - 1), 0, calls)
            self.complete(process, temperature=0)
            self.assertEqual(tell(folder, "start"), {"started": True})
            self.assertEqual(tell(folder, "stop")["kernel_calls"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
