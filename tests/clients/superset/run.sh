#!/usr/bin/env bash
# Apache Superset: starts one of its own, and drives it as its pages do. Takes the folder of its programs, and one to work in.
set -euo pipefail
programs=$1
export SUPERSET_HOME=$2 SUPERSET_CONFIG_PATH=$PWD/tests/clients/superset/superset_config.py FLASK_APP=superset
mkdir -p "$SUPERSET_HOME"
rm -f "$SUPERSET_HOME/superset.db"
"$programs/superset" db upgrade
"$programs/superset" fab create-admin --username admin --firstname a --lastname b --email a@example.com --password admin
"$programs/superset" init
port=$("$programs/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$programs/superset" run --host 127.0.0.1 --port "$port" --with-threads &
server=$!
trap 'kill $server; wait $server || true' EXIT
"$programs/python" tests/clients/superset/run.py "http://127.0.0.1:$port"
