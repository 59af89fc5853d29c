//! A tenant's metrics and fields by name, for listing and for completion.

#[cfg(test)]
pub(crate) use fineo_server::http::resource::FieldView as FieldEntry;
pub(crate) use fineo_server::http::resource::MetricView as MetricEntry;

/// What a tenant has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// In order of creation.
    pub(crate) metrics: Vec<MetricEntry>,
}

impl Catalog {
    /// The metric with this name or alias: exact, else the only one that differs in case alone.
    pub(crate) fn metric(&self, name: &str) -> Option<&MetricEntry> {
        let exact = self.metrics.iter().find(|metric| metric.names().any(|known| known == name));
        exact.or_else(|| {
            let is_like = |metric: &&MetricEntry| metric.names().any(|known| known.eq_ignore_ascii_case(name));
            let mut alike = self.metrics.iter().filter(is_like);
            alike.next().filter(|_| alike.next().is_none())
        })
    }
}
