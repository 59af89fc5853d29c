//! Open tables: which columnar files a metric has, and which positions they cover.
