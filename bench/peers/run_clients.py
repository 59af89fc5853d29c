"""Runs the smoke script of every client against a released program and says what became of each.

python run_clients.py --fineo PROGRAM [--superset] -> {"clients": {"psql": "ok (1 s)", ...}} on stdout
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
p.add_argument("--superset", action="store_true")
a = p.parse_args()
env = dict(os.environ, FINEO=os.path.abspath(a.fineo))
script, text = os.path.join(ROOT, "scripts", "clients"), ""
for names in [[], ["superset"]] if a.superset else [[]]:
    text += subprocess.run([script, *names], env=env, stdout=subprocess.PIPE, text=True).stdout
said = re.findall(r"^(\w+) +(ok|ignored|FAILED)(.*)$", text, re.MULTILINE)
if not said:
    sys.exit(f"scripts/clients said nothing of any client: {text[-400:]}")
json.dump({"clients": {name: word + rest for name, word, rest in said}}, sys.stdout)
