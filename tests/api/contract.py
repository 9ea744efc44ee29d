#!/usr/bin/env python3
"""Holds a running host against its own OpenAPI document, with schemathesis and all its checks.

It builds nothing: it starts the program that is there, on a ledger in a folder of its own, and fails on any finding, and where
fewer cases ran than were wanted. It asks over TCP, with the token of the user.

    python3 tests/api/contract.py [--program PATH] [--cases N] [--seed N]
"""

import argparse
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

# It ends the host, which is what nobody could be asked after.
LEFT_OUT = ["/api/v1/scheduler/shutdown"]

COMPONENT = ROOT / "tests" / "guests" / "bench-empty.wasm"

MANIFEST = """
version: 1
jobs:
  minutely: { plugin: ./empty.wasm, every: 1m, labels: { team: finance }, description: at each minute }
  nightly: { plugin: ./empty.wasm, cron: "30 2 * * mon-fri", timezone: Europe/Berlin }
  paused: { plugin: ./empty.wasm, every: 1h, paused: true }
  after: { plugin: ./empty.wasm, after: minutely }
"""


def tools():
    """Installs what is missing, from the list beside this file."""
    folder = TARGET / "tools" / "schemathesis"
    wanted, installed = HERE / "requirements.txt", folder / "installed"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
        subprocess.run(pip, check=True)
        installed.write_text(wanted.read_text())
    return folder / "bin" / "schemathesis"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Host:
    """A host with a few jobs, in a folder of its own."""

    def __init__(self, program, folder):
        self.folder, self.port = folder, free_port()
        manifest = MANIFEST
        rate = "rate: { requests: 100000, burst: 100000, failures: 100000 }"
        manifest += f'api: {{ listen: "127.0.0.1:{self.port}", {rate} }}\n'
        shutil.copy(COMPONENT, folder / "empty.wasm")
        (folder / "clockjack.yaml").write_text(manifest)
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
        self.log = open(folder / "log", "w+", encoding="utf-8")
        words = [program, "up", "-f", "clockjack.yaml", "--ledger", "sqlite:state.db", "--socket", folder / "socket"]
        self.process = subprocess.Popen(words, cwd=folder, env=environment, stdout=self.log, stderr=self.log)

    def wait(self):
        """Until it answers; the address, and the token."""
        for _ in range(600):
            if self.process.poll() is not None:
                break
            token = self.folder / "state" / "clockjack" / "token"
            with socket.socket() as probe:
                is_up = probe.connect_ex(("127.0.0.1", self.port)) == 0
            if is_up and token.exists():
                return f"http://127.0.0.1:{self.port}", token.read_text().strip()
            time.sleep(0.1)
        sys.exit(f"the host does not answer:\n{(self.folder / 'log').read_text(encoding='utf-8')}")

    def end(self):
        is_alive = self.process.poll() is None
        self.process.terminate()
        self.process.wait(60)
        return is_alive


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--program", default=TARGET / "debug" / "clockjack", type=pathlib.Path)
    asked.add_argument("--cases", default=10_000, type=int, help="fewest cases in all")
    asked.add_argument("--examples", default=300, type=int, help="most cases of each operation in each phase")
    asked.add_argument("--seed", default=1, type=int)
    asked.add_argument("rest", nargs="*", help="further words for schemathesis, after `--`")
    asked = asked.parse_args()
    schemathesis = tools()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        host = Host(asked.program.resolve(), folder)
        url, token = host.wait()
        words = [schemathesis, "--config-file", HERE / "schemathesis.toml", "run", f"{url}/api/v1/openapi.json", "--checks", "all", "--phases"]
        # With one worker the same seed asks the same; Python would not ask faster with two.
        words += ["examples,coverage,fuzzing,stateful", "--max-examples", str(asked.examples), "--seed", str(asked.seed)]
        words += ["--workers", "1", "--no-color", "--request-timeout", "30", "--continue-on-failure"]
        words += ["--generation-database", "none", "--suppress-health-check", "all", "--wait-for-schema", "30"]
        words += [word for path in LEFT_OUT for word in ("--exclude-path", path)]
        words += ["--header", f"Authorization: Bearer {token}"]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
        environment["PYTHONUNBUFFERED"] = "1"
        environment["CONTRACT_COMPONENT"] = str(COMPONENT)
        began = time.monotonic()
        # Not from the folder of this file, whose name is that of the package.
        run = subprocess.Popen(words + asked.rest, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        said = []
        for line in run.stdout:
            print(line, end="", flush=True)
            said.append(line)
        status = run.wait()
        is_alive = host.end()
        cases = re.findall(r"(\d[\d,]*) generated", "".join(said))
        n_cases = sum(int(count.replace(",", "")) for count in cases[-1:])
        print(f"api: {n_cases} cases in {time.monotonic() - began:.0f} s, status {status}")
        if not is_alive:
            print((folder / "log").read_text(encoding="utf-8")[-4000:])
            sys.exit("the host has ended by itself")
        if n_cases < asked.cases:
            sys.exit(f"only {n_cases} cases ran; {asked.cases} were wanted")
        sys.exit(status)


if __name__ == "__main__":
    main()
