//! Clients that are generated from `/openapi.json`: every generator takes it without a complaint, and what comes of it
//! works.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::{Daemon, Home, hard_bounce, say};
use crate::installed;

/// The description, in a file.
fn described(home: &Home, daemon: &Daemon) -> std::path::PathBuf {
    home.file("openapi.json", &daemon.http().get("/openapi.json").body)
}

/// Runs a program, which finds what was installed with it.
fn run(program: &Path, arguments: &[&str], home: &Home) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    Command::new(program)
        .args(arguments)
        .current_dir(home.path())
        .env("PATH", path)
        .output()
        .expect("the program runs")
}

/// All that was said.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_operation_has_a_name_of_its_own_and_nothing_speaks_of_the_inside() {
    let document = dsnd::http::document();
    let json = serde_json::to_value(&document).unwrap();
    let mut names = Vec::new();
    let all = json["paths"].as_object().unwrap().iter().chain(json["webhooks"].as_object().unwrap());
    for (path, item) in all {
        for (method, operation) in item.as_object().unwrap() {
            let name =
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has a name"));
            assert!(
                name.len() > 6 && name.bytes().all(|octet| octet.is_ascii_alphabetic()),
                "{method} {path}: {name}"
            );
            names.push(name);
        }
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    assert!(count > 15, "{names:?}");
    let text = json.to_string();
    for inside in ["::", "[`", "`None`", "`Some`", ".rs`", ".md`", "whoever"] {
        assert!(!text.contains(inside), "{inside}");
    }
}

#[test]
fn it_is_valid() {
    let Some(program) = installed("openapi/bin/openapi-spec-validator") else {
        return say("skipped: openapi-spec-validator is not installed (pip install openapi-spec-validator)");
    };
    let home = Home::new();
    let daemon = home.start();
    let file = described(&home, &daemon);
    let output = run(&program, &[file.to_str().unwrap()], &home);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn types_of_typescript_are_made_of_it() {
    let Some(program) = installed("openapi-typescript/node_modules/.bin/openapi-typescript") else {
        return say(
            "skipped: openapi-typescript is not installed (npm install openapi-typescript typescript)",
        );
    };
    let home = Home::new();
    let daemon = home.start();
    let file = described(&home, &daemon);
    let output = run(&program, &[file.to_str().unwrap(), "--output", "dsnd.ts"], &home);
    let said = said(&output).to_lowercase();
    assert!(output.status.success() && !said.contains("warn") && !said.contains("error"), "{said}");
    let types = std::fs::read_to_string(home.path().join("dsnd.ts")).unwrap();
    for name in ["checkSuppressions:", "SuppressionAdded:", "onSuppressionAdded:"] {
        assert!(types.contains(name), "{name} in\n{types}");
    }
}

#[test]
fn a_client_in_python_checks_adds_imports_reads_events_and_explains() {
    let Some(program) = installed("openapi/bin/openapi-python-client") else {
        return say("skipped: openapi-python-client is not installed (pip install openapi-python-client)");
    };
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let file = described(&home, &daemon);
    let arguments =
        ["generate", "--path", file.to_str().unwrap(), "--output-path", "dsnd_client", "--meta", "none"];
    let output = run(&program, &arguments, &home);
    let complaints = said(&output).to_lowercase();
    assert!(
        output.status.success() && !complaints.contains("warning") && !complaints.contains("error"),
        "{complaints}"
    );

    daemon.connect().send(&hard_bounce("1", "dead@example.org")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/generated/client.py");
    let message = home.file("bounce.eml", &hard_bounce("2", "gone@example.org"));
    let output = Command::new(program.with_file_name("python3"))
        .arg(script)
        .args([&format!("http://{}", http.address()), message.to_str().unwrap()])
        .env("DSND_TOKEN", http.secret())
        .env("PYTHONPATH", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).trim(), "done");
    let mut listed: Vec<String> = home
        .json(&["suppressions", "list", "--json"])
        .iter()
        .map(|entry| entry["address"].as_str().unwrap().to_owned())
        .collect();
    listed.sort();
    assert_eq!(listed, ["ada@example.org", "bert@example.org", "dead@example.org"]);
}
