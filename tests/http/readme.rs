//! What the README shows works, as it stands there.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{DSND, Home, say};

#[test]
fn the_requests_that_the_readme_shows_are_answered() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return say("skipped: curl is not installed");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## HTTP API\n").expect("the section");
    let script =
        section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("its commands");
    let home = Home::new();
    let daemon = home.start();
    let script = script.replace("127.0.0.1:8025", &daemon.http().address().to_string());
    let script = script.replace("@tests/", &format!("@{}/tests/", root.display()));
    let script = format!(
        "set -eu\ndsnd() {{ '{DSND}' \"$@\"; }}\ncurl() {{ command curl -sS --fail-with-body \"$@\"; echo; }}\n{script}"
    );
    let output = home.wrapped(&["bash", "-c", &script], &[]).output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("asked by phone") && said.contains("recipient_unknown") && said.ends_with("ready\n\n"),
        "{said}"
    );
}
