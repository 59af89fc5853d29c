#!/usr/bin/env bash
# pgcli: what it lists and asks.
set -euo pipefail
answers=$(printf '\\dt\n\\d thermostat\nSELECT count(*) FROM thermostat;\n\\q\n' | PAGER=cat "$FINEO_VENV/bin/pgcli" "$FINEO_PG_URL" --less-chatty 2>&1)
printf '%s\n' "$answers"
grep -q 'public | thermostat | table' <<<"$answers"
grep -q 'temp *| double precision' <<<"$answers"
grep -q '| 2000 ' <<<"$answers"
"$FINEO_VENV/bin/python" tests/clients/pgcli/complete.py
