//! What the demo says and does, in order.

use std::path::Path;

/// A step: what is said, and the commands that show it. `@tenant` and `@file` stand for the demo's own.
pub(super) struct Step {
    pub(super) says: &'static str,
    pub(super) commands: &'static [&'static [&'static str]],
}

pub(super) fn opening(directory: &Path) -> String {
    format!(
        "A fleet of twelve thermostats over three weeks. Nobody declares anything before it is needed.\n\
         Everything lies in one directory; to type along:  export FINEO_DATA_DIR={}\n",
        directory.display()
    )
}

/// What is said at the end; `is_new` tells that there was nothing in the directory but what the demo put there.
pub(super) fn ending(directory: &Path, tenant: &str, is_new: bool) -> String {
    let end = match is_new {
        true => format!("rm -r {}      when you have seen enough\n", directory.display()),
        false => String::new(),
    };
    format!(
        "\n── What to type next\n\n\
         export FINEO_DATA_DIR={directory}\n\
         fineo sql --tenant {tenant}                      a shell: try \\d thermostat, Tab, and your own questions\n\
         fineo schema --tenant {tenant} discovered        what is sent and not declared yet\n\
         fineo schema --tenant {tenant} suggest           what Fineo would declare, and why\n\
         fineo schema --tenant {tenant} history           every change above, each can be undone\n\
         fineo ingest --tenant mine FILE              your own events: JSON or CSV, also .gz and .zst\n\
         {end}",
        directory = directory.display()
    )
}

/// The steps of the story.
pub(super) const STEPS: [Step; 7] = [
    Step {
        says: "Week one. Nothing is declared: events are taken in as they are, and can be asked at once.\n   \
                   An undeclared field is text, so a number is CAST.",
        commands: &[
            &["ingest", "--tenant", "@tenant", "@week1.ndjson"],
            &[
                "sql",
                "--tenant",
                "@tenant",
                "SELECT device, count(*) AS readings, round(avg(CAST(temp AS DOUBLE)), 2) AS mean FROM thermostat \
                     GROUP BY device ORDER BY device LIMIT 3",
            ],
        ],
    },
    Step {
        says: "A late declaration: `temp` is a double. Nothing stored is rewritten; all of week one is typed at once.",
        commands: &[
            &["schema", "--tenant", "@tenant", "field", "add", "thermostat", "temp", "double"],
            &["sql", "--tenant", "@tenant", "SELECT min(temp), max(temp), avg(temp) FROM thermostat"],
        ],
    },
    Step {
        says: "Week two. New firmware calls it `temperature`. One alias, and the old name and the new one answer for both weeks.",
        commands: &[
            &["ingest", "--tenant", "@tenant", "@week2.ndjson"],
            &["schema", "--tenant", "@tenant", "field", "alias", "thermostat", "temp", "temperature"],
            &[
                "sql",
                "--tenant",
                "@tenant",
                "SELECT date_trunc('week', timestamp) AS week, count(temp) AS by_old_name, count(temperature) AS by_new_name \
                     FROM thermostat GROUP BY week ORDER BY week",
            ],
        ],
    },
    Step {
        says: "One device sent a word instead of a number. Its events were not lost: what does not fit is a conflict,\n   \
                   NULL as a number, kept as text, counted.",
        commands: &[&["sql", "--tenant", "@tenant", "SELECT * FROM fineo_conflicts"]],
    },
    Step {
        says: "Week three. Another maker's devices: another metric name, and Fahrenheit. The metric is merged, the name is an\n   \
                   alias, the unit is stated: the answers are in Celsius.",
        commands: &[
            &["ingest", "--tenant", "@tenant", "@week3.ndjson"],
            &["schema", "--tenant", "@tenant", "metric", "merge", "tstat2", "thermostat"],
            &["schema", "--tenant", "@tenant", "field", "alias", "thermostat", "temp", "tempF"],
            &["schema", "--tenant", "@tenant", "field", "unit", "thermostat", "temp", "--unit", "C"],
            &[
                "schema",
                "--tenant",
                "@tenant",
                "field",
                "unit",
                "thermostat",
                "temp",
                "--unit",
                "F",
                "--alias",
                "tempF",
            ],
            &["sql", "--tenant", "@tenant", WEEKS],
        ],
    },
    Step {
        says: "Two devices write the time in their own way: 19/01/2026 00:00:11. Those events were rejected, and kept.",
        commands: &[&["errors", "--tenant", "@tenant", "--limit", "3"]],
    },
    Step {
        says: "Say how the time is written, and replay what was rejected. The errors are repaired, the rows are there, once.",
        commands: &[
            &["schema", "--tenant", "@tenant", "set", "--timestamp-formats", "%d/%m/%Y %H:%M:%S"],
            &["replay", "--tenant", "@tenant", "--stage", "raw", "--errors-only"],
            &["sql", "--tenant", "@tenant", WEEKS],
            &[
                "sql",
                "--tenant",
                "@tenant",
                "SELECT code, count(*) AS errors, count(repaired_at) AS repaired FROM errors.stream GROUP BY code",
            ],
        ],
    },
];

const WEEKS: &str = "SELECT date_trunc('week', timestamp) AS week, count(*) AS events, round(avg(temp), 2) AS celsius \
    FROM thermostat GROUP BY week ORDER BY week";
