"""What only a GPU shows: sampling there, a device that breaks, and memory that it does not have."""
import json
import os
import pathlib
import subprocess
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
        self.assertEqual(self.complete(process, temperature=0, logit_bias={"5": 0.0})["token_ids"], greedy, "the host's sampler")
        # Words the model was not trained on, which leave it in doubt.
        hot = {"prompt": "The sea and the moon", "temperature": 1.8}
        once = self.complete(process, **hot, seed=11, logprobs=0)
        self.assertEqual(self.complete(process, **hot, seed=11)["token_ids"], once["token_ids"])
        self.assertNotEqual(self.complete(process, **hot, seed=12)["token_ids"], once["token_ids"])
        for token, probability in zip(once["token_ids"], once["logprobs"]["token_logprobs"]):
            self.assertLessEqual(probability, 0, token)
        # The host reports alternatives, so it draws here: from the same logits its tokens have the same probabilities.
        by_host = self.complete(process, temperature=0, logprobs=1)
        by_device = self.complete(process, temperature=0, logprobs=0)
        self.assertEqual(by_host["token_ids"], by_device["token_ids"])
        for one, other in zip(by_host["logprobs"]["token_logprobs"], by_device["logprobs"]["token_logprobs"]):
            self.assertAlmostEqual(one, other, delta=1e-3)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
