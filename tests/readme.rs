//! The README tells the truth: its tables, commands and outputs are compared with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::str::FromStr;

use dsnd::classify::evidence::{Evidence, EvidenceField, Source};
use dsnd::classify::facts::phase;
use dsnd::classify::rules::RuleFile;
use dsnd::classify::{Class, Classifier, Facts, Severity};
use regex::Regex;
use toml::{Table, Value};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn readme() -> String {
    read("README.md")
}

fn manifest() -> Table {
    Table::from_str(&read("Cargo.toml")).unwrap()
}

/// The cells of every table row under a heading and before the next one, the ticks taken off the first.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let (_, section) = readme.split_once(&format!("# {heading}\n")).unwrap();
    let section = section.split("\n##").next().unwrap();
    let cells = |line: &str| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
    for row in &mut rows {
        row[0] = row[0].trim_matches('`').to_owned();
    }
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}

/// The fenced blocks in a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let fence = Regex::new(&format!("(?s)```{language}\n(.*?)\n```")).unwrap();
    fence.captures_iter(&readme()).map(|found| found[1].to_owned()).collect()
}

fn names(table: &Value) -> BTreeSet<String> {
    table.as_table().unwrap().keys().cloned().collect()
}

/// What the program says on standard output; its exit status does not matter.
fn said(arguments: &[&str]) -> String {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("dsnd");
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that a `--help` lists.
fn verbs(help: &str) -> BTreeSet<String> {
    let Some((_, commands)) = help.split_once("\nCommands:\n") else { return BTreeSet::new() };
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_first_two_commands_run_and_test_it_and_ci_runs_the_same_tests() {
    let commands: Vec<String> = blocks("sh").into_iter().take(2).collect();
    assert_eq!(commands, ["cargo run --release -- serve", "cargo test --locked"]);
    let ci = read(".ci/run");
    let tests: Vec<&str> =
        ci.lines().filter(|line| line.contains("cargo test") || line.contains("nextest")).collect();
    assert_eq!(tests, [commands[1].as_str()]);
}

#[test]
fn it_names_the_rust_version_that_is_needed() {
    let version = manifest()["package"]["rust-version"].as_str().unwrap().to_owned();
    assert!(readme().contains(&format!("You need Rust {version} or newer")));
}

#[test]
fn every_configuration_key_is_there_with_its_default() {
    let text = read("config/dsnd.toml");
    let sections = Table::from_str(&text).unwrap();
    let mut keys = BTreeMap::new();
    for (section, content) in &sections {
        for (key, value) in content.as_table().unwrap() {
            keys.insert(format!("{section}.{key}"), format!("`{}`", serde_json::to_string(value).unwrap()));
        }
    }
    assert!(keys.len() >= 30, "the keys are in config/dsnd.toml");
    let told: BTreeMap<_, _> =
        rows("Configuration").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(told, keys);
    // And where a key is mentioned elsewhere, it exists.
    let sections: Vec<&str> = sections.keys().map(String::as_str).collect();
    let mention = Regex::new(&format!(r"`((?:{})\.[a-z_]+)", sections.join("|"))).unwrap();
    for found in mention.captures_iter(&readme()) {
        assert!(keys.contains_key(&found[1]), "{}", &found[1]);
    }
}

#[test]
fn every_key_of_a_listener_is_there_with_its_default() {
    // In the file it is a comment: uncommented, it is one more listener.
    let file = read("config/dsnd.toml");
    let (_, example) = file.split_once("# [[listener]]\n").unwrap();
    let (example, _) = example.split_once("\n[").unwrap();
    let key = Regex::new(r"(?m)^# ([a-z_]+) = (.+)$").unwrap();
    let keys: BTreeMap<_, _> =
        key.captures_iter(example).map(|key| (key[1].to_owned(), key[2].to_owned())).collect();
    let rows = rows("Listeners");
    let told: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            (row[0].strip_prefix("listener.").unwrap().to_owned(), row[1].trim_matches('`').to_owned())
        })
        .map(|(key, default)| if key == "address" { (key, keys["address"].clone()) } else { (key, default) })
        .collect();
    assert_eq!(told, keys);
    // And they are the keys there are: the example is a listener, and one with no more than an address is the same.
    let of_unix = |text: String| text.replace("\"0.0.0.0:25\"", "\"unix:/run/x\"");
    let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<String>();
    let none = || std::iter::empty::<(String, String)>();
    let parse = |text: &str| {
        let text = of_unix(format!("[[listener]]\n{text}"));
        format!("{:?}", dsnd::config::Config::parse("t", &text, none()).unwrap())
    };
    assert_eq!(parse(&lines), parse(&format!("address = {}\n", keys["address"])));
}

