//! Manual pages and completions, as packages ship them.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use super::{failed, status, text};
use crate::common::{Home, say};

/// The verbs that a `--help` lists, `help` aside.
fn verbs(home: &Home, arguments: &[&str]) -> Vec<String> {
    let output = home.run(&[arguments, &["--help"]].concat());
    let help = text(&output.stdout);
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_verb_has_a_manual_page() {
    let home = Home::new();
    let folder = home.path().join("share/man");
    let output = home.run(&["generate", "man", folder.to_str().unwrap()]);
    assert_eq!((status(&output), text(&output.stdout)), (0, ""), "{output:?}");
    let mut wanted = BTreeSet::from(["dsnd.1".to_owned()]);
    for verb in verbs(&home, &[]) {
        wanted.insert(format!("dsnd-{verb}.1"));
        wanted.extend(verbs(&home, &[&verb]).iter().map(|below| format!("dsnd-{verb}-{below}.1")));
    }
    assert!(wanted.contains("dsnd-serve.1") && wanted.contains("dsnd-bounces-show.1"), "{wanted:?}");
    let written: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(written, wanted);
    for name in written {
        let page = fs::read_to_string(folder.join(&name)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let home = Home::new();
    let file = home.file("file", b"");
    let output = home.run(&["generate", "man", file.to_str().unwrap()]);
    let line = failed(&output);
    assert!(line.starts_with(&format!("dsnd: cannot write manual pages to {}: ", file.display())), "{line}");
}

#[test]
fn completions_are_scripts_that_their_shells_can_read() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = home.run(&["generate", "completions", shell]);
        assert_eq!(status(&output), 0, "{output:?}");
        for word in ["suppressions", "return-path", "check-config"] {
            assert!(text(&output.stdout).contains(word), "{shell}: {word}");
        }
        let script = home.file(shell, &output.stdout);
        let checked = Command::new(shell).arg("-n").arg(script).stdin(Stdio::null()).output();
        let Ok(checked) = checked else {
            say(&format!("skipped: {shell} is not installed; its completions were not read"));
            continue;
        };
        assert!(checked.status.success() && checked.stderr.is_empty(), "{shell}: {checked:?}");
    }
    let output = home.run(&["generate", "completions", "nushell"]);
    assert_eq!(status(&output), 2);
}
