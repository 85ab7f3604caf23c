"""Requests with wrong fields over a real connection: refused in the documented shape, never a 500, and the next good one is
answered as ever. NVLLM_FUZZ_REQUESTS says how many (600; tests/nightly sends 20,000)."""
import http.client
import json
import os
import random
import unittest
import urllib.parse

from server import Server

COUNT = int(os.environ.get("NVLLM_FUZZ_REQUESTS", "600"))
SEED = int(os.environ.get("NVLLM_FUZZ_SEED", "1"))

# What a field is replaced by: edges of every type, and what is none of them.
EDGES = [None, True, False, 0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, -2**63, 2**64, 10**40, 0.5, -0.0, 1e308, 1e-320, "", "a", "\0", "\ud7ff\U0010ffff",
         "x" * 300, "<|im_start|>", [], [[]], [1], ["a"], [None], [1.5], [-1], [2**31], ["a"] * 20, {}, {"a": 1}, {"1": 101}, {"type": "json"},
         {"type": "text"}, {"include_usage": "yes"}, [{"role": "user"}], [{"role": "user", "content": 7}], [{"content": "x"}],
         [{"role": "no such", "content": "x"}], [{"role": "user", "content": [{"type": "image_url"}]}]]
for depth in (70, 300):
    deep = 1
    for _ in range(depth):
        deep = [deep]
    EDGES.append(deep)

SHARED = ["model", "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias",
          "stop", "stop_token_ids", "max_tokens", "min_tokens", "n", "stream", "stream_options", "ignore_eos", "include_stop_str_in_output",
          "skip_special_tokens", "return_token_ids", "return_tokens_as_token_ids", "priority", "cache_salt", "best_of", "user", "response_format",
          "tools", "tool_choice", "structured_outputs", "thinking_token_budget", "no such field"]
ENDPOINTS = {
    "/v1/completions": ({"prompt": "Question:", "max_tokens": 3, "temperature": 0}, SHARED + ["prompt", "echo", "logprobs", "suffix"]),
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "2 and 3?"}], "max_tokens": 3, "temperature": 0},
                             SHARED + ["messages", "logprobs", "top_logprobs", "chat_template", "chat_template_kwargs", "add_generation_prompt",
                                       "reasoning_effort", "max_completion_tokens", "continue_final_message"]),
    "/tokenize": ({"prompt": "Question:"}, ["prompt", "messages", "add_special_tokens", "model", "return_token_strs"]),
    "/detokenize": ({"tokens": [1, 2, 3]}, ["tokens", "model"]),
}
ALLOWED = {200, 400, 404, 413, 422, 429, 503}


class RequestFuzz(unittest.TestCase):
    def setUp(self):
        self.server = Server("--max-model-len", "256")
        self.addCleanup(self.server.stop)
        self.host = urllib.parse.urlsplit(self.server.url).netloc
        self.connection = http.client.HTTPConnection(self.host, timeout=60)
        self.addCleanup(self.connection.close)

    def send(self, path, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request("POST", path, data, {"Content-Type": "application/json"})
        reply = self.connection.getresponse()
        content = reply.read()
        if reply.will_close:
            self.connection.close()
        return reply.status, content

    def good(self, path):
        status, content = self.send(path, ENDPOINTS[path][0])
        self.assertEqual(status, 200, content)
        answer = json.loads(content)
        for changing in ("id", "created"):
            answer.pop(changing, None)
        answer.get("usage", {}).pop("prompt_tokens_details", None)
        return answer

    def bad_body(self, draw, path):
        body, fields = dict(ENDPOINTS[path][0]), ENDPOINTS[path][1]
        kind = draw.random()
        if kind < 0.05:  # no JSON, or none that is whole
            text = json.dumps(body).encode()
            return draw.choice([b"", b"{", b"null", b"[]", b"7", b"\xff\xfe", text[:draw.randrange(len(text))], text + b"x",
                                text.replace(b'"', b"'"), b'{"prompt":"a","prompt":"b"}', b"[" * 5000])
        for _ in range(1 if kind < 0.5 else 2):
            field = draw.choice(fields)
            if draw.random() < 0.1:
                body.pop(field, None)
            else:
                body[field] = draw.choice(EDGES)
        # Long answers would take the time of many requests.
        if body.get("max_tokens") is None or (isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 3):
            body["max_tokens" if draw.random() < 0.5 else "max_completion_tokens"] = 2
            body["stop"] = body.get("stop", ["a", "e"])
        return body

    def test_wrong_requests_are_refused_in_one_shape_and_harm_nobody(self):
        draw = random.Random(SEED)
        wanted = {path: self.good(path) for path in ENDPOINTS}
        seen = {}
        for number in range(COUNT // 3):
            path = draw.choice(list(ENDPOINTS))
            body = self.bad_body(draw, path)
            for _ in range(2):
                status, content = self.send(path, body)
                what = f"request {number} of seed {SEED}: {path} {str(body)[:400]} -> {status} {content[:300]}"
                self.assertIn(status, ALLOWED, what)
                seen[status] = seen.get(status, 0) + 1
                if status == 200:
                    continue
                error = json.loads(content)["error"]
                self.assertEqual(set(error), {"message", "type", "param", "code"}, what)
                self.assertTrue(error["message"], what)
            self.assertEqual(self.good(path), wanted[path], what)
        self.assertEqual(self.server.get("/health")[0], 200)
        self.assertGreater(seen.get(400, 0), COUNT // 10, seen)
        self.assertGreater(seen.get(200, 0), COUNT // 30, seen)
        print(f"{COUNT} requests: {seen}", end=" ")


if __name__ == "__main__":
    unittest.main()
