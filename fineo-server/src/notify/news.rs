//! What a notice of news says: as many names as fit, and how many more there are.

use fineo::compact::MetricReport;
use serde::Serialize;
use serde_json::{Value, json};

/// A webhook gets so many bytes of names at most: one run may find thousands of each metric.
const NAMES_BYTES_MAX: usize = 12 << 10;

/// The keys and marks of a metric.
const FRAME_BYTES: usize = 60;

/// What was found, metric by metric. `more` counts what was left out.
pub(super) fn detail_of(news: &[&MetricReport]) -> Value {
    let mut room = Room { left: NAMES_BYTES_MAX, more: 0 };
    let mut metrics = Vec::new();
    for found in news {
        room.frame(found);
        let (new_names, conflicts) = (room.of(&found.new_names), room.of(&found.conflicts));
        if !new_names.is_empty() || !conflicts.is_empty() {
            let (id, name) = (&found.id, &found.metric);
            metrics.push(json!({ "id": id, "metric": name, "new_names": new_names, "conflicts": conflicts }));
        }
    }
    match room.more {
        0 => json!({ "metrics": metrics }),
        more => json!({ "metrics": metrics, "more": more }),
    }
}

struct Room {
    left: usize,
    more: usize,
}

impl Room {
    /// Counts what stands around the names of a metric.
    fn frame(&mut self, found: &MetricReport) {
        let bytes = FRAME_BYTES + found.id.len() + found.metric.as_ref().map_or(0, String::len);
        self.left = self.left.saturating_sub(bytes);
    }

    /// The first of `all` that there is room for.
    fn of<T: Serialize>(&mut self, all: &[T]) -> Vec<Value> {
        let mut taken = Vec::new();
        for one in all {
            let value = json!(one);
            let bytes = value.to_string().len();
            if bytes > self.left {
                break;
            }
            self.left -= bytes;
            taken.push(value);
        }
        self.more += all.len() - taken.len();
        taken
    }
}
