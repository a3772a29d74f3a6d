//! `dsnd explain` on files that hold several messages.

use std::fs;

use assert_cmd::Command;
use serde_json::Value;

const BOUNCE: &str = "From: MAILER-DAEMON@mx.example\nX-Failed-Recipients: ida@plants.example\nSubject: failure notice\n\n\
                      Sorry, no plant of that name.\nFrom now on write to somebody else.\n";

fn explained(file: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages");
    fs::write(&path, file).unwrap();
    let run = Command::cargo_bin("dsnd").unwrap().args(["explain", "--json"]).arg(&path).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|one| (text(&one["source"]).replace(&path.display().to_string(), "FILE"), text(&one["kind"])))
        .collect()
}

#[test]
fn every_message_of_an_mbox_is_explained_on_its_own() {
    let mbox = format!(
        "From a@x.example Tue Nov 17 09:00:00 2026\n{BOUNCE}\nFrom b@x.example Tue Nov 17 09:01:00 2026\n\
         From: ida@plants.example\nSubject: Hello\n\nHow are you?\n\nFrom c@x.example Tue Nov 17 09:02:00 2026\n{BOUNCE}"
    );
    let expected = [("FILE", "text_bounce"), ("FILE#2", "unrecognized"), ("FILE#3", "text_bounce")];
    let got = explained(&mbox);
    assert_eq!(got.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_of_one_message_is_called_what_it_is() {
    for file in [BOUNCE.to_owned(), format!("From a@x.example Tue Nov 17 09:00:00 2026\n{BOUNCE}")] {
        assert_eq!(explained(&file), [("FILE".to_owned(), "text_bounce".to_owned())]);
    }
}
