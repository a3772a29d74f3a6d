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
    assert!(Rules::embedded().unwrap().len() >= 25);
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
    assert!(error(&format!("{GOOD}{second}")).contains("earlier rules take every example"));
}

#[test]
fn an_example_that_a_rule_of_ones_own_misses_is_not_laid_to_the_order() {
    let missed = GOOD.replacen("550 5.7.1 No thanks", "550 5.1.1 User unknown", 1);
    let message = error(&missed);
    assert!(message.contains("does not match; rule") && !message.contains("comes before"), "{message}");
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
    assert_eq!(rules.find("user unknown", context).unwrap().rule.id, "a");
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

/// With all rules in one automaton this takes more than twenty times as long as with a few in each.
#[test]
fn a_text_made_of_what_rules_look_for_costs_little_more_than_any_other() {
    let rules = Rules::embedded().unwrap();
    let words: Vec<&str> = rules
        .rules
        .iter()
        .flat_map(|rule| rule.examples.iter())
        .flat_map(|line| line.split_whitespace())
        .collect();
    let context = Context { status: None, reply_code: None, hosts: &[], action: None, phase: None };
    let mut seed = 1_usize;
    let mut total = std::time::Duration::ZERO;
    for _ in 0..40 {
        let mut text = String::new();
        while text.len() < 8_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(words[(seed >> 33) % words.len()]);
            text.push(' ');
        }
        let started = std::time::Instant::now();
        std::hint::black_box(rules.find(&text, context));
        total += started.elapsed();
    }
    assert!(total < std::time::Duration::from_secs(2), "forty texts took {total:?}");
}
