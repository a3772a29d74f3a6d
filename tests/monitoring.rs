//! The dashboard and the alerts that are shipped ask for metrics that there are, and Prometheus' own tool takes them.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Home, hard_bounce, say};
use dsnd::metrics::{self, Described};
use regex::Regex;
use serde_json::Value;

const DASHBOARD: &str = "config/grafana/dsnd.json";
const RULES: &str = "config/prometheus/dsnd.rules.yml";

/// Labels that Prometheus itself puts on what it scrapes, and on a histogram's buckets.
const GIVEN: [&str; 3] = ["job", "instance", "le"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The metric of a name in an expression, where it is one of ours.
fn metric(name: &str) -> Option<&'static dyn Described> {
    let parts = ["_bucket", "_sum", "_count"];
    let of = |name: &str| metrics::ALL.iter().copied().find(|metric| metric.name() == name);
    let histogram = |part: &str| of(name.strip_suffix(part)?).filter(|metric| metric.kind() == "histogram");
    of(name).filter(|metric| metric.kind() != "histogram").or_else(|| parts.into_iter().find_map(histogram))
}

/// The names of our metrics in an expression; all of them exist, and so do the labels and the values it asks for.
fn check(expression: &str) -> BTreeSet<&'static str> {
    let name = Regex::new(r"\bdsnd_[a-z_]+").unwrap();
    let found: Vec<_> = name
        .find_iter(expression)
        .map(|found| metric(found.as_str()).unwrap_or_else(|| panic!("{} in {expression}", found.as_str())))
        .collect();
    assert!(!found.is_empty(), "no metric of ours in {expression}");
    let labels: Vec<_> = found.iter().flat_map(|metric| metric.labels()).collect();
    let known = |label: &str| GIVEN.contains(&label) || labels.iter().any(|known| known.name == label);
    for by in Regex::new(r"\bby \(([a-z_, ]+)\)").unwrap().captures_iter(expression) {
        for label in by[1].split(", ") {
            assert!(known(label), "{label} in {expression}");
        }
    }
    for selector in Regex::new(r#"([a-z_]+)=~?"([^"]*)""#).unwrap().captures_iter(expression) {
        assert!(known(&selector[1]), "{} in {expression}", &selector[1]);
        for value in selector[2].split('|').filter(|_| !GIVEN.contains(&&selector[1])) {
            let there =
                labels.iter().any(|label| label.name == &selector[1] && label.values.contains(&value));
            assert!(there, "{value} in {expression}");
        }
    }
    found.iter().map(|metric| metric.name()).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

#[test]
fn the_dashboard_shows_every_metric_and_none_that_there_is_not() {
    let dashboard = dashboard();
    let legend = Regex::new(r"\{\{([a-z]+)\}\}").unwrap();
    let mut shown = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(targets.is_empty(), panel["type"] == "row", "{panel}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            shown.extend(check(expression));
            assert!(expression.contains(r#"{job=~"$job",instance=~"$instance"}"#), "{expression}");
            assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{expression}");
            // A legend names labels that are left.
            for label in legend.captures_iter(target["legendFormat"].as_str().unwrap()) {
                assert!(expression.contains(&label[1]) || expression.starts_with("dsnd_"), "{target}");
            }
        }
    }
    let all: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), [&""; 0], "no panel shows these");
}

#[test]
fn the_dashboard_is_one_that_grafana_can_lay_out() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36 && dashboard["id"].is_null());
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&"dsnd".into(), &"dsnd".into()));
    let variables: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "job", "instance"], "whoever imports it chooses the data source");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "two panels in one place: {panel}");
            }
        }
        let sources = panel["targets"].as_array().into_iter().flatten().map(|target| &target["datasource"]);
        for source in sources.chain(panel.get("datasource")) {
            assert_eq!(source["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let rules = read(RULES);
    let expression = Regex::new(r"(?m)^ +expr: (.+)$").unwrap();
    let all: Vec<_> = expression.captures_iter(&rules).map(|found| found[1].to_owned()).collect();
    assert!(all.len() >= 10, "{all:?}");
    for expression in all {
        if expression != r#"up{job="dsnd"} == 0"# {
            check(&expression);
        }
    }
}

/// `None`, and a message, where it is not installed.
fn promtool() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|file| file.is_file());
    if found.is_none() {
        say("SKIPPED: what promtool says, since it is not installed (Debian: prometheus)");
    }
    found
}

#[test]
fn promtool_takes_the_alerts_the_queries_and_the_metrics() {
    let Some(promtool) = promtool() else { return };
    let home = Home::new();
    // What the dashboard asks for, with values in place of Grafana's variables.
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let asked =
        panels.filter_map(|panel| panel["targets"].as_array()).flatten().map(|target| &target["expr"]);
    let mut queries = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, expression) in asked.enumerate() {
        let filled = expression.to_string().replace("$__rate_interval", "5m").replace("$__range", "1h");
        queries += &format!("      - record: query:{number}\n        expr: {filled}\n");
    }
    let queries = home.file("queries.yml", queries.as_bytes());
    for rules in [file(RULES), queries] {
        let output = Command::new(&promtool).args(["check", "rules"]).arg(rules).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    let daemon = home.start();
    assert!(daemon.connect().send(&hard_bounce("one", "dead@example.net")).unwrap().starts_with("250 "));
    let text = daemon.http().get("/metrics").text();
    let mut lint = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{text}");
    daemon.stop();
}
