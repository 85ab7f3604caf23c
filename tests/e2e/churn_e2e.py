"""Clients that come and go: 64 at a time, 40 % of them leave somewhere on the way in every manner a socket knows. Those that stay
get what they would get alone, and at rest nothing is held. NVLLM_CHURN_SECONDS says how long (8; 180 in tests/nightly)."""
import asyncio
import http.client
import json
import os
import pathlib
import random
import socket
import struct
import time
import unittest
import urllib.parse

from server import PROBLEMS, Server, prompt_of

SECONDS = float(os.environ.get("NVLLM_CHURN_SECONDS", "8"))
CLIENTS = 64
MIB = 1 << 20


def numbers(text):
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name.split("{")[0]] = found.get(name.split("{")[0], 0) + float(value)
    return found


def bodies():
    """Everything that is asked."""
    for problem in PROBLEMS[:8]:
        for max_tokens in (1, 7, 60):
            body = {"prompt": prompt_of(problem), "max_tokens": max_tokens, "temperature": 0}
            yield body
            yield body | {"stream": True}
            for seed in (1, 2):
                yield body | {"n": 3, "temperature": 1, "seed": seed}


BODIES = list(bodies())


def answer_of(body, raw):
    """The texts of an answer in the order of its choices, and how they ended."""
    if not body.get("stream"):
        return [(choice["text"], choice["finish_reason"]) for choice in json.loads(raw)["choices"]]
    text, reason, ends = "", None, 0
    for line in raw.decode().split("\n"):
        if line == "data: [DONE]":
            ends += 1
        elif line.startswith("data: "):
            choice = json.loads(line[6:])["choices"][0]
            text += choice["text"]
            reason = choice["finish_reason"] or reason
    assert ends == 1, f"{ends} ends of a stream"
    return [(text, reason)]


class Churn(unittest.TestCase):
    def setUp(self):
        self.server = Server("--max-num-seqs", "16", "--max-model-len", "256", "--max-waiting", "400")
        self.addCleanup(self.server.stop)
        self.address = urllib.parse.urlsplit(self.server.url)
        self.wanted, self.kept, self.cut = {}, 0, 0

    def process(self, what):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(what + ":")).split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    async def connect(self, body):
        reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
        data = json.dumps(body).encode()
        writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: {self.address.netloc}\r\nContent-Type: application/json\r\n"
                     f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        return reader, writer

    @staticmethod
    def content(raw):
        head, _, rest = raw.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), raw[:300]
        if b"chunked" not in head.lower():
            return rest
        out = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if length == 0:
                return out
            out, rest = out + rest[:length], rest[length + 2:]
        raise AssertionError("a body without its end")

    async def leave(self, draw, reader, writer):
        """After some bytes or none, by FIN, RST, half a close, or silence and then a FIN."""
        for _ in range(draw.choice([0, 0, 1, 2, 5])):
            await asyncio.wait_for(reader.read(200), 60)
        manner = draw.choice(["fin", "rst", "half", "silent"])
        if manner == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if manner == "half":
            writer.write_eof()
            await asyncio.sleep(0.05)
        if manner == "silent":
            await asyncio.sleep(0.3)
        writer.close()
        self.cut += 1

    async def client(self, number, until):
        draw = random.Random(number)
        while time.monotonic() < until:
            body = draw.choice(BODIES)
            reader, writer = await self.connect(body)
            if draw.random() < 0.4:
                await self.leave(draw, reader, writer)
                continue
            raw = await asyncio.wait_for(reader.read(), 120)
            writer.close()
            self.assertEqual(answer_of(body, self.content(raw)), self.wanted[json.dumps(body)], body)
            self.kept += 1

    async def once(self, body):
        reader, writer = await self.connect(body)
        raw = await asyncio.wait_for(reader.read(), 120)
        writer.close()
        return answer_of(body, self.content(raw))

    def rest(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = numbers(self.server.get("/metrics")[1])
            if found["vllm:num_requests_running"] + found["vllm:num_requests_waiting"] + found["nvllm:state_slots_used"] == 0:
                return found
            time.sleep(0.02)
        self.fail(f"not at rest: {found}")

    def test_an_idle_connection_costs_little(self):
        idle = []
        self.addCleanup(lambda: [connection.close() for connection in idle])

        def open_some(count):
            for _ in range(count):
                connection = http.client.HTTPConnection(self.address.netloc, timeout=30)
                connection.request("GET", "/health")
                self.assertEqual(connection.getresponse().read(), b'{"status":"ok"}')
                idle.append(connection)
        open_some(50)
        before = self.process("VmRSS")
        open_some(500)
        each = (self.process("VmRSS") - before) / 500
        self.assertLess(each, 16)
        print(f"{each:.1f} KiB each", end=" ")

    def test_those_who_stay_get_their_answers_and_nothing_is_left(self):
        for body in BODIES:
            self.wanted[json.dumps(body)] = asyncio.run(self.once(body))

        async def crowd(seconds, seed):
            until = time.monotonic() + seconds
            await asyncio.gather(*(self.client(1000 * seed + i, until) for i in range(CLIENTS)))

        asyncio.run(crowd(SECONDS / 4, 1))
        self.rest()
        time.sleep(0.5)
        before = (self.process("VmRSS") + self.process("VmSwap"), self.process("Threads"), self.descriptors())
        asyncio.run(crowd(SECONDS, 2))
        found = self.rest()
        time.sleep(0.5)
        after = (self.process("VmRSS") + self.process("VmSwap"), self.process("Threads"), self.descriptors())
        self.assertEqual(found["vllm:kv_cache_usage_perc"], 0)
        # A short run has not met every size of everything in its warm-up.
        self.assertLessEqual((after[0] - before[0]) / 1024, 1.0 if SECONDS >= 60 else 4.0, f"MiB more, after {self.kept + self.cut} requests")
        self.assertEqual(after[1:], before[1:], "threads, descriptors")
        self.assertEqual(self.server.post("/reset_prefix_cache", {})[0], 200)
        time.sleep(0.2)
        self.assertEqual(numbers(self.server.get("/metrics")[1])["nvllm:prefix_cache_kv_blocks"], 0)
        self.assertGreater(self.kept, 5 * SECONDS)
        self.assertGreater(self.cut, 2 * SECONDS)
        print(f"{self.kept} answered, {self.cut} left", end=" ")


if __name__ == "__main__":
    unittest.main()
