use super::*;
use crate::classify::Class;

/// A file as the build makes it of TOML.
fn built(text: &str) -> String {
    serde_json::to_string(&toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn code(text: &str) -> EnhancedStatusCode {
    text.parse().unwrap()
}

#[test]
fn unregistered_codes_fall_back_to_their_subject_then_to_their_class() {
    let registry = Registry::embedded();
    for (asked, found) in [
        ("5.1.1", "5.1.1"),
        ("5.1.99", "5.1.0"),
        ("4.7.650", "4.7.0"),
        ("5.9.1", "5.0.0"),
        ("4.0.7", "4.0.0"),
    ] {
        assert_eq!(registry.lookup(code(asked)).found, code(found), "{asked}");
    }
    assert!(registry.registered(code("5.1.99")).is_none());
}

/// Each file is read by itself, and only when it is asked for.
#[test]
fn every_code_stands_once_and_in_the_file_of_its_subject() {
    let all = Table::parse(&FILES).unwrap();
    let registry = Registry::embedded();
    assert!(registry.tables.iter().all(|table| table.get().is_none()));
    assert_eq!(registry.lookup(code("5.0.0")).found, code("5.0.0"));
    assert_eq!(registry.tables.iter().filter(|table| table.get().is_some()).count(), 1);
    for entry in &all.codes {
        let pattern = CodePattern::read(&entry.code).unwrap();
        assert!(registry.registered(pattern.beside(StatusClass::Permanent)).is_some(), "{}", entry.code);
    }
    assert!(all.exact.keys().all(|code| registry.exact(*code).is_some()));
    assert_eq!(all.providers.len(), registry.provider_entries().count());
    assert_eq!(all.replies.len(), registry.reply_entries().len());
}

#[test]
fn the_codes_of_the_source_documents_do_what_they_say() {
    let registry = Registry::embedded();
    for (text, class) in [
        ("5.4.1", Class::HostUnreachable),
        ("4.4.1", Class::HostUnreachable),
        ("5.4.2", Class::BadConnection),
        ("4.4.2", Class::BadConnection),
        ("5.1.1", Class::RecipientUnknown),
        ("5.2.2", Class::MailboxFull),
        ("2.1.5", Class::Delivered),
    ] {
        let code = code(text);
        assert_eq!(registry.lookup(code).entry.class(code.class), class, "{text}");
    }
}

/// Every list of every entry of every file, in both languages: nobody asks in vain.
#[test]
fn every_code_of_every_file_is_explained_in_full() {
    let registry = Registry::embedded();
    assert!(registry.entries().count() >= 79, "{}", registry.entries().count());
    let registered = registry
        .entries()
        .map(|entry| (entry.code.clone(), [&entry.en, &entry.de], &entry.examples, &entry.related));
    let providers = registry.provider_entries().map(|entry| {
        (
            format!("{} {}", entry.provider, entry.code),
            [&entry.en, &entry.de],
            &entry.examples,
            &entry.related,
        )
    });
    let replies = registry
        .reply_entries()
        .iter()
        .map(|entry| (entry.code.to_string(), [&entry.en, &entry.de], &entry.examples, &entry.related));
    let mut lacking = Vec::new();
    for (code, [en, de], examples, related) in registered.chain(providers).chain(replies) {
        if !en.is_complete() || !de.is_complete() || examples.is_empty() || related.is_empty() {
            lacking.push(code);
        }
    }
    assert!(lacking.is_empty(), "not explained in full: {}", lacking.join(", "));
}

#[test]
fn related_codes_lead_to_an_entry() {
    let registry = Registry::embedded();
    let known = |related: &str| {
        if let Some(reply) = related.parse().ok().and_then(ReplyCode::new) {
            return registry.reply(reply).is_some();
        }
        let pattern = CodePattern::read(related).unwrap_or_else(|| panic!("{related} is no code"));
        [StatusClass::Permanent, StatusClass::PersistentTransient].into_iter().any(|class| {
            let code = pattern.beside(class);
            registry.registered(code).is_some() || !registry.by_providers(code).is_empty()
        })
    };
    let all = (registry.entries().map(|entry| (&entry.code, &entry.related)))
        .chain(registry.provider_entries().map(|entry| (&entry.code, &entry.related)))
        .chain(registry.exact_entries().map(|entry| (&entry.code, &entry.related)));
    for (code, related) in all {
        for related in related {
            assert!(known(related), "{code} names {related}");
            assert_ne!(code, related);
        }
    }
    for entry in registry.reply_entries() {
        for related in &entry.related {
            assert!(known(related), "{} names {related}", entry.code);
        }
    }
}

#[test]
fn a_providers_code_is_found_by_itself_before_its_range() {
    let entry = |code: &str, name: &str, rest: &str| {
        format!(
            "[[provider_code]]\nprovider='P'\ncode='{code}'\nname='{name}'\n{rest}\n\
             en={{meaning='m',action='a'}}\nde={{meaning='m',action='a'}}\n"
        )
    };
    let text = entry("5.7.600", "range", "through=649\npermanent='sender_blocked'")
        + &entry("5.7.610", "one", "")
        + &entry("X.4.1", "both", "")
        + &entry("X.4.1", "another meaning", "");
    let table = Table::parse(&[("p.toml", &built(&text))]).unwrap();
    let names = |asked: &str| {
        table.by_providers(code(asked)).iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(names("5.7.610"), ["one", "range"]);
    assert_eq!(names("5.7.649"), ["range"]);
    assert_eq!(names("5.7.650"), [""; 0]);
    assert_eq!(names("4.7.610"), [""; 0]);
    assert_eq!(names("4.4.1"), ["both", "another meaning"]);
    assert_eq!(
        table.by_providers(code("5.7.600"))[0].class(StatusClass::Permanent),
        Some(Class::SenderBlocked)
    );
}

#[test]
fn a_broken_table_is_refused_with_the_name_of_its_file() {
    const GOOD: &str = "[[code]]\ncode='X.0.0'\nname='n'\nreplies=[]\nreference='r'\npermanent='policy'\n\
        transient='policy'\nen={meaning='m',action='a'}\nde={meaning='m',action='a'}\n";
    let good = built(GOOD);
    assert!(Table::parse(&[("a.toml", &good)]).is_ok());
    for (text, said) in [
        ("[nonsense]".to_owned(), "b.toml: unknown field"),
        (GOOD.to_owned(), "b.toml: X.0.0 stands twice"),
        (GOOD.replace("X.0.0", "5.0.0"), "b.toml: \"5.0.0\" is not"),
        (GOOD.replace("X.0.0", "X.0.1").replacen("action='a'", "action=''", 1), "b.toml: X.0.1 has no"),
        ("[[exact]]\ncode='5.9.9'".to_owned(), "b.toml: \"5.9.9\" is not"),
        (GOOD.replacen("name=", "nom=", 1), "b.toml: unknown field"),
    ] {
        let error = Table::parse(&[("a.toml", &good), ("b.toml", &built(&text))]).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}
