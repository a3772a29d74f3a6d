use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::address::Mailbox;

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

fn mailbox(local_part: &str, domain: &str) -> Mailbox {
    Mailbox::new(local_part, domain).unwrap()
}

fn mail_from(line: &str) -> ReversePath {
    match parse(line) {
        Ok(Command::Mail(reverse_path, _)) => reverse_path,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt_to(line: &str) -> ForwardPath {
    match parse(line) {
        Ok(Command::Rcpt(forward_path, _)) => forward_path,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn commands_are_known_in_any_case_and_with_trailing_white_space() {
    for (line, command) in [
        ("DATA", Command::Data),
        ("data", Command::Data),
        ("DaTa \t", Command::Data),
        ("RSET  ", Command::Rset),
        ("QUIT ", Command::Quit),
        ("NOOP", Command::Noop),
        ("NOOP anything <at> all: really", Command::Noop),
        ("HELP", Command::Help),
        ("HELP MAIL FROM:", Command::Help),
        ("VRFY user", Command::Vrfy),
        ("VRFY <user@example.com>", Command::Vrfy),
        ("EXPN list@example.com", Command::Expn),
        ("STARTTLS", Command::StartTls),
        ("starttls ", Command::StartTls),
        ("BDAT 86 LAST", Command::Bdat { size: 86, last: true }),
        ("bdat 0", Command::Bdat { size: 0, last: false }),
        ("BDAT 007  last ", Command::Bdat { size: 7, last: true }),
        ("BDAT 18446744073709551615", Command::Bdat { size: u64::MAX, last: false }),
        ("BDAT 99999999999999999999999", Command::Bdat { size: u64::MAX, last: false }),
        ("LHLO mta.example", Command::Lhlo("mta.example".to_owned())),
    ] {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
}

#[test]
fn any_name_is_taken_in_ehlo_and_helo() {
    for name in [
        "mx.example.org",
        "localhost",
        "my_host",
        "win-2k_3.corp.local",
        "[192.0.2.1]",
        "[192.0.2.001]",
        "[IPv6:2001:db8::1]",
        "IPv6:::1",
        "bücher.example",
        "-",
        "host name with spaces",
        "a:b",
        "mx.example.org.",
        "\"quoted\"",
    ] {
        assert_eq!(parse(&format!("EHLO {name}")), Ok(Command::Ehlo(name.to_owned())));
        assert_eq!(parse(&format!("helo {name}  ")), Ok(Command::Helo(name.to_owned())));
    }
    assert_eq!(parse("EHLO #16909060"), Ok(Command::Ehlo("[1.2.3.4]".to_owned())), "RFC 821 §4.1.2");
    assert_eq!(Command::parse(b"EHLO m\xfcller"), Ok(Command::Ehlo("m\u{fffd}ller".to_owned())));
    for line in ["EHLO", "EHLO ", "HELO"] {
        assert_eq!(parse(line), Err(CommandError::NoName), "{line:?}");
    }
}

#[test]
fn reverse_paths_are_taken_as_the_field_writes_them() {
    let user = || ReversePath::Mailbox(mailbox("user", "example.com"));
    for (line, reverse_path) in [
        ("MAIL FROM:<>", ReversePath::Null),
        ("MAIL FROM: <>", ReversePath::Null),
        ("mail from:< >", ReversePath::Null),
        ("MAIL FROM:<user@example.com>", user()),
        ("MAIL FROM: <user@example.com>", user()),
        ("MAIL FROM:   <user@example.com>  ", user()),
        ("MAIL FROM : <user@example.com>", user()),
        ("MAIL  FROM:<user@example.com>", user()),
        ("MAIL FROM:< user@example.com >", user()),
        ("MAIL FROM:user@example.com", user()),
        ("MAIL FROM: user@example.com SIZE=10", user()),
        ("MAIL FROM:<@relay.example:user@example.com>", user()),
        ("MAIL FROM:<@a.example,@b.example:user@example.com>", user()),
        ("MAIL FROM:<@relay:user@example.com>", user()),
        ("MAIL FROM:<@[IPv6:2001:db8::1]:user@example.com>", user()),
        ("MAIL FROM:<user@[192.0.2.1]>", ReversePath::Mailbox(mailbox("user", "[192.0.2.1]"))),
        ("MAIL FROM:<user@[IPv6:2001:db8::1]>", ReversePath::Mailbox(mailbox("user", "[IPv6:2001:db8::1]"))),
        ("MAIL FROM:<josé@bücher.example> SMTPUTF8", ReversePath::Mailbox(mailbox("josé", "bücher.example"))),
        ("MAIL FROM:<user@my_host.example>", ReversePath::Mailbox(mailbox("user", "my_host.example"))),
        ("MAIL FROM:<\"john doe\"@example.com>", ReversePath::Mailbox(mailbox("john doe", "example.com"))),
        ("MAIL FROM:<\"a>b\"@example.com> SIZE=1", ReversePath::Mailbox(mailbox("a>b", "example.com"))),
        ("MAIL FROM:<\"a\\\"b\"@example.com>", ReversePath::Mailbox(mailbox("a\"b", "example.com"))),
        ("MAIL FROM:<\"a@b\"@example.com>", ReversePath::Mailbox(mailbox("a@b", "example.com"))),
        ("MAIL FROM:<a#b@example.com>", ReversePath::Mailbox(mailbox("a#b", "example.com"))),
        ("MAIL FROM:<MAILER-DAEMON>", ReversePath::Other("MAILER-DAEMON".to_owned())),
        ("MAIL FROM:<postmaster>", ReversePath::Other("postmaster".to_owned())),
        ("MAIL FROM:<@example.com>", ReversePath::Other("@example.com".to_owned())),
        ("MAIL FROM:<user@#16909060>", ReversePath::Mailbox(mailbox("user", "[1.2.3.4]"))),
        ("MAIL FROM:<user@#4294967296>", ReversePath::Other("user@#4294967296".to_owned())),
        ("MAIL FROM:<a\\b@example.com>", ReversePath::Mailbox(mailbox("ab", "example.com"))),
        ("MAIL FROM:<a\\@b@example.com>", ReversePath::Mailbox(mailbox("a@b", "example.com"))),
        ("MAIL FROM:<a\\>", ReversePath::Other("a\\".to_owned())),
        ("MAIL FROM:<user@a:b>", ReversePath::Other("user@a:b".to_owned())),
        ("MAIL FROM:<user@IPv6:::1>", ReversePath::Other("user@IPv6:::1".to_owned())),
        ("MAIL FROM:<\"@example.com>", ReversePath::Other("\"@example.com".to_owned())),
    ] {
        assert_eq!(mail_from(line), reverse_path, "{line}");
    }
    let latin_1 = Command::parse(b"MAIL FROM:<jos\xe9@example.com>");
    let other = ReversePath::Other("jos\u{fffd}@example.com".to_owned());
    assert_eq!(latin_1, Ok(Command::Mail(other, MailParameters::default())));
    let long = format!("{}@example.com", "x".repeat(65));
    assert_eq!(mail_from(&format!("MAIL FROM:<{long}>")), ReversePath::Other(long));
}

#[test]
fn forward_paths_are_mailboxes_or_postmaster() {
    let user = || ForwardPath::Mailbox(mailbox("user", "example.com"));
    for (line, forward_path) in [
        ("RCPT TO:<user@example.com>", user()),
        ("rcpt to: <user@example.com> ", user()),
        ("RCPT TO:user@example.com", user()),
        ("RCPT TO:<@relay.example:user@example.com>", user()),
        ("RCPT TO:<\"user\"@example.com>", user()),
        ("RCPT TO:<postmaster>", ForwardPath::Postmaster),
        ("RCPT TO:<PostMaster>", ForwardPath::Postmaster),
        ("RCPT TO: <POSTMASTER> NOTIFY=NEVER", ForwardPath::Postmaster),
        ("RCPT TO:postmaster", ForwardPath::Postmaster),
        ("RCPT TO:<Postmaster@example.com>", ForwardPath::Mailbox(mailbox("Postmaster", "example.com"))),
        (
            "RCPT TO:<b+user=example.com@x.example>",
            ForwardPath::Mailbox(mailbox("b+user=example.com", "x.example")),
        ),
        ("RCPT TO:<\"a b\"@example.com>", ForwardPath::Mailbox(mailbox("a b", "example.com"))),
        ("RCPT TO:<用户@例子.example>", ForwardPath::Mailbox(mailbox("用户", "例子.example"))),
        ("RCPT TO:<user@[IPv6:::1]>", ForwardPath::Mailbox(mailbox("user", "[IPv6:::1]"))),
    ] {
        assert_eq!(rcpt_to(line), forward_path, "{line}");
    }
    for path in [
        "<>",
        "",
        "<user>",
        "user",
        "<@example.com>",
        "<user@>",
        "<user@example.com",
        "<a@b> <c@d>x",
        "<user@a:b>",
        "<\"user@example.com>",
    ] {
        let error = parse(&format!("RCPT TO:{path}")).unwrap_err();
        let expected =
            if path.ends_with('x') { CommandError::UnknownParameter } else { CommandError::ForwardPath };
        assert_eq!(error, expected, "{path}");
    }
    assert_eq!(Command::parse(b"RCPT TO:<jos\xe9@example.com>"), Err(CommandError::ForwardPath));
}

#[test]
fn parameters_of_mail_are_read() {
    let parameters = |line: &str| match parse(line) {
        Ok(Command::Mail(_, parameters)) => parameters,
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(
        parameters("MAIL FROM:<> SIZE=1024 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B314159"),
        MailParameters { size: Some(1024), envelope_id: Some("QQ+314159".to_owned()) }
    );
    assert_eq!(parameters("MAIL FROM:<>  size=0   ret=full body=7bit").size, Some(0));
    let backslash = parameters("MAIL FROM:<> ENVID=a\\b").envelope_id;
    assert_eq!(backslash.as_deref(), Some("a\\b"), "xtext has it as it is: RFC 3461 §4");
    assert_eq!(
        parameters("MAIL FROM:<> ENVID=<a.b@c.example>").envelope_id.as_deref(),
        Some("<a.b@c.example>")
    );
    assert_eq!(parameters("MAIL FROM:<> SIZE=99999999999999999999").size, Some(u64::MAX));
}

#[test]
fn parameters_of_rcpt_are_read() {
    let parameters = |line: &str| match parse(line) {
        Ok(Command::Rcpt(_, parameters)) => parameters,
        other => panic!("{line}: {other:?}"),
    };
    let all = parameters("RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bx@b.example");
    assert_eq!(all.original_recipient.as_deref(), Some("rfc822;a+x@b.example"));
    assert_eq!(parameters("RCPT TO:<a@b.example> notify=never"), RcptParameters::default());
    let utf8 = parameters("RCPT TO:<a@b.example> ORCPT=utf-8;\\x{FC}@b.example");
    assert_eq!(utf8.original_recipient.as_deref(), Some("utf-8;ü@b.example"));
}

#[test]
fn what_is_wrong_is_named() {
    for (line, error) in [
        ("", CommandError::Unrecognized),
        (" QUIT", CommandError::Unrecognized),
        ("QUITX", CommandError::Unrecognized),
        ("MAIL FROM:<a@b>\0", CommandError::ControlCharacter),
        ("QUIT\r", CommandError::ControlCharacter),
        ("NO\rOP", CommandError::ControlCharacter),
        ("EHLO \u{1b}[2J", CommandError::ControlCharacter),
        ("AUTH PLAIN", CommandError::NotImplemented),
        ("TURN", CommandError::NotImplemented),
        ("LHLO", CommandError::NoName),
        ("SEND FROM:<a@b.example>", CommandError::NotImplemented),
        ("DATA now", CommandError::Syntax("DATA")),
        ("QUIT now", CommandError::Syntax("QUIT")),
        ("VRFY", CommandError::Syntax("VRFY address")),
        ("MAIL", CommandError::Syntax("MAIL FROM:<address>")),
        ("MAIL TO:<a@b.example>", CommandError::Syntax("MAIL FROM:<address>")),
        ("MAIL FROM <a@b.example>", CommandError::Syntax("MAIL FROM:<address>")),
        ("MAIL FROM:", CommandError::ReversePath),
        ("MAIL FROM:SIZE=10", CommandError::ReversePath),
        ("MAIL FROM:<a@b.example", CommandError::ReversePath),
        ("MAIL FROM:<a@b.example>SIZE=10", CommandError::ReversePath),
        ("MAIL FROM:<<a@b.example>>", CommandError::ReversePath),
        ("MAIL FROM:<a@b.example> SIZE", CommandError::BadParameter("SIZE")),
        ("MAIL FROM:<a@b.example> SIZE=", CommandError::BadParameter("SIZE")),
        ("MAIL FROM:<a@b.example> SIZE=-1", CommandError::BadParameter("SIZE")),
        ("MAIL FROM:<a@b.example> SIZE=1 SIZE=1", CommandError::BadParameter("SIZE")),
        ("MAIL FROM:<a@b.example> \"SIZE=1\"", CommandError::UnknownParameter),
        ("MAIL FROM:<a@b.example> BODY=BINARYMIME", CommandError::BadParameter("BODY")),
        ("MAIL FROM:<a@b.example> SMTPUTF8=yes", CommandError::BadParameter("SMTPUTF8")),
        ("MAIL FROM:<a@b.example> RET=NONE", CommandError::BadParameter("RET")),
        ("MAIL FROM:<a@b.example> ENVID=a+b", CommandError::BadParameter("ENVID")),
        ("MAIL FROM:<a@b.example> AUTH=<>", CommandError::UnknownParameter),
        ("MAIL FROM:<a@b.example> NOTIFY=NEVER", CommandError::UnknownParameter),
        ("RCPT TO:<a@b.example> NOTIFY=NEVER,DELAY", CommandError::BadParameter("NOTIFY")),
        ("RCPT TO:<a@b.example> NOTIFY=", CommandError::BadParameter("NOTIFY")),
        ("RCPT TO:<a@b.example> ORCPT=a@b.example", CommandError::BadParameter("ORCPT")),
        ("RCPT TO:<a@b.example> ORCPT=rfc822;", CommandError::BadParameter("ORCPT")),
        ("RCPT TO:<a@b.example> SIZE=1", CommandError::UnknownParameter),
        ("BDAT", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT -1", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT +1", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT 0x10", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT 1,5", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT LAST", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT 1 FIRST", CommandError::Syntax("BDAT size [LAST]")),
        ("BDAT 1 LAST LAST", CommandError::Syntax("BDAT size [LAST]")),
    ] {
        assert_eq!(parse(line), Err(error), "{line:?}");
    }
    let envid = format!("MAIL FROM:<> ENVID={}", "x".repeat(101));
    assert_eq!(parse(&envid), Err(CommandError::BadParameter("ENVID")));
}

#[test]
fn the_grammar_reads_all_that_the_standard_has() {
    for line in [
        "EHLO mx.example.org",
        "HELO [192.0.2.1]",
        "MAIL FROM:<>",
        "MAIL FROM:<user@example.com> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=QQ314159",
        "RCPT TO:<b-token=user=example.com@bounces.example.com> NOTIFY=NEVER",
        "RCPT TO:<postmaster>",
        "DATA",
        "RSET",
        "QUIT",
        "NOOP",
        "HELP",
        "VRFY user",
        "EXPN list",
        "EHLO #16909060",
        "MAIL FROM:<\"john doe\"@example.com> ENVID=a\\b",
        "MAIL FROM:<a\\@b@example.com>",
        "RCPT TO:<a#b@example.com>",
        "RCPT TO:<\"a\\\"b\"@example.com>",
        "RCPT TO:<@a.example,@b.example:user@example.com>",
    ] {
        let read = grammar::read(line.as_bytes());
        assert_eq!(read, Some(parse(line)), "{line}");
        assert!(matches!(read, Some(Ok(_))), "{line}");
    }
}

/// Lines on which a careless grammar would go back and forth. They are far longer than the listener lets through, so that
/// anything but linear time shows: a quadratic reader would need some 10^9 steps for each.
#[test]
fn hostile_lines_are_read_in_time_linear_in_their_length() {
    let started = Instant::now();
    for start in
        ["EHLO ", "MAIL FROM:", "MAIL FROM:<", "MAIL FROM:<>", "RCPT TO:<", "NOOP ", "HELP ", "VRFY ", ""]
    {
        for piece in [
            "@a,", "@a:", "@", "<", ">", "\"", "\\", "\"a", " \"a\"", "a.", ".", " ", " a", ":", "[", "(",
            "=", "+", "ü", "#1", "IPv6:", "\\x{", "@a,@b:",
        ] {
            let line = format!("{start}{}", piece.repeat(40_000 / piece.len()));
            let _ = parse(&line);
            let _ = parse(&format!("{}>", line.trim_end()));
        }
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// Lines built of what the grammars know.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "EHLO ",
        "HELO ",
        "MAIL FROM:",
        "RCPT TO:",
        "VRFY ",
        "DATA",
        "BDAT ",
        "LAST",
        "<",
        ">",
        "@",
        "a",
        "b.example",
        ".",
        "\"",
        "\\",
        " ",
        ":",
        ",",
        "#",
        "[",
        "]",
        "IPv6:",
        "1",
        "192.0.2.1",
        "postmaster",
        " SIZE=",
        " ENVID=",
        " ORCPT=",
        "rfc822;",
        "utf-8;",
        "+2B",
        "+",
        "=",
        "\\x{",
        "}",
        "\t",
        "ü",
        " NOTIFY=",
        "NEVER",
        "DELAY",
        "-",
        "_",
        "\r",
        "\0",
    ];
    prop_oneof![
        proptest::collection::vec(prop::sample::select(pieces), 0..14)
            .prop_map(|pieces| pieces.concat().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_line_makes_the_reader_panic(line in lines()) {
        let _ = Command::parse(&line);
    }

    /// It does not matter which of the two readers is asked about a line that both take.
    #[test]
    fn the_two_readers_agree(line in lines()) {
        agree(&line)?;
    }

    /// The same for lines that the grammar often takes.
    #[test]
    fn the_two_readers_agree_about_paths(
        verb in prop::sample::select(vec!["MAIL FROM:", "RCPT TO:"]),
        before in proptest::collection::vec(piece(), 0..4),
        after in proptest::collection::vec(piece(), 0..4),
        at in prop::sample::select(vec!["@", "@", "@", "@", "", "@[", "@#", "\"@"]),
        parameters in proptest::collection::vec(prop::sample::select(vec![
            " SIZE=1", " SMTPUTF8", " RET=FULL", " NOTIFY=DELAY", "  SIZE=2", " x", " ENVID=a\\b", " \"SIZE=1\"", " \"a b\"", "\\ x",
        ]), 0..3),
    ) {
        agree(format!("{verb}<{}{at}{}>{}", before.concat(), after.concat(), parameters.concat()).as_bytes())?;
    }
}

/// What the grammar takes our own reader takes as well, and makes the same of it.
fn agree(line: &[u8]) -> Result<(), TestCaseError> {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    let line = &line[..end];
    if !line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t')
        && let Some(read) = grammar::read(line)
    {
        prop_assert_eq!(read, ours(line), "{}", String::from_utf8_lossy(line));
    }
    Ok(())
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "mx",
        ".",
        "-",
        "=",
        "+",
        "_",
        "1",
        "ü",
        "[192.0.2.1]",
        "]",
        ":",
        "@r.example:",
        "@r:",
        "IPv6:::1",
        "'",
        "!",
        "\"",
        "\\",
        "#",
        "#7",
        " ",
        ">",
        ",",
    ])
}

#[test]
fn what_stands_for_no_utf_8_is_no_address_for_either_reader() {
    let line = "MAIL FROM:<@relay.example:use\u{fffd}r@example.com>".as_bytes();
    assert_eq!(grammar::read(line), None);
    assert!(matches!(Command::parse(line), Ok(Command::Mail(ReversePath::Other(_), _))));
}
