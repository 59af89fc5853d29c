//! Counts that CloudWatch reads out of the log: lines in its embedded metric format.

use fineo_core::Clock;
use fineo_ingest::Counters;
use serde_json::json;

/// The namespace of the metrics.
pub const NAMESPACE: &str = "Fineo";

/// How many events a stage did not pass on, as far as that was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// The tenants' own faults.
    pub malformed: u64,
    /// Ours.
    pub commit: u64,
    /// Records that are not ours, or gone.
    pub losses: u64,
}

impl Refused {
    /// What `counters` have counted so far.
    pub fn of(counters: &Counters) -> Self {
        let mut refused = Self { losses: counters.losses(), ..Self::default() };
        for counts in counters.all().values() {
            refused.malformed += counts.rejected_total();
            refused.commit += counts.failed;
        }
        refused
    }

    /// The line that tells CloudWatch of what came on top of `before`, for the instance `prefix`; none where nothing did.
    pub fn line(self, before: Self, prefix: &str, clock: &dyn Clock) -> Option<String> {
        if self == before {
            return None;
        }
        let metric = |name: &str| json!({ "Name": name, "Unit": "Count" });
        let line = json!({
            "_aws": {
                "Timestamp": clock.now().micros() / 1000,
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Prefix"]],
                    "Metrics": [metric("Malformed"), metric("Commit"), metric("Losses")],
                }],
            },
            "Prefix": prefix,
            "Malformed": self.malformed - before.malformed,
            "Commit": self.commit - before.commit,
            "Losses": self.losses - before.losses,
        });
        Some(line.to_string())
    }
}

#[cfg(test)]
mod tests {
    //! The line.

    use fineo_core::{ManualClock, Timestamp};

    use super::Refused;

    #[test]
    fn what_came_on_top_is_told_once() {
        let clock = ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000).unwrap());
        let before = Refused { malformed: 2, commit: 0, losses: 1 };
        let now = Refused { malformed: 5, commit: 1, losses: 1 };
        let line = now.line(before, "acme", &clock).unwrap();
        assert!(line.contains(r#""Timestamp":1700000000000"#), "{line}");
        assert!(line.ends_with(r#""Prefix":"acme","Malformed":3,"Commit":1,"Losses":0}"#), "{line}");
        assert_eq!(now.line(now, "acme", &clock), None);
    }
}
