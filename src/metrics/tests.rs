use std::collections::BTreeSet;

use super::*;

#[test]
fn names_and_labels_follow_the_conventions_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in ALL {
        let (name, kind) = (metric.name(), metric.kind());
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            name.starts_with("dsnd_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        let base = name.trim_end_matches("_total");
        assert_eq!(base.ends_with("_seconds"), metric.unit() == Seconds, "{name}");
        assert_eq!(base.ends_with("_bytes"), metric.unit() == Bytes, "{name}");
        assert_eq!(metric.buckets().is_empty(), kind != "histogram", "{name} is a {kind}");
        assert!(metric.buckets().is_sorted(), "{name}");
        let help = metric.help();
        assert!(help.len() > 10 && !help.ends_with('.') && !help.contains('|'), "{name}: {help}");
    }
}

#[test]
fn no_label_can_take_more_than_a_few_values() {
    let mut series = 0;
    for metric in ALL {
        let mut combinations = 1;
        for label in metric.labels() {
            let values: BTreeSet<_> = label.values.iter().collect();
            assert_eq!(values.len(), label.values.len(), "{} {}", metric.name(), label.name);
            assert!(
                label.values.iter().all(|value| value.len() < 40 && !value.contains('@')),
                "{}",
                label.name
            );
            combinations *= values.len();
        }
        assert!(combinations <= 200, "{} has {combinations} time series", metric.name());
        series += combinations * (metric.buckets().len() + 1);
    }
    assert!(series < 1_000, "{series} time series in all");
}

#[test]
#[should_panic(expected = "is no value of the label reason")]
#[cfg(debug_assertions)]
fn a_value_that_is_not_in_the_list_is_a_fault_that_tests_find() {
    SUPPRESSIONS_ADDED.increment(["user@example.com"]);
}
