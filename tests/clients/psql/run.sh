#!/usr/bin/env bash
# psql: asks, lists, describes, completes.
set -euo pipefail
ask() { psql "$FINEO_PG_URL" --no-psqlrc -v ON_ERROR_STOP=1 -X -At -c "$1"; }
[ "$(ask 'SELECT count(*) FROM thermostat')" = 2000 ]
ask '\dt' | grep -q '^public|thermostat|table|acme$'
ask '\d thermostat' | grep -q '^temp|double precision'
ask '\d' | grep -q '^public|thermostat|table'
ask '\dn' | grep -q '^public|'
[ "$(ask '\l' | cut -d'|' -f1)" = fineo ]
ask '\du' | grep -q '^acme|'
# What completion asks after "SELECT * FROM th<TAB>".
ask "SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c WHERE c.relkind IN ('r','v') AND substring(pg_catalog.quote_ident(c.relname),1,2)='th' AND pg_catalog.pg_table_is_visible(c.oid)" | grep -q '^thermostat$'
(ask "SELECT tmp FROM thermostat" 2>&1 || true) | grep -q "HINT:.*temp"
[ "$(ask "SELECT count(*) FROM thermostat WHERE \"on\" = 'true'")" -gt 0 ]
