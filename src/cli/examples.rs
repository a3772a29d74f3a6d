//! An example for every command, which its `--help` shows; and where a word belongs that stands in the wrong place.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::Arguments;

/// Examples, by the command that they are of.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "dsnd return-path mint --stream newsletter user@example.com",
            "dsnd suppressions check user@example.com",
            "dsnd bounces list --since 1d",
        ],
    ),
    ("serve", &["dsnd serve --config /etc/dsnd/dsnd.toml"]),
    ("check-config", &["dsnd check-config --config /etc/dsnd/dsnd.toml"]),
    ("explain", &["dsnd explain bounce.eml", "dsnd explain --json - < bounce.eml"]),
    ("status", &["dsnd status 5.7.26", "dsnd status '550 5.1.1 User unknown'"]),
    ("replay", &["dsnd replay --dry-run /var/mail/bounces", "dsnd replay ~/Maildir"]),
    ("quarantine", &["dsnd quarantine list", "dsnd quarantine approve --domain example.com"]),
    ("quarantine list", &["dsnd quarantine list --domain example.com", "dsnd quarantine list --until 3d"]),
    (
        "quarantine approve",
        &["dsnd quarantine approve 17", "dsnd quarantine approve --peer 192.0.2.0/24 --dry-run"],
    ),
    ("quarantine discard", &["dsnd quarantine discard 17", "dsnd quarantine discard --until 30d --yes"]),
    ("ingest", &["dsnd ingest --help"]),
    (
        "suppressions",
        &["dsnd suppressions check user@example.com", "dsnd suppressions list --domain example.com"],
    ),
    (
        "suppressions check",
        &["dsnd suppressions check user@example.com", "dsnd suppressions check --json - < addresses"],
    ),
    ("suppressions show", &["dsnd suppressions show user@example.com"]),
    (
        "suppressions list",
        &[
            "dsnd suppressions list --since 1d --class recipient_unknown",
            "dsnd suppressions list --json > list.ndjson",
        ],
    ),
    ("suppressions add", &["dsnd suppressions add --days 30 --note 'asked by phone' user@example.com"]),
    (
        "suppressions remove",
        &[
            "dsnd suppressions remove user@example.com",
            "dsnd suppressions remove --remote-mta mx.example.com --since 2h --dry-run",
        ],
    ),
    (
        "suppressions import",
        &["dsnd suppressions import --dry-run list.csv", "dsnd suppressions import list.csv"],
    ),
    ("suppressions export", &["dsnd suppressions export > list.csv"]),
    (
        "return-path",
        &["dsnd return-path keygen --output /etc/dsnd/keys", "dsnd return-path mint user@example.com"],
    ),
    ("return-path keygen", &["dsnd return-path keygen --output /etc/dsnd/keys"]),
    (
        "return-path mint",
        &[
            "dsnd return-path mint --stream newsletter user@example.com",
            "dsnd return-path mint - < addresses",
        ],
    ),
    (
        "return-path verify",
        &["dsnd return-path verify --recipient user@example.com b1x2y3@bounces.example.com"],
    ),
    ("holds", &["dsnd holds list", "dsnd holds show 3"]),
    ("holds list", &["dsnd holds list --all"]),
    ("holds show", &["dsnd holds show 3"]),
    ("holds release", &["dsnd holds release 3 --dry-run", "dsnd holds release 3"]),
    ("holds discard", &["dsnd holds discard 3"]),
    ("events", &["dsnd events list", "dsnd events webhooks"]),
    ("events list", &["dsnd events list --since 1h --type suppression.added"]),
    ("events webhooks", &["dsnd events webhooks"]),
    ("events test", &["dsnd events test --endpoint crm"]),
    ("events dead", &["dsnd events dead --endpoint crm"]),
    ("events replay", &["dsnd events replay --dead --endpoint crm"]),
    ("bounces", &["dsnd bounces list --since 1d", "dsnd bounces show 42"]),
    (
        "bounces list",
        &["dsnd bounces list --since 1d --domain example.com", "dsnd bounces list --listed-ip 192.0.2.44"],
    ),
    ("bounces show", &["dsnd bounces show 42", "dsnd bounces show 42 --raw > bounce.eml"]),
    ("reclassify", &["dsnd reclassify --dry-run"]),
    ("erase", &["dsnd erase --dry-run user@example.com", "dsnd erase user@example.com"]),
    ("backup", &["dsnd backup /var/backups/dsnd.db"]),
    ("store", &["dsnd store keygen --output /etc/dsnd/hash.key"]),
    ("store keygen", &["dsnd store keygen --output /etc/dsnd/hash.key"]),
    ("store hash", &["dsnd store hash"]),
    ("stats", &["dsnd stats --by week --since 12w", "dsnd stats --since 14d --until 7d"]),
    ("rules", &["dsnd rules test '550 5.7.1 Blocked using zen.spamhaus.org'", "dsnd rules unknown"]),
    ("rules list", &["dsnd rules list --class recipient_unknown"]),
    ("rules show", &["dsnd rules show text.blocklist"]),
    ("rules test", &["dsnd rules test '550 5.7.1 Blocked using zen.spamhaus.org'"]),
    ("rules unknown", &["dsnd rules unknown --since 30d --limit 10"]),
    ("tokens", &["dsnd tokens create --name crm --scope write", "dsnd tokens list"]),
    ("tokens create", &["dsnd tokens create --name crm --scope write --expires 90d"]),
    ("tokens list", &["dsnd tokens list"]),
    ("tokens revoke", &["dsnd tokens revoke crm"]),
    ("generate", &["dsnd generate completions bash > /etc/bash_completion.d/dsnd"]),
    ("generate man", &["dsnd generate man /usr/share/man/man1"]),
    ("generate completions", &["dsnd generate completions bash > /etc/bash_completion.d/dsnd"]),
];