#[test]
fn every_key_of_a_webhook_is_there_with_its_default() {
    let file = read("config/dsnd.toml");
    let (_, example) = file.split_once("# [[webhook]]\n").unwrap();
    let (example, _) = example.split_once("\n[").unwrap();
    let key = Regex::new(r"(?m)^# ([a-z_]+) = (.+)$").unwrap();
    let mut keys: BTreeMap<_, _> =
        key.captures_iter(example).map(|key| (key[1].to_owned(), key[2].to_owned())).collect();
    let told: BTreeMap<_, _> = rows("Webhooks")
        .iter()
        .filter_map(|row| {
            Some((row[0].strip_prefix("webhook.")?.to_owned(), row[1].trim_matches('`').to_owned()))
        })
        .map(|(key, default)| if default == "–" { (key.clone(), keys[&key].clone()) } else { (key, default) })
        .collect();
    assert_eq!(told, keys);
    // And they are the keys there are: the example is a webhook, and one with no more than it must have is the same.
    keys.insert("secret".to_owned(), "\"0123456789abcdef\"".to_owned());
    let parse = |keys: &BTreeMap<String, String>| {
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect::<String>();
        let config = dsnd::config::Config::parse("t", &format!("[[webhook]]\n{lines}"), std::iter::empty());
        format!("{:?}", config.unwrap())
    };
    let whole = parse(&keys);
    keys.retain(|key, _| ["name", "url", "secret"].contains(&key.as_str()));
    assert_eq!(parse(&keys), whole);
}

#[test]
fn the_built_in_defaults_are_those_of_the_file() {
    let none = || std::iter::empty::<(String, String)>();
    let built_in = dsnd::config::Config::parse("built-in", "", none()).unwrap();
    let file = dsnd::config::Config::parse("dsnd.toml", &read("config/dsnd.toml"), none()).unwrap();
    assert_eq!(format!("{file:?}"), format!("{built_in:?}"));
}

#[test]
fn every_dependency_is_there_with_its_reason() {
    let manifest = manifest();
    let mut wanted = names(&manifest["dependencies"]);
    wanted.extend(names(&manifest["dev-dependencies"]));
    let told: BTreeSet<_> = rows("Dependencies").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(told, wanted);
}

#[test]
fn every_class_is_there_with_its_decisions() {
    let rows: BTreeMap<_, _> =
        rows("Classes and terms").into_iter().map(|row| (row[0].clone(), row)).collect();
    let all: BTreeSet<_> = Class::ALL.iter().map(|class| class.as_str().to_owned()).collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), all);
    for class in Class::ALL {
        let row = &rows[class.as_str()];
        let mut permanent = class.decision(Severity::Permanent).to_string();
        if class.recheckable() {
            permanent.push_str(", recheckable");
        }
        assert_eq!(row[2], permanent, "{class}, permanent");
        assert_eq!(row[3], class.decision(Severity::Transient).as_str(), "{class}, transient");
    }
}

#[test]
fn every_kind_is_there_and_can_be_asked_for() {
    let told: BTreeSet<_> = rows("How decisions are made").into_iter().map(|row| row[0].clone()).collect();
    let help = said(&["bounces", "list", "--help"]);
    let (_, kinds) = help.split_once("possible values: dsn").unwrap();
    let kinds = format!("dsn{}", kinds.split_once(']').unwrap().0);
    assert_eq!(told, kinds.split(',').map(|kind| kind.trim().to_owned()).collect());
}

