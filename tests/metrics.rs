//! The metrics: what the README says of them, which values their labels may have, and what is shown.

mod common;

use std::fs;
use std::time::Duration;

use common::{Authority, Daemon, Home, OUR_ADDRESS, client_config, hard_bounce, wait_for};
use dsnd::classify::{Class, Decision};
use dsnd::metrics::{self, Described};
use dsnd::policy::Reason;
use dsnd::report::ReportKind;
use dsnd::returnpath::Trust;
use dsnd::store::{AuditOrigin, EventChange};
use tokio_rustls::rustls::version::TLS13;

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

#[test]
fn every_path_of_the_api_is_a_route_that_is_counted() {
    let routes = values(&metrics::HTTP_REQUESTS, "route");
    for path in dsnd::http::document().paths.paths.keys() {
        assert!(routes.contains(&path.as_str()), "{path} is missing in src/metrics.rs");
    }
}

/// The line of a metric with its labels, once it has this value.
fn counted(daemon: &Daemon, metric: &str, value: u64) {
    let line = format!("{metric} {value}");
    wait_for(&line, || daemon.http().get("/metrics").text().lines().any(|shown| shown == line).then_some(()));
}

#[test]
fn a_daemon_shows_every_metric_from_its_start_and_counts_what_happens() {
    let home = Home::new().with("LIMITS_TARPIT", "0");
    let daemon = home.start();
    let answer = daemon.http().get("/metrics");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let text = answer.text();
    for metric in metrics::ALL {
        let name = metric.name();
        assert!(text.contains(&format!("# TYPE {name} {}\n", metric.kind())), "{name}:\n{text}");
        let values = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', '_'])));
        let least = metric.labels().iter().map(|label| label.values.len()).product::<usize>();
        assert!(values.count() >= least, "{name}:\n{text}");
    }

    let mut client = daemon.connect();
    assert_eq!(client.command("NONSENSE").unwrap().code, 500);
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    assert_eq!(client.command("RCPT TO:<bounces@elsewhere.example>").unwrap().code, 550);
    assert_eq!(client.command(&format!("RCPT TO:<{OUR_ADDRESS}>")).unwrap().code, 250);
    assert_eq!(client.command("DATA").unwrap().code, 354);
    let bounce = hard_bounce("one", "somebody@nowhere.example");
    assert_eq!(client.finish(&bounce).unwrap().code, 250);
    assert!(client.send(&bounce).unwrap().starts_with("250 2.6.0 Duplicate"));
    for (metric, value) in [
        ("dsnd_smtp_connections", 1),
        ("dsnd_smtp_connections_accepted_total", 1),
        ("dsnd_smtp_commands_total{verb=\"EHLO\"}", 1),
        ("dsnd_smtp_commands_total{verb=\"RCPT\"}", 3),
        ("dsnd_smtp_commands_total{verb=\"other\"}", 1),
        ("dsnd_smtp_rejections_total{reason=\"not_recognized\"}", 1),
        ("dsnd_smtp_rejections_total{reason=\"relaying_denied\"}", 1),
        ("dsnd_smtp_rejections_total{reason=\"return_path\"}", 0),
        ("dsnd_messages_total{outcome=\"committed\"}", 1),
        ("dsnd_messages_total{outcome=\"duplicate\"}", 1),
        ("dsnd_message_bytes_total", 2 * bounce.len() as u64),
        ("dsnd_message_seconds_count", 2),
        ("dsnd_reports_total{kind=\"dsn\",trust=\"unsigned\"}", 1),
        ("dsnd_recipients_total{class=\"recipient_unknown\",decision=\"suppress\"}", 1),
        ("dsnd_events_total{change=\"suppressed\"}", 1),
        ("dsnd_store_commits_total{outcome=\"committed\"}", 2),
        ("dsnd_store_commits_total{outcome=\"failed\"}", 0),
        ("dsnd_store_queue_jobs", 0),
    ] {
        // Background work commits as well.
        if metric.starts_with("dsnd_store_commits_total{outcome=\"committed") {
            let text = daemon.http().get("/metrics").text();
            let line = text.lines().find_map(|line| line.strip_prefix(metric)).unwrap();
            assert!(line.trim().parse::<u64>().unwrap() >= value, "{metric}{line}");
        } else {
            counted(&daemon, metric, value);
        }
    }
    let _ = client.command("QUIT");
    drop(client);
    counted(&daemon, "dsnd_smtp_connections", 0);
    counted(&daemon, "dsnd_smtp_connections_ended_total{how=\"closed\"}", 1);

    // What another program does to the list is counted as well.
    assert!(home.run(&["suppressions", "add", "by-hand@nowhere.example"]).status.success());
    counted(&daemon, "dsnd_list_changes_total{origin=\"cli\",action=\"added\"}", 1);
    counted(&daemon, "dsnd_list_changes_total{origin=\"bounce\",action=\"added\"}", 1);
    counted(&daemon, "dsnd_suppressions_added_total{reason=\"manual\"}", 1);
    counted(&daemon, "dsnd_suppressions_added_total{reason=\"hard\"}", 1);

    let text = daemon.http().get("/metrics").text();
    for private in ["nowhere", "elsewhere.example", "bounces.example.com", "127.0.0.1"] {
        assert!(!text.contains(private), "{private}:\n{text}");
    }
    let requests = "dsnd_http_requests_total{route=\"/metrics\",status=\"2xx\"}";
    assert!(text.lines().any(|line| line.starts_with(requests) && !line.ends_with(" 0")), "{text}");
    assert_eq!(daemon.http().get("/no/such/path").status, 404);
    counted(&daemon, "dsnd_http_requests_total{route=\"other\",status=\"4xx\"}", 1);
    daemon.stop();
}

#[test]
fn handshakes_and_connections_that_are_not_served_are_counted() {
    let home = Home::new();
    let authority = Authority::new();
    let (certificate, key) = authority.issue().write(home.path());
    let home = home
        .with("TLS_CERTIFICATE", &certificate.display().to_string())
        .with("TLS_KEY", &key.display().to_string())
        .with("SMTP_MAX_CONNECTIONS", "1");
    let daemon = home.start();
    let client = daemon.connect();
    let (mut client, _) = client.starttls(&client_config(&authority, &[&TLS13])).unwrap();
    counted(&daemon, "dsnd_tls_handshakes_total{outcome=\"TLSv1.3\"}", 1);
    let refused = std::net::TcpStream::connect(daemon.address()).unwrap();
    counted(&daemon, "dsnd_smtp_connections_refused_total{reason=\"too_many\"}", 1);
    drop(refused);
    assert_eq!(client.command("NOOP").unwrap().code, 250);
    drop(client);
    counted(&daemon, "dsnd_smtp_connections_ended_total{how=\"client_left\"}", 1);

    let mut client = daemon.connect();
    assert_eq!(client.command("STARTTLS").unwrap().code, 220);
    client.write(b"this is no handshake at all\r\n").unwrap();
    counted(&daemon, "dsnd_tls_handshakes_total{outcome=\"failed\"}", 1);
    daemon.stop();
}
