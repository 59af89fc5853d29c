#!/usr/bin/env bash
# sqlline: lists, describes and asks over pgjdbc.
set -euo pipefail
commands=$(mktemp)
trap 'rm -f "$commands"' EXIT
cat > "$commands" <<END
!connect $FINEO_JDBC_URL acme $FINEO_TOKEN org.postgresql.Driver
!tables
!columns thermostat
SELECT count(*) AS n FROM thermostat WHERE temp > 22.5;
!quit
END
answers=$(java -cp "$1" sqlline.SqlLine --outputformat=csv --silent=false < "$commands" 2>&1)
printf '%s\n' "$answers" | sed "s/$FINEO_TOKEN/TOKEN/g"
grep -q "'public','thermostat','TABLE'" <<< "$answers"
grep -q "'thermostat','temp','8','float8'" <<< "$answers"
grep -q "^'305'" <<< "$answers" || grep -Eq "^'[1-9][0-9]*'$" <<< "$answers"