/// The whole command line, with its examples.
pub(super) fn command() -> Command {
    with_examples(Arguments::command(), "")
}

fn with_examples(mut command: Command, path: &str) -> Command {
    if let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == path) {
        let heading = if examples.len() == 1 { "Example" } else { "Examples" };
        command = command.after_help(format!("{heading}:\n  {}", examples.join("\n  ")));
    }
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let below = format!("{path} {name}");
        command.mut_subcommand(name, |command| with_examples(command, below.trim_start()))
    })
}

/// Where there is a command of the name that was not known in its place: what to write instead.
pub(super) fn elsewhere(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let mut paths = Vec::new();
    named(&Arguments::command(), word, "dsnd", &mut paths);
    // What is asked for most comes first.
    paths.sort_by_key(|path| {
        let first = ["dsnd suppressions", "dsnd bounces", "dsnd quarantine"];
        first.iter().position(|begin| path.starts_with(begin)).unwrap_or(first.len())
    });
    if paths.is_empty() {
        return None;
    }
    let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    Some(format!("there is no `{word}` here; did you mean {}?", paths.join(" or ")))
}

fn named(command: &Command, word: &str, path: &str, found: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let path = format!("{path} {}", below.get_name());
        if below.get_name() == word {
            found.push(path.clone());
        }
        named(below, word, &path, found);
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    /// Words as a shell takes them, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.into_iter().take_while(|word| word != "<" && word != ">").collect()
    }

    fn walk(command: &mut Command, path: &str) {
        let help = command.render_long_help().to_string();
        let (_, examples) =
            help.split_once("Example").unwrap_or_else(|| panic!("{path} has no example: {help}"));
        let begin = format!("dsnd {path}");
        let lines: Vec<&str> =
            examples.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.starts_with(begin.trim())),
            "{path}: {lines:?}"
        );
        for line in lines.into_iter().filter(|line| !line.ends_with("--help")) {
            let matches = super::command().try_get_matches_from(words(line));
            let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
            let path = format!("{path} {}", below.get_name());
            walk(below, path.trim_start());
        }
    }

    #[test]
    fn every_command_shows_an_example_that_it_takes() {
        walk(&mut command(), "");
    }

    #[test]
    fn a_word_in_the_wrong_place_is_sent_to_the_right_one() {
        for (line, said) in [
            ("dsnd list", Some("`dsnd suppressions list` or `dsnd bounces list` or ")),
            ("dsnd check a@example.com", Some("did you mean `dsnd suppressions check`?")),
            ("dsnd suppressions mint", Some("`dsnd return-path mint`")),
            ("dsnd nonsense", None),
            ("dsnd --nonsense", None),
        ] {
            let error = command().try_get_matches_from(line.split(' ')).unwrap_err();
            let told = elsewhere(&error);
            match said {
                Some(said) => {
                    assert!(told.as_ref().is_some_and(|told| told.contains(said)), "{line}: {told:?}")
                }
                None => assert_eq!(told, None, "{line}"),
            }
        }
    }
}
