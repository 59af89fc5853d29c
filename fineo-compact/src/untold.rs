//! News that were found and are not told yet: noted before the commit that has them, let go once they were told.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::report::{MetricReport, NameConflict, NewName, TenantReport};

/// So many names are noted at most. More are told too, unless the process ends right after the commit that has them.
const NAMES_MAX: usize = 10_000;

/// What of a metric is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct News {
    /// The canonical id.
    pub(crate) id: String,
    metric: Option<String>,
    #[serde(default)]
    pub(crate) new_names: Vec<NewName>,
    #[serde(default)]
    conflicts: Vec<NameConflict>,
}

/// What is to be told, metric by metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Untold(Vec<News>);

impl Untold {
    /// Whether everything was told.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By metric.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &News> {
        self.0.iter()
    }

    /// Notes what is news in `report`, with what is noted of the metric already.
    pub(crate) fn note(&mut self, report: &MetricReport) {
        let others = self.0.iter().filter(|news| news.id != report.id);
        let room = NAMES_MAX.saturating_sub(others.map(|news| news.new_names.len() + news.conflicts.len()).sum());
        let (id, metric) = (report.id.clone(), report.metric.clone());
        let mut news = News { id, metric, new_names: report.new_names.clone(), conflicts: report.conflicts.clone() };
        if let Some(at) = self.0.iter().position(|earlier| earlier.id == report.id) {
            let earlier = self.0.remove(at);
            add(&mut news.new_names, earlier.new_names, |new| &new.name);
            add(&mut news.conflicts, earlier.conflicts, |conflict| &conflict.name);
        }
        news.new_names.truncate(room);
        news.conflicts.truncate(room - news.new_names.len());
        if !news.new_names.is_empty() || !news.conflicts.is_empty() {
            self.0.push(news);
        }
    }

    /// `report` with everything that is to be told.
    pub(crate) fn with(&self, report: &TenantReport) -> TenantReport {
        let mut report = report.clone();
        for news in &self.0 {
            let of_metric = match report.metrics.iter().position(|found| found.id == news.id) {
                Some(at) => &mut report.metrics[at],
                None => {
                    let (id, metric) = (news.id.clone(), news.metric.clone());
                    report.metrics.push(MetricReport { id, metric, ..MetricReport::default() });
                    report.metrics.last_mut().expect("it was just added")
                }
            };
            add(&mut of_metric.new_names, news.new_names.clone(), |new| &new.name);
            add(&mut of_metric.conflicts, news.conflicts.clone(), |conflict| &conflict.name);
        }
        report.metrics.sort_by(|one, other| one.id.cmp(&other.id));
        report
    }
}

/// Adds those of `earlier` whose names `found` does not have.
fn add<T>(found: &mut Vec<T>, earlier: Vec<T>, name: impl Fn(&T) -> &Arc<str>) {
    let known: BTreeSet<Arc<str>> = found.iter().map(|one| Arc::clone(name(one))).collect();
    found.extend(earlier.into_iter().filter(|one| !known.contains(name(one))));
}
