//! What is accepted in a rule file, what is refused, and how it is said.

use super::*;

const GOOD: &str = r#"
    [[rule]]
    id = "a"
    class = "policy"
    status = ["5.7.x"]
    pattern = "no thanks"
    examples = ["550 5.7.1 No thanks"]
    counter_examples = ["550 5.1.1 No thanks"]
"#;

fn load(text: &str) -> Result<Rules, RuleError> {
    Rules::load(&[RuleFile { name: "test.toml".to_owned(), text: text.to_owned() }])
}

fn error(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn the_embedded_rules_keep_their_own_examples() {
    let rules = Rules::embedded().unwrap();
    assert!(rules.len() >= 25);
    let flaws: Vec<String> =
        rules.iter().flat_map(|rule| rules.check(rule)).map(|flaw| flaw.to_string()).collect();
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// The rules are read and added to by people: a line a pattern, in a width that fits beside another file.
#[test]
fn the_embedded_files_are_made_of_short_lines_and_patterns() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules");
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let mut reader = Reader::default();
    reader.read_words(WORDS.0, WORDS.1);
    for name in names.iter().map(|name| name.to_str().unwrap()) {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        for (at, line) in text.lines().enumerate() {
            let length = line.chars().count();
            assert!(length <= 140, "{name}:{} has {length} characters", at + 1);
        }
        if name == WORDS.0 {
            assert_eq!(text, WORDS.1);
        } else {
            reader.read_rules(name, &text);
        }
    }
    reader.rules.iter_mut().for_each(|rule| rule.lines.clear());
    assert!(reader.rules == embedded(), "the program is older than its rule files");
    for phrase in embedded().iter().flat_map(|rule| &rule.phrases) {
        assert!(phrase.pattern.chars().count() <= MAX_PATTERN, "{}", phrase.pattern);
        assert!(!phrase.examples.is_empty(), "{}", phrase.pattern);
    }
}

#[test]
fn a_pattern_is_one_line_with_one_example() {
    let rules = load(
        r#"
        [words]
        mailbox = ["mailbox", "inbox"]

        [[rule]]
        id = "ours.retired"
        class = "recipient_inactive"
        [rule.phrases]
        'that {mailbox} was retired' = "550 5.1.1 That mailbox was retired"
        'has gone away( for good)?' = ["550 The inbox has gone away", "550 Has gone away for good"]
        "#,
    )
    .unwrap();
    let rule = rules.iter().next().unwrap();
    let patterns: Vec<&str> = rule.phrases.iter().map(|phrase| phrase.pattern.as_str()).collect();
    assert_eq!(patterns, ["that {mailbox} was retired", "has gone away( for good)?"]);
    assert_eq!((rule.file.as_str(), rule.line, rule.phrases[1].line), ("test.toml", 5, 10));
    let context =
        Context { status: "5.1.1".parse().ok(), reply_code: None, hosts: &[], action: None, phase: None };
    let found = rules.search("That INBOX was retired").find(context, |_| true).unwrap();
    assert_eq!((found.rule.id.as_str(), found.phrase.line), ("ours.retired", 9));
}

#[test]
fn every_fault_of_every_file_is_named_with_its_file_rule_and_line() {
    let first = r#"
[[rule]]
id = "a"
class = "policy"
[rule.phrases]
'zzz' = "550 5.7.1 zzz"
'zz' = "550 5.7.1 we say zzz to you"
'yyy' = "550 5.7.1 yy"
'{people} gone' = "550 5.7.1 people gone"
'x(' = "550 5.7.1 x("

[[rule]]
id = "b"
class = "polizei"
[rule.phrases]
'xxx' = "550 5.7.1 xxx"
"#;
    let second = r#"
[[rule]]
id = "c"
class = "policy"
[rule.phrases]
'www' = []
"#;
    let third = "[[rule]]\nid = \n";
    let long =
        format!("[[rule]]\nid = 'd'\nclass = 'policy'\n[rule.phrases]\n'{}' = 'vvv'\n", "v".repeat(121));
    let file = |name: &str, text: &str| RuleFile { name: name.to_owned(), text: text.to_owned() };
    let files = [file("1.toml", first), file("2.toml", second), file("3.toml", third), file("4.toml", &long)];
    let RuleError(flaws) = Rules::load(&files).unwrap_err();
    let said: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    for (beginning, what) in [
        ("1.toml:8: rule a: pattern 'yyy'", "does not match"),
        ("1.toml:9: rule a: pattern '{people} gone'", "no list of words {people}"),
        ("1.toml:10: rule a: pattern 'x('", "unclosed group"),
        ("1.toml:14: rule b: unknown class \"polizei\"", "expected one of recipient_unknown, "),
        ("2.toml:6: rule c: pattern 'www'", "no example"),
        ("3.toml:2: ", ""),
        ("4.toml:5: rule d: pattern 'v", "120"),
    ] {
        assert!(
            said.iter().any(|flaw| flaw.starts_with(beginning) && flaw.contains(what)),
            "{beginning} {what}\n{}",
            said.join("\n")
        );
    }
    let readable = first
        .replace("'{people} gone' = \"550 5.7.1 people gone\"\n", "")
        .replace("'x(' = \"550 5.7.1 x(\"\n", "");
    let RuleError(flaws) = Rules::load(&[file("1.toml", &readable)]).unwrap_err();
    let said: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    for (beginning, what) in [
        ("1.toml:7: rule a: pattern 'zz' decides nothing", "'zzz' of rule a comes before"),
        ("1.toml:8: rule a: pattern 'yyy'", "does not match"),
    ] {
        assert!(
            said.iter().any(|flaw| flaw.starts_with(beginning) && flaw.contains(what)),
            "{beginning} {what}\n{}",
            said.join("\n")
        );
    }
}

#[test]
fn what_is_wrong_in_a_rule_hides_nothing_else_in_it_and_is_said_in_plain_words() {
    let file = RuleFile {
        name: "own.toml".to_owned(),
        text: r#"
[words]
person = 5
[[rule]]
id = "a"
class = "policy"
staus = ["5.7.1"]
severity = "hard"
phase = ["rctp"]
action = "delay"
reply = ["550", 55]
hosts = "mx.example"
guard = "yes"
[rule.phrases]
'x(' = "550 x("
'yyy' = "550 no"
'zzz' = 5
[[rules]]
"#
        .to_owned(),
    };
    let RuleError(flaws) = Rules::load(&[file]).unwrap_err();
    let said: Vec<String> = flaws.iter().map(ToString::to_string).collect();
    for wanted in [
        "own.toml:3: person: this must be a string, or a list of strings, not an integer",
        "own.toml:7: rule a: unknown key \"staus\"; did you mean \"status\"?",
        "own.toml:8: rule a: unknown severity \"hard\"; expected one of permanent, transient",
        "own.toml:9: rule a: unknown phase \"rctp\"; did you mean \"rcpt\"?",
        "own.toml:10: rule a: unknown action \"delay\"; did you mean \"delayed\"?",
        "own.toml:11: rule a: reply: this must be a list of reply codes, not a string",
        "own.toml:11: rule a: reply 55 is no SMTP reply code",
        "own.toml:12: rule a: hosts: this must be a list of strings, not a string",
        "own.toml:13: rule a: guard: this must be true or false, not a string",
        "own.toml:15: rule a: pattern 'x(': unclosed group",
        "own.toml:16: rule a: pattern 'yyy': example \"550 no\" does not match",
        "own.toml:17: rule a: zzz: this must be a string, or a list of strings, not an integer",
        "own.toml:18: unknown table \"rules\"; did you mean \"rule\"?",
    ] {
        assert!(said.iter().any(|flaw| flaw == wanted), "{wanted}\n{}", said.join("\n"));
    }
    assert_eq!(said.len(), 13, "{}", said.join("\n"));
}

#[test]
fn a_wrong_file_is_refused_and_named() {
    load(GOOD).unwrap();
    for (from, to, said) in [
        ("policy", "polizei", "test.toml"),
        ("5.7.x", "9.7.x", "rule a: status"),
        ("\"no thanks\"", "\"no (thanks\"", "rule a: pattern"),
        ("5.7.1 No", "5.7.1 Oh", "does not match"),
        ("550 5.1.1 No", "550 5.7.1 No", "counter-example"),
        ("pattern", "patern", "patern"),
        ("[\"550 5.7.1 No thanks\"]", "[]", "no example"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let message = error(&text);
        assert!(message.contains(said), "{said}: {message}");
    }
    assert!(error(&format!("{GOOD}{GOOD}")).contains("used twice"));
}

#[test]
fn a_rule_hidden_by_an_earlier_one_is_refused() {
    let second = GOOD.replacen("\"a\"", "\"b\"", 1);
    assert!(error(&format!("{GOOD}{second}")).contains("comes before and takes every example"));
}

#[test]
fn an_example_that_a_rule_of_ones_own_misses_is_not_laid_to_the_order() {
    for (from, to, said) in [
        ("550 5.7.1 No thanks", "550 5.1.1 User unknown", "does not match"),
        ("550 5.7.1 No thanks", "550 5.1.1 No thanks, user unknown", "conditions do not hold"),
    ] {
        let message = error(&GOOD.replacen(from, to, 1));
        assert!(message.contains(said) && !message.contains("comes before"), "{message}");
    }
}

#[test]
fn every_flaw_is_named_at_once() {
    let text = format!(
        "{}{}",
        GOOD.replacen("5.7.1 No", "5.7.1 Oh", 1),
        GOOD.replacen("\"a\"", "\"b\"", 1).replacen("5.7.x", "9.9", 1)
    );
    let message = error(&text);
    assert!(message.contains("rule a") && message.contains("rule b"), "{message}");
}

#[test]
fn the_operator_decides_before_the_embedded_rules_and_can_replace_one() {
    let first = GOOD.replacen("no thanks", "user unknown", 1).replacen("5.7.x", "5.1.x", 1);
    let first =
        first.replacen("5.7.1 No thanks", "5.1.1 user unknown", 1).replacen("5.1.1 No", "5.7.1 No", 1);
    let rules = load(&first).unwrap();
    let context =
        Context { status: "5.1.1".parse().ok(), reply_code: None, hosts: &[], action: None, phase: None };
    assert_eq!(rules.search("user unknown").find(context, |_| true).unwrap().rule.id, "a");
    let count = Rules::embedded().unwrap().len();
    let replaced = load(&GOOD.replacen("\"a\"", "\"text.policy\"", 1)).unwrap();
    assert_eq!(replaced.len(), count);
}

#[test]
fn a_rule_of_ones_own_may_leave_an_embedded_rule_nothing_to_decide() {
    // It says of a line what the embedded rule behind it says.
    let same = r#"
        [[rule]]
        id = "a"
        class = "mailbox_full"
        pattern = "(boîte|quota)"
        examples = ["552 Boîte aux lettres pleine"]
    "#;
    load(same).unwrap();
    // It says something else, and of every line.
    let all = GOOD.replacen("no thanks", "", 1).replacen("[\"5.7.x\"]", "[]", 1);
    load(&all.replacen("[\"550 5.1.1 No thanks\"]", "[]", 1)).unwrap();
    // It stands in the place of one that kept lines from the rules behind it.
    let never = GOOD.replacen("\"a\"", "\"fr.mailbox-full\"", 1);
    load(&never).unwrap();
}

/// Words that rules look for, in no order: every pattern that may be in such a text is tried, and none may find it dear.
#[test]
fn a_text_made_of_what_rules_look_for_costs_time_in_proportion_to_its_length() {
    let rules = Rules::embedded().unwrap();
    let words: Vec<&str> = rules
        .iter()
        .flat_map(|rule| rule.phrases.iter().flat_map(|phrase| &phrase.examples))
        .flat_map(|line| line.split_whitespace())
        .collect();
    let mut seed = 1_usize;
    let mut text = |length: usize| {
        let mut text = String::new();
        while text.len() < length {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(words[(seed >> 33) % words.len()]);
            text.push(' ');
        }
        text
    };
    let mut cost = |length: usize| {
        let texts: Vec<String> = (0..5).map(|_| text(length)).collect();
        std::hint::black_box(rules.search(&texts[0]).matches().count()); // what it needs is compiled once
        let started = std::time::Instant::now();
        for text in &texts {
            std::hint::black_box(rules.search(text).matches().count());
        }
        started.elapsed()
    };
    let (short, long) = (cost(8_000), cost(64_000));
    assert!(long < short * 40, "eight times as long takes {long:?} instead of {short:?}");
}

#[test]
fn a_rule_tells_what_it_asks_for_and_a_text_which_patterns_are_in_it() {
    let rules = load(GOOD).unwrap();
    let rule = rules.iter().next().unwrap();
    assert_eq!(rule.conditions(), [("status", "5.7.x".to_owned())]);
    assert!(rule.is_by_operator() && !rule.is_guard());
    let search = rules.search("550 5.1.1 No thanks, user unknown");
    let found: Vec<_> = search.matches().collect();
    let context =
        Context { status: "5.1.1".parse().ok(), reply_code: None, hosts: &[], action: None, phase: None };
    let told: Vec<_> =
        found.iter().map(|found| (found.rule.id.as_str(), found.rule.applies(context))).collect();
    assert_eq!(told[0], ("a", false));
    assert!(told.contains(&("text.recipient-unknown", true)), "{told:?}");
}

#[test]
fn a_rule_file_from_before_the_names_were_blanked_still_finds_them() {
    let old = r#"
        [[rule]]
        id = "own.gateway"
        class = "policy"
        pattern = '''gate\.example\.org/why|<boss@'''
        examples = ["550 5.7.1 https://gate.example.org/why?id=1", "550 5.7.1 <boss@example.org> no"]
    "#;
    let rules = load(old).unwrap();
    let context =
        Context { status: "5.7.1".parse().ok(), reply_code: None, hosts: &[], action: None, phase: None };
    for text in ["550 5.7.1 see https://gate.example.org/why?id=2", "550 5.7.1 <boss@example.net> no"] {
        assert_eq!(rules.search(text).find(context, |_| true).unwrap().rule.id, "own.gateway", "{text}");
    }
}

#[test]
fn a_pattern_may_begin_within_a_character() {
    let text = r#"
        [[rule]]
        id = "own.gone"
        class = "recipient_unknown"
        [rule.phrases]
        '.{0,10}不存在' = "550 5.1.1 用户地址不存在"
    "#;
    let file = RuleFile { name: "own.toml".to_owned(), text: text.to_owned() };
    let rules = Rules::load(&[file]).unwrap();
    let search = rules.search("550 5.1.1 用户地址不存在");
    assert_eq!(search.matches().next().unwrap().rule.id, "own.gone");
}
