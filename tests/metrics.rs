//! The metrics: what the README says of them, which values their labels may have, and what is shown.

use std::fs;
use std::time::Duration;

use dsnd::classify::{Class, Decision};
use dsnd::metrics::{self, Described};
use dsnd::policy::Reason;
use dsnd::report::ReportKind;
use dsnd::returnpath::Trust;
use dsnd::store::{AuditOrigin, EventChange};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// The values that a label of a metric may have.
fn values(metric: &dyn Described, label: &str) -> Vec<&'static str> {
    let found = metric.labels().iter().find(|found| found.name == label);
    found.unwrap_or_else(|| panic!("{} has no label {label}", metric.name())).values.to_vec()
}

#[test]
fn the_readme_has_the_table_of_all_metrics() {
    let readme = fs::read_to_string(README).unwrap();
    let (before, rest) = readme.split_once("| metric | type |").expect("the README has the table");
    let (_, after) = rest.split_once("\n\n").expect("and something behind it");
    let right = format!("{before}{}\n{after}", metrics::table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(README, &right).unwrap();
    } else {
        assert!(
            readme == right,
            "write it anew: UPDATE_GOLDEN=1 cargo test --test metrics\n{}",
            metrics::table()
        );
    }
}

#[test]
fn labels_have_the_words_that_the_program_uses_everywhere_else() {
    let classes: Vec<_> = Class::ALL.iter().map(|class| class.as_str()).collect();
    assert_eq!(values(&metrics::RECIPIENTS, "class"), classes);
    let decisions: Vec<_> = Decision::ALL.iter().map(|decision| decision.as_str()).collect();
    assert_eq!(values(&metrics::RECIPIENTS, "decision"), decisions);

    let kinds = [
        ReportKind::Dsn,
        ReportKind::Feedback,
        ReportKind::TextBounce,
        ReportKind::AutoReply,
        ReportKind::Mdn,
        ReportKind::Unrecognized,
    ];
    assert_eq!(values(&metrics::REPORTS, "kind"), kinds.map(ReportKind::as_str));
    for trust in [Trust::Proven, Trust::TokenOnly, Trust::Unsigned] {
        assert!(values(&metrics::REPORTS, "trust").contains(&trust.as_str()), "{trust:?}");
    }
    for reason in [Reason::Hard, Reason::Soft, Reason::Complaint, Reason::Manual] {
        assert!(values(&metrics::SUPPRESSIONS_ADDED, "reason").contains(&reason.as_str()), "{reason:?}");
    }
    let changes = [
        EventChange::Suppressed,
        EventChange::Counted,
        EventChange::Seen,
        EventChange::Cleared,
        EventChange::Quarantined,
        EventChange::Held,
        EventChange::Discarded,
        EventChange::None,
    ];
    for change in changes {
        assert!(values(&metrics::EVENTS, "change").contains(&change.as_str()), "{change:?}");
    }
    let origins = [
        AuditOrigin::Bounce,
        AuditOrigin::Replay,
        AuditOrigin::Cli,
        AuditOrigin::Import,
        AuditOrigin::Expiry,
        AuditOrigin::Undo,
        AuditOrigin::Quarantine,
        AuditOrigin::Hold,
    ];
    for origin in origins {
        assert!(values(&metrics::LIST_CHANGES, "origin").contains(&origin.as_str()), "{origin:?}");
    }
}

#[test]
fn whatever_is_recorded_stands_at_zero_before_and_is_counted_where_it_belongs() {
    metrics::install().unwrap();
    metrics::install().unwrap(); // once more changes nothing
    let shows = |line: &str| metrics::render().lines().any(|shown| shown == line);
    for metric in metrics::ALL {
        let name = metric.name();
        let text = metrics::render();
        assert!(text.contains(&format!("# TYPE {name} {}\n", metric.kind())), "{name}:\n{text}");
        assert!(text.contains(&format!("# HELP {name} {}\n", metric.help())), "{name}:\n{text}");
    }
    assert!(
        shows(&format!("dsnd_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))),
        "{}",
        metrics::render()
    );

    assert!(
        shows("dsnd_http_requests_total{route=\"/v1/bounces/{id}\",status=\"5xx\"} 0"),
        "{}",
        metrics::render()
    );
    metrics::http_request("/v1/bounces/{id}", 503, Duration::from_millis(3));
    assert!(
        shows("dsnd_http_requests_total{route=\"/v1/bounces/{id}\",status=\"5xx\"} 1"),
        "{}",
        metrics::render()
    );
    assert!(
        shows("dsnd_http_requests_total{route=\"/v1/bounces\",status=\"5xx\"} 0"),
        "{}",
        metrics::render()
    );
    assert!(shows("dsnd_http_request_seconds_bucket{le=\"0.0025\"} 0"), "{}", metrics::render());
    assert!(shows("dsnd_http_request_seconds_bucket{le=\"0.005\"} 1"), "{}", metrics::render());

    metrics::RECIPIENTS.add(["delivered", "ignore"], 7);
    assert!(
        shows("dsnd_recipients_total{class=\"delivered\",decision=\"ignore\"} 7"),
        "{}",
        metrics::render()
    );

    let held = metrics::LOOKUP_CONNECTIONS.hold([]);
    assert!(shows("dsnd_lookup_connections 1"), "{}", metrics::render());
    drop(held);
    assert!(shows("dsnd_lookup_connections 0"), "{}", metrics::render());
    metrics::upkeep();
    assert!(shows("dsnd_http_request_seconds_count 1"), "{}", metrics::render());
}
