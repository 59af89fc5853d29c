"""What a run stands on: the peers' Python, the programs, the workloads, and jobs that may fail without taking others along."""

import json
import os
import signal
import subprocess
import time
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def say(text: str) -> None:
    print(text, flush=True)


def last_words(text: str, limit: int = 400) -> str:
    return text.strip()[-limit:] or "no reason given"


class Machine:
    """The folder of one run, its programs, and why what is missing is missing."""

    def __init__(self, work: str, seed: int, job_seconds: float):
        self.work, self.seed, self.job_seconds = work, seed, job_seconds
        self.results = os.path.join(work, "r")
        self.missing: dict = {}
        self.python = self.fleetgen = self.limits = self.fineo = self.driver = ""
        os.makedirs(self.results, exist_ok=True)
        for f in os.listdir(self.results):  # figures of another run are no figures of this one
            os.remove(os.path.join(self.results, f))

    def environment(self, home: str) -> None:
        """A Python with the pinned peers; a peer that cannot be installed is noted, the others run."""
        self.python = os.path.join(home, "bin", "python")
        if not os.path.exists(self.python):
            say(f"python environment: {home}")
            venv.create(home, with_pip=True)
        with open(os.path.join(HERE, "requirements.txt")) as f:
            wanted = [l.strip() for l in f if l.strip() and not l.startswith("#")]
        freeze = [self.python, "-m", "pip", "freeze"]
        have = subprocess.run(freeze, capture_output=True, text=True).stdout.lower().split()
        absent = [w for w in wanted if w.lower() not in have]
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if absent and subprocess.run([*pip, *absent]).returncode != 0:
            for w in absent:
                run = subprocess.run([*pip, w], capture_output=True, text=True)
                if run.returncode != 0:
                    self.missing[w.split("==")[0]] = "could not be installed: " + last_words(run.stderr, 200)

    def build(self, name: str, folder: str, program: str, *extra: str) -> str:
        """Builds a program in release and says where it is; one that cannot be built is noted under `name`."""
        say(f"build {os.path.relpath(folder, ROOT)}")
        command = ["cargo", "build", "--release", "--quiet", *extra]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if run.returncode != 0:
            self.missing[name] = "could not be built: " + last_words(run.stderr, 800)
            say(f"  {name}: {self.missing[name]}")
            return ""
        meta = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
        said = subprocess.run(meta, cwd=folder, capture_output=True, text=True, check=True).stdout
        return os.path.join(json.loads(said)["target_directory"], "release", program)

    def generate(self, name: str, config: str, events: int) -> str:
        """The same config, seed and count give the same bytes, so a file that is there is not made again."""
        out, stamp = os.path.join(self.work, name + ".ndjson"), os.path.join(self.work, name + ".made")
        with open(config) as f:
            key = f"{events} {self.seed} {f.read()}"
        if os.path.exists(out) and os.path.exists(stamp):
            with open(stamp) as f:
                if f.read() == key:
                    return out
        say(f"generate {name}: {events:,} events")
        stats = os.path.join(self.work, name + ".stats.json")
        command = [self.fleetgen, "--config", config, "--events", str(events), "--seed", str(self.seed)]
        subprocess.run([*command, "--out", out, "--stats", stats], check=True)
        with open(stamp, "w") as f:
            f.write(key)
        return out

    def job(self, name: str, command: list, peer: str, stdout: bool = False, times: int = 1) -> None:
        """One subject, once; r/<name>.json holds what it says, or why it says nothing. None outlasts its time, or so
        many times of it."""
        out = os.path.join(self.results, name + ".json")
        failed = self.missing.get(peer) or self.attempt(name, command, out if stdout else "", self.job_seconds * times)
        if not failed and is_json(out):
            return
        failed = failed or "it left no figures"
        say(f"  {name}: {failed}")
        with open(out, "w") as f:
            json.dump({"peer": peer, "missing": failed}, f, indent=1)

    def attempt(self, name: str, command: list, stdout: str, seconds: float) -> str:
        """Runs a command with all that it starts; why it failed, or nothing."""
        began, log = time.monotonic(), os.path.join(self.work, name + ".log")
        env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        with open(log, "w") as err, open(stdout or os.devnull, "w") as said:
            try:
                run = subprocess.Popen(
                    command, stdout=said if stdout else err, stderr=err, env=env, start_new_session=True
                )
            except OSError as e:
                return str(e)
            try:
                code = run.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return f"it took longer than {seconds:.0f} s"
            except BaseException:  # nobody's job goes on when the run is given up
                os.killpg(run.pid, signal.SIGKILL)
                raise
        say(f"run {name}: {time.monotonic() - began:.0f} s")
        if code == 0:
            return ""
        with open(log) as f:
            return f"exit {code}: " + last_words(f.read())


def is_json(path: str) -> bool:
    try:
        with open(path) as f:
            json.load(f)
    except (OSError, ValueError):
        return False
    return True
