//! The API keeps what its description says, whatever it is sent: schemathesis makes requests from the description,
//! right ones and wrong ones, and compares every answer with it.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::{Home, hard_bounce, say};

#[test]
fn every_answer_is_as_described() {
    let Some(program) = crate::installed("schemathesis/bin/schemathesis") else {
        return say("skipped: schemathesis is not installed (pip install schemathesis)");
    };
    let home = Home::new();
    let keys = home.path().join("keys");
    assert!(home.run(&["return-path", "keygen", "--output", keys.to_str().unwrap()]).status.success());
    let home = home.with("RETURN_PATH_KEYS_FILE", keys.to_str().unwrap());
    // The names that the examples use.
    let file = home.file("t.toml", b"[streams]\nnewsletter = 1\n");
    let token = home.run(&["tokens", "create", "--name", "contract", "--scope", "write"]);
    let token = String::from_utf8(token.stdout).unwrap();
    let daemon = crate::common::Daemon::start(home.command(&["serve", "--config", file.to_str().unwrap()]));
    let http = daemon.http().token(token.trim());
    for number in 0..5 {
        daemon.connect().send(&hard_bounce(&number.to_string(), &format!("u{number}@example.org"))).unwrap();
    }
    assert_eq!(http.put("/v1/suppressions/user%40example.com", &json!({})).status, 201);

    let configured = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/schemathesis");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(configured.join("schemathesis.toml"))
        .args(["run", "--header", &format!("Authorization: Bearer {}", token.trim())])
        .arg(format!("http://{}/openapi.json", http.address()))
        .current_dir(home.path())
        .env("PYTHONPATH", &configured)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let log = daemon.stop();
    assert!(!log.contains("\"ERROR\""), "{log}");
}
