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
    let prefix = format!("{}/{}", query.stage, query.kind.as_str());
    let days = super::blocking({
        let (root, prefix) = (root.clone(), prefix.clone());
        move || days(&root.join(&prefix)).map_err(|source| failure::disk_error("list", &root, source))
    });
    stream::once(days)
        .flat_map(move |days| {
            let (root, prefix) = (root.clone(), prefix.clone());
            let days = days.map_or_else(|error| vec![Err(error)], |days| days.into_iter().map(Ok).collect());
            stream::iter(days).then(move |day| {
                let (root, prefix) = (root.clone(), prefix.clone());
                async move {
                    let day: String = day?;
                    super::blocking(move || of_day(&root, &format!("{prefix}/{day}"))).await
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

/// `yyyy/mm/dd`, in order.
fn days(folder: &Path) -> io::Result<Vec<String>> {
    let mut days = Vec::new();
    for year in disk::names(folder)? {
        for month in disk::names(&folder.join(&year))? {
            for day in disk::names(&folder.join(&year).join(&month))? {
                days.push(format!("{year}/{month}/{day}"));
            }
        }
    }
    Ok(days)
}

fn of_day(root: &Path, day: &str) -> Result<Vec<SegmentInfo>> {
    let folder = root.join(day);
    let names = disk::names(&folder).map_err(|source| failure::disk_error("list", &folder, source))?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".avro")) {
        let path = folder.join(name);
        let name = SegmentName::from_path(&format!("{day}/{name}"))?;
        let meta = path.metadata().map_err(|source| failure::disk_error("list", &path, source))?;
        found.push(SegmentInfo { name, bytes: meta.len() });
    }
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
