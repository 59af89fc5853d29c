//! The rules of a bucket's lifecycle: abandoned uploads end, and old segments move to a cold class where that is asked for.

use fineo_core::archive::{SegmentKind, Stage};

use crate::ColdAfter;

/// What abandoned uploads cost ends after a day, whoever abandoned them.
pub(super) const UPLOADS_END: &str = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <Rule><ID>fineo-uploads</ID><Filter><Prefix>_uploads/</Prefix></Filter><Status>Enabled</Status>\
    <Expiration><Days>1</Days></Expiration></Rule>\
    <Rule><ID>fineo-multipart</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
    </Rule></LifecycleConfiguration>";

/// The rule that moves what `stage` of the instance called `root` received. Errors stay: rows that are damaged are written again
/// from them.
fn rule(root: &str, folder: &str, stage: Stage, cold: &ColdAfter) -> String {
    let ColdAfter { days, class } = cold;
    let (id, received) = (id(root, stage), SegmentKind::Received.as_str());
    format!(
        "<Rule>{id}<Filter><Prefix>{folder}/{stage}/{received}/</Prefix></Filter><Status>Enabled</Status>\
         <Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition></Rule>"
    )
}

fn id(root: &str, stage: Stage) -> String {
    format!("<ID>fineo-cold-{root}-{stage}</ID>")
}

/// The configuration `there` with the rules that move segments of the instance called `root`, which lie in `folder`, and
/// without its former ones; none where it has them already.
pub(crate) fn with_cold(there: &str, root: &str, folder: &str, cold: &ColdAfter) -> Option<String> {
    let rules = || there.split("<Rule>").skip(1).filter_map(|rest| rest.split("</Rule>").next());
    let is_ours = |rule: &str| Stage::ALL.into_iter().any(|stage| rule.contains(&id(root, stage)));
    let is_as_asked = |rule: &str| {
        let wanted = [format!("<Days>{}</Days>", cold.days), format!("<StorageClass>{}</StorageClass>", cold.class)];
        rule.contains("<Status>Enabled</Status>") && wanted.iter().all(|wanted| rule.contains(wanted))
    };
    if rules().filter(|rule| is_ours(rule) && is_as_asked(rule)).count() == Stage::ALL.len() {
        return None;
    }
    let others = rules().filter(|rule| !is_ours(rule)).map(|rule| format!("<Rule>{rule}</Rule>"));
    let ours = Stage::ALL.into_iter().map(|stage| rule(root, folder, stage, cold));
    let rules: String = others.chain(ours).collect();
    Some(format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</LifecycleConfiguration>"
    ))
}

#[cfg(test)]
mod tests {
    //! Rules beside rules.

    use super::{UPLOADS_END, with_cold};
    use crate::ColdAfter;

    fn cold(days: u32, class: &str) -> ColdAfter {
        ColdAfter { days, class: class.to_owned() }
    }

    fn of_acme(there: &str, days: u32) -> Option<String> {
        with_cold(there, "acme", "acme/archive", &cold(days, "GLACIER"))
    }

    #[test]
    fn rules_of_others_stay_and_former_ones_of_ours_are_replaced() {
        let first = of_acme(UPLOADS_END, 90).unwrap();
        for rule in ["fineo-uploads", "fineo-multipart", "fineo-cold-acme-raw", "fineo-cold-acme-staged"] {
            assert_eq!(first.matches(&format!("<ID>{rule}</ID>")).count(), 1, "{first}");
        }
        assert!(first.contains("<Prefix>acme/archive/staged/received/</Prefix>"), "{first}");
        let later = of_acme(&first, 180).unwrap();
        assert_eq!((later.matches("<Days>180</Days>").count(), later.matches("<Days>90</Days>").count()), (2, 0));
        assert_eq!(later.matches("<Rule>").count(), 4);
        // Another instance in the same bucket has rules of its own.
        let both = with_cold(&later, "acme2", "acme2/archive", &cold(90, "DEEP_ARCHIVE")).unwrap();
        assert_eq!((both.matches("<Rule>").count(), both.matches("GLACIER").count()), (6, 2));
    }

    #[test]
    fn nothing_is_set_that_is_there() {
        let there = of_acme("", 90).unwrap();
        assert_eq!((there.matches("<Rule>").count(), of_acme(&there, 90)), (2, None));
        assert!(of_acme(&there.replace("Enabled", "Disabled"), 90).is_some());
        assert!(with_cold(&there, "acme", "acme/archive", &cold(90, "DEEP_ARCHIVE")).is_some());
    }
}