#[test]
fn the_verbs_and_options_it_shows_exist_and_none_is_missing() {
    let readme = readme();
    let all = verbs(&said(&["--help"]));
    assert!(all.contains("serve"));
    let mut shown = BTreeSet::new();
    // A command: "dsnd " and words, at the start of a line, in ticks, or behind a path.
    let command = Regex::new(r#"(?m)(?:^|`|release/|-u dsnd |bin/)dsnd ([a-z][^`"\n|]*)"#).unwrap();
    let word = Regex::new("^[a-z-]+$").unwrap();
    for found in command.captures_iter(&readme) {
        let words: Vec<&str> = found[1].split_whitespace().collect();
        let [verb, rest @ ..] = &words[..] else { continue };
        if !all.contains(*verb) {
            // Prose at the start of a line, not a command: it goes on as a sentence does.
            assert!(!found[0].starts_with('`') && !found[0].contains('/'), "dsnd {}", &found[1]);
            continue;
        }
        let mut arguments = vec![*verb];
        let below = verbs(&said(&[verb, "--help"]));
        if let Some(sub) = rest.first().filter(|sub| word.is_match(sub) && !below.is_empty()) {
            assert!(below.contains(*sub), "dsnd {verb} {sub}");
            arguments.push(sub);
        }
        shown.insert(arguments.join(" "));
        arguments.push("--help");
        let help = said(&arguments);
        for option in rest.iter().filter(|word| word.starts_with("--")) {
            let option = option.split('=').next().unwrap();
            assert!(help.contains(option), "dsnd {} has no {option}", &found[1]);
        }
    }
    for verb in &all {
        let below = verbs(&said(&[verb, "--help"]));
        if verb == "help" || below.is_empty() {
            assert!(shown.contains(verb), "dsnd {verb} is not shown");
            continue;
        }
        for sub in below.iter().filter(|sub| *sub != "help") {
            assert!(shown.contains(&format!("{verb} {sub}")), "dsnd {verb} {sub} is not shown");
        }
    }
}

#[test]
fn options_in_the_table_of_commands_exist() {
    let option = Regex::new("`(--[a-z-]+)").unwrap();
    for row in rows("Asking it") {
        let arguments: Vec<&str> =
            row[0].split(' ').skip(1).take_while(|word| !word.starts_with(char::is_uppercase)).collect();
        let help = said(&[&arguments[..], &["--help"]].concat());
        for found in option.captures_iter(&row[1]) {
            assert!(help.contains(&found[1]), "dsnd {} has no {}", arguments.join(" "), &found[1]);
        }
    }
}

#[test]
fn the_sample_is_explained_as_shown() {
    let said = said(&["explain", "--short", "tests/data/sample-bounce.eml"]);
    assert!(said.contains("decision         suppress"));
    assert!(blocks("text").iter().any(|block| block.trim_end() == said.trim_end()), "dsnd says now:\n{said}");
}

#[test]
fn the_reply_line_is_explained_as_shown() {
    let command = Regex::new("(?m)^(?:target/release/)?dsnd status \"(.+)\"$").unwrap();
    let line = command.captures(&readme()).unwrap()[1].to_owned();
    let said = said(&["status", &line]);
    let conclusion = said.split("\n\n").next().unwrap();
    assert!(conclusion.contains("class            sender_blocked"));
    assert!(blocks("text").iter().any(|block| block == conclusion), "dsnd says now:\n{conclusion}");
}

#[test]
fn the_facts_are_those_it_names() {
    let text = "host mx.example.com[198.51.100.7] said: 554 5.7.1 Client host [192.0.2.44] blocked using \
                zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.44 (in reply to RCPT TO command)";
    let evidence = Evidence { sources: vec![Source::new(EvidenceField::Text, text)], ..Evidence::default() };
    let facts = Facts {
        retry_after: Some(300),
        new_address: Some("new@example.com".to_owned()),
        ..Facts::gather(&evidence, Class::SenderBlocked, phase(&evidence))
    };
    let facts = serde_json::to_value(facts).unwrap();
    let told: BTreeSet<_> = rows("Facts").into_iter().map(|row| row[0].clone()).collect();
    for fact in facts.as_object().unwrap().keys() {
        assert!(told.contains(fact), "{fact}");
    }
    assert_eq!(facts.as_object().unwrap().len(), 8);
}

#[test]
fn the_wrong_configuration_is_answered_as_shown() {
    let text = "[smtp]\nlisen = [\"x\"]\nidle_timeout = \"5\"\n[policy]\nsoft_count = 40\n";
    let error = dsnd::config::Config::parse("bad.toml", text, std::iter::empty()).unwrap_err();
    let shown: Vec<String> = error.to_string().lines().map(|line| format!("dsnd: {line}")).collect();
    assert_eq!(shown.len(), 3);
    assert!(blocks("text").contains(&shown.join("\n")), "dsnd says now:\n{}", shown.join("\n"));
}

#[test]
fn the_configurations_it_shows_are_fine() {
    let shown: Vec<_> = blocks("toml").into_iter().filter(|text| !text.contains("[[rule]]")).collect();
    assert_eq!(shown.len(), 4);
    for text in shown {
        let config = dsnd::config::Config::parse("README.md", &text, std::iter::empty()).unwrap();
        assert_eq!(
            config.unsigned_trust,
            dsnd::returnpath::UnsignedTrust::default(),
            "the one for the internet believes nobody"
        );
    }
}

#[test]
fn the_rule_it_shows_decides() {
    let shown: Vec<_> = blocks("toml").into_iter().filter(|text| text.contains("[[rule]]")).collect();
    let [text] = &shown[..] else { panic!("one rule file: {shown:?}") };
    let file = RuleFile { name: "README.md".to_owned(), text: text.clone() };
    let classifier = Classifier::with_rules(&[file]).unwrap();
    let rule = &Table::from_str(text).unwrap()["rule"][0];
    let line = rule["phrases"].as_table().unwrap().values().next().unwrap().as_str().unwrap();
    let evidence = |host: &str| Evidence {
        sources: vec![Source::new(EvidenceField::DiagnosticCode, line)],
        hosts: vec![host.to_owned()],
        ..Evidence::default()
    };
    let host = rule["hosts"][0].as_str().unwrap();
    assert_eq!(classifier.decide(&evidence(&format!("mx1.{host}"))).rule, rule["id"].as_str().unwrap());
    assert_ne!(classifier.decide(&evidence("elsewhere.example")).rule, rule["id"].as_str().unwrap());
    // And its table has the keys that rules have: one more is refused by name, with those there are.
    let wrong = RuleFile { name: "x".to_owned(), text: text.replacen("[[rule]]", "[[rule]]\nno_key = 1", 1) };
    let error = Classifier::with_rules(&[wrong]).unwrap_err().to_string();
    let (_, keys) = error.split_once("expected one of ").unwrap();
    let keys: BTreeSet<_> = keys.split(", ").map(|key| key.trim().trim_matches('`').to_owned()).collect();
    let told: BTreeSet<_> = rows("Rules of your own").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(told, keys);
}

#[test]
fn files_it_names_exist() {
    let path = Regex::new(r"`((?:src|tests|config|\.ci)/[A-Za-z0-9_./-]*)`").unwrap();
    let mut seen = 0;
    for found in path.captures_iter(&readme()) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&found[1]).exists(), "{}", &found[1]);
        seen += 1;
    }
    assert!(seen > 3);
}

#[test]
fn every_dependency_is_used() {
    let manifest = manifest();
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    folders.push(folders[0].with_file_name("tests"));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("rs") => files.push(fs::read_to_string(path).unwrap()),
                _ => {}
            }
        }
    }
    for name in names(&manifest["dependencies"]).union(&names(&manifest["dev-dependencies"])) {
        let named = Regex::new(&format!(r"\b{}(::|!)", name.replace('-', "_"))).unwrap();
        assert!(files.iter().any(|file| named.is_match(file)), "{name} is used nowhere");
    }
}
