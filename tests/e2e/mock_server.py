"""A server of another kind, for tests of the bench: OpenAI-like, quick, and faulty as it is told.

    mock_server.py --port PORT --log FILE [--faults FILE] [--delay-ms MS]

Every question it is asked is a line of the log. The faults file holds words, read at every start and
request, so that a fault can go without the command changing:
  never-ready    /health says 503            no-start     ends with status 3
  nonsense       completions are no JSON     wrong        every other answer is wrong
  dies=N         ends itself at question N   hangs=N      question N is never answered
  ignores-term   SIGTERM changes nothing     child        starts a process that outlives it
  broken=N       the connection of question N breaks within the answer
  plain          no metrics, no token ids, no ignore_eos, no version
Where NVLLM_PROFILE_DIR is set it answers as a process with the profile library in it:
  no-cuda        it does not                 workers=N    as N processes
  loses=N        N kernels of every profile are lost
Every start adds a line to FILE.env of the log: what the server was started with.
"""
import argparse
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from mock_library import MockLibrary

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--log", required=True)
parser.add_argument("--faults", default="/dev/null")
parser.add_argument("--delay-ms", type=float, default=1)
options = parser.parse_args()
questions = 0
libraries = []
lock = threading.Lock()


def faults():
    try:
        words = pathlib.Path(options.faults).read_text().split()
    except OSError:
        words = []
    return {word.partition("=")[0]: int(word.partition("=")[2] or 0) for word in words}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, content_type="application/json"):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        now = faults()
        if self.path == "/health":
            return self.reply(503 if "never-ready" in now else 200, "")
        if self.path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [{"id": "mock"}]})
        if self.path == "/version" and "plain" not in now:
            return self.reply(200, {"version": "1.0"})
        if self.path == "/metrics" and "plain" not in now:
            return self.reply(200, "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n", "text/plain")
        return self.reply(404, {"error": {"message": "no such page"}})

    def do_OPTIONS(self):
        self.reply(404, "")

    def do_POST(self):
        global questions
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        now = faults()
        if self.path != "/v1/completions":
            return self.reply(404, {"error": {"message": "no such page"}})
        numbers = re.search(r"QUIZ (\d+) and (\d+)", request["prompt"])
        if "plain" in now and ("ignore_eos" in request or "return_token_ids" in request):
            return self.reply(400, {"error": {"message": "unknown field"}})
        if "nonsense" in now:
            return self.reply(200, "<html>it works</html>", "text/html")
        tokens = ["x "] * request["max_tokens"]
        if numbers:
            with lock:
                questions += 1
                number = questions
                with open(options.log, "a") as log:
                    log.write(numbers[0] + "\n")
            if now.get("dies") == number:
                os._exit(7)
            while faults().get("hangs") == number:
                time.sleep(0.02)
            total = int(numbers[1]) + int(numbers[2])
            if "wrong" in now and total % 2:
                total += 1
            tokens = ["so ", "it ", "is ", "#### ", str(total)]
            if now.get("broken") == number:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"choices\":")
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return None
        return self.answer(request, tokens, now)

    def answer(self, request, tokens, now):
        time.sleep(len(tokens) * options.delay_ms / 1e3)
        for library in libraries:
            library.generated(len(tokens))
        choice = {"index": 0, "text": "".join(tokens), "finish_reason": "stop"}
        if request.get("return_token_ids"):
            choice["token_ids"] = list(range(len(tokens)))
        usage = {"prompt_tokens": 9, "completion_tokens": len(tokens), "total_tokens": 9 + len(tokens)}
        if not request.get("stream"):
            return self.reply(200, {"id": "m", "choices": [choice], "usage": usage})
        events = [{"id": "m", "choices": [choice]}]
        if request.get("stream_options"):
            events.append({"id": "m", "choices": [], "usage": usage})
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return self.reply(200, text, "text/event-stream")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


start = faults()
if "no-start" in start:
    print("there is no such flag", file=sys.stderr)
    sys.exit(3)
with open(options.log + ".env", "a") as told:
    told.write(json.dumps({name: os.environ.get(name, "")
                           for name in ("LD_PRELOAD", "NVLLM_PROFILE_DIR", "NVLLM_PROFILE_START")}) + "\n")
if os.environ.get("NVLLM_PROFILE_DIR") and "no-cuda" not in start:
    libraries = [MockLibrary(os.environ["NVLLM_PROFILE_DIR"], os.getpid() + i, start.get("loses", 0))
                 for i in range(start.get("workers", 1))]
signal.signal(signal.SIGTERM, signal.SIG_IGN if "ignores-term" in start else lambda *_: os._exit(0))
if "child" in start:
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path(options.log + ".child").write_text(str(child.pid))
Server(("127.0.0.1", options.port), Handler).serve_forever()
