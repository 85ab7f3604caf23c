"""A server process for tests: a free loopback port, ended by SIGTERM."""
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVLLM = os.environ.get("NVLLM", str(ROOT / "build/release/nvllm"))
DEMO = str(ROOT / "models/demo")
PROBLEMS = [json.loads(line) for line in open(ROOT / "models/demo/heldout.jsonl")]


class Server:
    def __init__(self, *flags, model=DEMO, wait=True, log_level="warning", stderr=subprocess.PIPE):
        # A pipe nobody reads holds 64 KiB: a server that is to log more gets a file.
        self.process = subprocess.Popen(
            [NVLLM, "serve", "--model", model, "--port", "0", "--log-level", log_level, *flags],
            stdout=subprocess.PIPE, stderr=stderr, text=True)
        line = self.process.stdout.readline().strip()
        if not line.startswith("http://"):
            raise RuntimeError(f"no address: {line!r} {self.process.stderr.read() if self.process.stderr else ''}")
        self.url = line
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.get("/health")[0] == 200:
                return
            time.sleep(0.02)
        raise RuntimeError("not ready")

    def request(self, method, path, body=None, headers=None):
        """Status and parsed (or raw) body; any status is an answer."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method,
                                         headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                status, content = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content.decode(errors="replace")

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def stop(self, signal_number=signal.SIGTERM, seconds=60):
        """Ends the process; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.process.stdout.close()
            if self.process.stderr:
                self.process.stderr.close()


def prompt_of(problem):
    return f"Question: {problem['question']}\nAnswer: "
