use super::*;
use crate::policy::Reason;
use crate::store::Streams;

fn settings() -> Settings {
    let mut streams = Streams::default();
    streams.insert("news".to_owned(), 7);
    streams.insert("a-b".to_owned(), 8);
    Settings { streams, ..Settings::default() }
}

fn question(request: &str) -> Result<(Map, Option<String>), String> {
    match Question::parse(request.as_bytes(), &settings()) {
        Ok(question) => Ok((question.map, question.address_key)),
        Err(answer) => Err(answer.reply().into_owned()),
    }
}

#[test]
fn maps_are_the_whole_list_one_stream_or_what_holds_for_every_stream() {
    let key = || Some("user@example.com".to_owned());
    for (map, expected) in [
        ("suppressed", Map::Any),
        ("suppressed/all", Map::Stream(ANY_STREAM)),
        ("suppressed/news", Map::Stream(7)),
        ("suppressed-news", Map::Stream(7)),
        ("suppressed-a-b", Map::Stream(8)),
        ("suppressed/12", Map::Stream(12)),
    ] {
        assert_eq!(question(&format!("{map} user@example.com")), Ok((expected, key())), "{map}");
    }
    for (map, told) in [
        ("suppressed/nowhere", "PERM no such stream: suppressed/nowhere"),
        ("suppressed/", "PERM no such stream: suppressed/"),
        ("suppressedx", "PERM no such map: suppressedx"),
        ("aliases", "PERM no such map: aliases"),
        ("", "PERM no such map: "),
        ("a\r\nb\u{e4}", "PERM no such map: a??b?"),
    ] {
        assert_eq!(question(&format!("{map} user@example.com")), Err(told.to_owned()), "{map}");
    }
}

#[test]
fn only_whole_addresses_are_looked_up_and_in_their_comparison_form() {
    for (key, expected) in [
        ("User@Example.COM", Some("user@example.com")),
        ("user+tag@example.com", Some("user+tag@example.com")),
        ("user@b\u{fc}cher.example", Some("user@xn--bcher-kva.example")),
        ("M\u{fc}ller@b\u{fc}cher.example", Some("m\u{fc}ller@xn--bcher-kva.example")),
        ("\"john doe\"@example.com", Some("\"john doe\"@example.com")),
        ("john doe@example.com", Some("\"john doe\"@example.com")), // as Postfix writes it
        ("a@b@example.com", Some("\"a@b\"@example.com")),
        ("example.com", None),
        (".example.com", None),
        ("user@", None),
        ("@example.com", None),
        ("192.0.2.1", None),
        ("<>", None),
        ("", None),
    ] {
        let asked = question(&format!("suppressed {key}")).unwrap().1;
        assert_eq!(asked.as_deref(), expected, "{key}");
    }
    let octets = Question::parse(b"suppressed \xff\xfe@example.com", &settings()).unwrap();
    assert!(
        octets.address_key.is_some_and(|key| key.ends_with("@example.com")),
        "looked up, and found nowhere"
    );
}

fn entry() -> Suppression {
    Suppression {
        address: "Dead@example.com".to_owned(),
        address_key: "dead@example.com".to_owned(),
        stream: ANY_STREAM,
        stream_name: None,
        reason: Reason::Hard,
        class: Some("recipient_unknown".to_owned()),
        status: Some("5.1.1".to_owned()),
        rule: None,
        remote_mta: None,
        evidence: Some("550 5.1.1 gone".to_owned()),
        note: Some("what a person wrote".to_owned()),
        first_seen: "2026-11-20T10:00:00Z".parse().unwrap(),
        last_seen: "2026-11-22T10:00:00Z".parse().unwrap(),
        count: 2,
        changed_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        expires_at: Some("2027-05-19T10:00:00Z".parse().unwrap()),
        recheckable: false,
        origin: "bounce".to_owned(),
        bounce: Some(1),
        trust: None,
    }
}

#[test]
fn a_refusal_says_why_and_from_when_until_when() {
    let hard = "550 5.7.1 suppressed by dsnd: recipient_unknown 5.1.1, since 2026-11-20 until 2027-05-19";
    assert_eq!(refusal(&entry()), hard);
    let complaint = Suppression {
        reason: Reason::Complaint,
        class: Some("complaint".to_owned()),
        status: None,
        expires_at: None,
        ..entry()
    };
    assert_eq!(refusal(&complaint), "550 5.7.1 suppressed by dsnd: complaint, since 2026-11-20");
    let manual =
        Suppression { reason: Reason::Manual, class: None, status: None, expires_at: None, ..entry() };
    assert_eq!(
        refusal(&manual),
        "550 5.7.1 suppressed by dsnd: manual, since 2026-11-20",
        "and not what they wrote"
    );
}

#[test]
fn no_text_in_the_database_can_forge_a_reply_or_outgrow_its_line() {
    let odd = Suppression {
        class: Some(format!("x\r\n250 2.0.0 \u{fc}\u{202e}{}", "y".repeat(100_000))),
        ..entry()
    };
    let text = refusal(&odd);
    assert!(text.starts_with("550 5.7.1 suppressed by dsnd: x??250 2.0.0 ??yyy"), "{text}");
    assert_eq!(text.len(), MAX_REASON);
    assert!(text.bytes().all(|octet| (b' '..=b'~').contains(&octet)));
}

#[test]
fn what_cannot_be_told_is_an_error_or_lets_through_as_the_operator_wants() {
    assert_eq!(Answer::Unavailable(OnError::Temp).reply(), "TEMP the suppression list cannot be asked now");
    assert_eq!(Answer::Unavailable(OnError::Allow).reply(), "NOTFOUND ");
    assert_eq!(Answer::NotFound.reply(), "NOTFOUND ");
}
