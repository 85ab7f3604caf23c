"""What libnvllm_profile.so does in a process that uses CUDA, for a server that uses none: a socket that answers "start" and
"stop", and a folder for every profile, with kernels that follow from the tokens told to it."""
import json
import math
import os
import pathlib
import socket
import threading

PER_STEP, PER_REQUEST = {"gemm": 3, "norm": 2}, {"gemm": 1, "embed": 1}
MICROSECONDS = {"gemm": 40.0, "norm": 5.0, "embed": 8.0}


class MockLibrary:
    """One process with the library in it; `number` stands for its id. So many of its kernels get lost."""

    def __init__(self, root, number, lost=0):
        self.root, self.number, self.lost = pathlib.Path(root), number, lost
        self.runs, self.calls = False, {}
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.root / f"control-{number}.sock"))
        self.listener.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def generated(self, tokens):
        """A request was answered: the first of its tokens is the prefill's."""
        with self.lock:
            for counts, times in ((PER_STEP, tokens - 1), (PER_REQUEST, 1)):
                for kernel, count in counts.items():
                    self.calls[kernel] = self.calls.get(kernel, 0) + count * times

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            with client, client.makefile("rw") as file:
                file.write(json.dumps(self.answer(file.readline().strip())) + "\n")

    def answer(self, command):
        with self.lock:
            if command == "start" and not self.runs:
                self.runs, self.calls = True, {}
                return {"started": True}
            if command == "stop" and self.runs:
                self.runs = False
                return {"folder": str(self.write()), "kernel_calls": sum(self.calls.values())}
            return {"error": "not now"}

    def write(self):
        """The tables of a profile, in the form of bench::write_profile."""
        kept = dict(self.calls)
        if self.lost:
            kept["gemm"] -= self.lost
        folder = self.root / f"{self.number}-{len(list(self.root.iterdir()))}"
        folder.mkdir()
        rows = ["short_name,kind,layer,phase,shape,n_calls,"
                "mean_us,sd_us,min_us,p50_us,p95_us,max_us,log_mean,total_ms,bytes_model"]
        for kernel, count in kept.items():
            us = MICROSECONDS[kernel]
            rows.append(f"{kernel},kernel,none,decode,,{count},{us:.3f},0.000,{us:.3f},{us:.3f},{us:.3f},{us:.3f},"
                        f"{math.log(us):.6f},{count * us / 1e3:.3f},0")
        (folder / "kernels.csv").write_text("\n".join(rows) + "\n")
        (folder / "profile_metadata.json").write_text(json.dumps({"profiler": {"lost_kernels": self.lost}}))
        return folder
