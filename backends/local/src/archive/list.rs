//! Lists segments day by day, so that a listing of years needs the memory of a day.

use std::{
    io,
    path::{Path, PathBuf},
};

use fineo_core::{
    Result,
    archive::{SegmentInfo, SegmentName, SegmentQuery},
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use crate::{disk, failure};

/// The segments of `query` under `root`, in order of names.
pub(super) fn segments(root: PathBuf, query: SegmentQuery) -> BoxStream<'static, Result<SegmentInfo>> {
    let days = super::blocking({
        let root = root.clone();
        move || days(&root, &query).map_err(|source| failure::disk_error("list", &root, source))
    });
    stream::once(days)
        .flat_map(move |days| {
            let root = root.clone();
            let days = days.map_or_else(|error| vec![Err(error)], |days| days.into_iter().map(Ok).collect());
            stream::iter(days).then(move |day| {
                let root = root.clone();
                async move {
                    let day: String = day?;
                    super::blocking(move || of_day(&root, &day, &query)).await
                }
            })
        })
        .flat_map(|found| {
            stream::iter(found.map_or_else(|error| vec![Err(error)], |all| all.into_iter().map(Ok).collect()))
        })
        .scan(false, |is_over, item: Result<SegmentInfo>| {
            let was_over = std::mem::replace(is_over, item.is_err());
            std::future::ready((!was_over).then_some(item))
        })
        .boxed()
}

/// `stage/kind/yyyy/mm/dd`, in order; of a query that begins somewhere none that lies before.
fn days(root: &Path, query: &SegmentQuery) -> io::Result<Vec<String>> {
    let begin = query.begins_behind().unwrap_or_default();
    let mut days = vec![format!("{}/{}", query.stage, query.kind.as_str())];
    for _part in ["year", "month", "day"] {
        let mut finer = Vec::new();
        for folder in days {
            let names = disk::names(&root.join(&folder))?.into_iter().map(|name| format!("{folder}/{name}"));
            finer.extend(names.filter(|path| begin.get(..path.len()).is_none_or(|begin| begin <= &**path)));
        }
        days = finer;
    }
    Ok(days)
}

fn of_day(root: &Path, day: &str, query: &SegmentQuery) -> Result<Vec<SegmentInfo>> {
    let folder = root.join(day);
    let names = disk::names(&folder).map_err(|source| failure::disk_error("list", &folder, source))?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".avro")) {
        let path = folder.join(name);
        let name = SegmentName::from_path(&format!("{day}/{name}"))?;
        if !query.asks_for(&name) {
            continue;
        }
        let meta = path.metadata().map_err(|source| failure::disk_error("list", &path, source))?;
        found.push(SegmentInfo { name, bytes: meta.len() });
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
