"""Runs the smoke script of every client against a released program and says what became of each.

python run_clients.py --fineo PROGRAM -> {"clients": {"psql": "ok (1 s)", ...}} on stdout
"""

import argparse
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("--fineo", required=True)
a = p.parse_args()
env = dict(os.environ, FINEO=os.path.abspath(a.fineo))
run = subprocess.run([os.path.join(ROOT, "scripts", "clients")], env=env, stdout=subprocess.PIPE, text=True)
said = re.findall(r"^(\w+) +(ok|ignored|FAILED)(.*)$", run.stdout, re.MULTILINE)
if not said:
    sys.exit(f"scripts/clients said nothing of any client: {run.stdout[-400:]}")
json.dump({"clients": {name: word + rest for name, word, rest in said}}, sys.stdout)
