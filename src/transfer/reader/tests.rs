use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use super::*;
use crate::classify::Classifier;
use crate::policy::{Policy, Reason};

/// Built once: compiling every rule takes a while.
static CLASSIFIER: LazyLock<Arc<Classifier>> = LazyLock::new(|| Arc::new(Classifier::embedded().unwrap()));

fn settings() -> ListSettings {
    ListSettings {
        format: None,
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
        policy: Policy::default(),
        classifier: Arc::clone(&CLASSIFIER),
        streams: Arc::new(|named| if named == "news" { Some(7) } else { named.parse().ok() }),
        stream: None,
        reason: None,
        until: None,
        note: None,
        hashed: false,
    }
}

/// Reads a list in pieces of so many octets.
fn read_in(
    piece: usize,
    list: &[u8],
    settings: ListSettings,
) -> (Result<(), ListError>, Option<Format>, Part) {
    let mut reader = ListReader::new(settings);
    let mut part = Part::default();
    let fed = list.chunks(piece).try_for_each(|bytes| reader.feed(bytes, &mut part));
    let result = fed.and_then(|()| reader.finish(&mut part));
    (result, reader.format(), part)
}

/// Reads a list whole and in small pieces, which must come to the same.
fn read(list: &str, settings: &ListSettings) -> (Format, Part) {
    let (result, format, part) = read_in(list.len().max(1), list.as_bytes(), settings.clone());
    assert_eq!(result, Ok(()), "{list}");
    for piece in [1, 7] {
        let (result, again, pieces) = read_in(piece, list.as_bytes(), settings.clone());
        assert_eq!((result, again), (Ok(()), format), "{list}");
        assert_eq!(
            (&pieces.entries, pieces.skipped, &pieces.bad),
            (&part.entries, part.skipped, &part.bad),
            "{list}"
        );
    }
    (format.unwrap(), part)
}

/// An entry in short: address, reason, class, the day it began, the day it ends, note.
fn told(entry: &Entry) -> String {
    let day = |at: Timestamp| at.strftime("%F").to_string();
    let (class, note) = (entry.class.as_deref().unwrap_or("-"), entry.note.as_deref().unwrap_or("-"));
    let end = entry.expires_at.map_or_else(|| "for ever".to_owned(), day);
    format!("{} {} {class} {} {end} {note}", entry.address, entry.reason.as_str(), day(entry.first_seen))
}

fn entries(list: &str) -> (Format, Vec<String>) {
    let (format, part) = read(list, &settings());
    assert_eq!(part.bad, [], "{list}");
    (format, part.entries.iter().map(told).collect())
}

fn wrong(part: &Part) -> Vec<(u64, &str)> {
    part.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect()
}

#[test]
fn ses_says_bounce_or_complaint() {
    let json = "{\n \"SuppressedDestinationSummaries\": [\n  {\"EmailAddress\": \"a@x.example\", \"Reason\": \"BOUNCE\", \
                \"LastUpdateTime\": \"2026-11-01T10:00:00.837+02:00\"},\n  {\"EmailAddress\": \"b@x.example\", \
                \"Reason\": \"COMPLAINT\", \"LastUpdateTime\": 1793523600.077}\n ],\n \"NextToken\": \"abc\"\n}\n";
    let hard = "a@x.example hard - 2026-11-01 2027-04-30 Amazon SES: bounce";
    let complaint = "b@x.example complaint - 2026-11-01 for ever Amazon SES: complaint";
    assert_eq!(entries(json), (Format::Ses, vec![hard.to_owned(), complaint.to_owned()]));
    let now = [
        "a@x.example hard - 2026-11-20 2027-05-19 Amazon SES: bounce",
        "b@x.example complaint - 2026-11-20 for ever Amazon SES: complaint",
    ];
    for list in [
        "emailAddress,reason\na@x.example,BOUNCE\nb@x.example,COMPLAINT\n",
        "a@x.example,BOUNCE\r\nb@x.example,COMPLAINT",
        "\u{feff}\n\"Email address\";\"Reason\"\n\"a@x.example\";\"Bounce\"\n\"b@x.example\";\"Complaint\"\n",
        "{\"emailAddress\":\"a@x.example\",\"reason\":\"BOUNCE\"}\n{\"emailAddress\":\"b@x.example\",\"reason\":\"COMPLAINT\"}\n",
    ] {
        assert_eq!(entries(list), (Format::Ses, now.map(str::to_owned).to_vec()), "{list}");
    }
    let (_, part) = read("emailAddress,reason\na@x.example,WHATEVER\n", &settings());
    assert_eq!(wrong(&part), [(2, "reason is \"WHATEVER\" and not BOUNCE or COMPLAINT")]);
}

#[test]
fn bounces_of_sendgrid_are_judged_by_their_words() {
    let list = "status,reason,email,created\n\
        5.1.1,\"550 5.1.1 The email account that you tried to reach does not exist.\",gone@x.example,1793523600\n\
        5.7.1,\"550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org\",blocked@x.example,1793523600\n\
        5.2.2,552 5.2.2 Mailbox full,full@x.example,1793523600\n\
        250,delivered ok,came@x.example,1793523600\n\
        ,,silent@x.example,1793523600\n\
        5.1.1,550 5.1.1 User unknown,old@x.example,1577836800\n";
    let (format, part) = read(list, &settings());
    assert_eq!((format, wrong(&part)), (Format::SendgridBounces, vec![]));
    let entries: Vec<_> = part.entries.iter().map(told).collect();
    assert_eq!(
        entries,
        [
            "gone@x.example hard recipient_unknown 2026-11-01 2027-04-30 SendGrid: bounce",
            "silent@x.example hard - 2026-11-01 2027-04-30 SendGrid: bounce",
        ]
    );
    let gone = &part.entries[0];
    assert_eq!((gone.status.as_deref(), gone.rule.is_some(), gone.count), (Some("5.1.1"), true, 1));
    assert_eq!(part.skipped, Skipped { over: 1, sender: 1, soft: 2, one_group: 0, unclear: 0 });
    let no_mx = "status,reason,email,created\n,unable to get mx info: failed to get IPs from PTR record,a@x.example,1793523600\n";
    let (_, part) = read(no_mx, &settings());
    let entries: Vec<_> = part.entries.iter().map(told).collect();
    assert_eq!(entries, ["a@x.example hard domain_invalid 2026-11-01 2026-12-01 SendGrid: bounce"]);
    // Neither with nor without a code does a text that no rule knows say anything against the service's word.
    for said in ["550 5.1.1 Zyx qwv", "550 Zyx qwv"] {
        let (_, part) =
            read(&format!("status,reason,email,created\n5.1.1,{said},a@x.example,1793523600\n"), &settings());
        let entries: Vec<_> = part.entries.iter().map(told).collect();
        assert_eq!(entries, ["a@x.example hard - 2026-11-01 2027-04-30 SendGrid: bounce"], "{said}");
    }
    // Words alone that no rule knows are no bounce.
    for list in [
        "status,reason,email,created\n,active,a@x.example,1793523600\nactive,,b@x.example,1793523600\n",
        "address,code,error,created_at\na@x.example,,active,1793523600\nb@x.example,ok,fine,1793523600\n",
    ] {
        let (_, part) = read(list, &settings());
        assert_eq!((part.entries.len(), part.skipped.unclear, part.skipped.sum()), (0, 2, 2), "{list}");
    }
    let (_, part) = read(
        "address,code,error,created_at\na@x.example,605,Not delivering to this one,1793523600\n",
        &settings(),
    );
    assert_eq!(part.entries.len(), 1, "a code of Mailgun's own");
    let json = r#"[{"created":1793523600,"email":"gone@x.example","reason":"550 5.1.1 No such user","status":"5.1.1"}]"#;
    let (format, part) = read(json, &settings());
    assert_eq!((format, part.entries.len()), (Format::SendgridBounces, 1));

    let (_, part) = read(list, &ListSettings { format: Some(Format::SendgridBlocks), ..settings() });
    assert_eq!((part.entries.len(), part.skipped.sender), (0, 6), "blocks cost no recipient");
    let all =
        ListSettings { reason: Some(Reason::Hard), until: "2027-01-01T00:00:00Z".parse().ok(), ..settings() };
    let (_, part) = read(list, &all);
    assert_eq!((part.entries.len(), part.skipped.sum()), (6, 0), "a person said so");
    assert!(part.entries.iter().all(|entry| entry.expires_at == all.until && entry.reason == Reason::Hard));
}

#[test]
fn other_lists_of_sendgrid_have_one_meaning() {
    for (list, format, entry) in [
        (
            "[{\"created\":1793523600,\"email\":\"a@x.example\",\"ip\":\"192.0.2.1\"}]",
            Format::SendgridSpamReports,
            "a@x.example complaint - 2026-11-01 for ever SendGrid: spam report",
        ),
        (
            "reason,email,created\nMail domain mentioned in email address is unknown,a@x.example,1793523600\n",
            Format::SendgridInvalidEmails,
            "a@x.example hard domain_invalid 2026-11-01 2026-12-01 SendGrid: invalid address",
        ),
        (
            "ip,email,created\n192.0.2.1,a@x.example,1793523600\n",
            Format::SendgridSpamReports,
            "a@x.example complaint - 2026-11-01 for ever SendGrid: spam report",
        ),
        (
            "[{\"created\":1793523600,\"email\":\"a@x.example\"}]",
            Format::SendgridUnsubscribes,
            "a@x.example manual - 2026-11-01 for ever SendGrid: unsubscribed",
        ),
    ] {
        assert_eq!(entries(list), (format, vec![entry.to_owned()]), "{list}");
    }
}

#[test]
fn who_left_one_group_is_suppressed_where_that_is_said() {
    let groups = r#"[{"email":"a@x.example","group_id":3,"group_name":"Offers","created_at":1793523600}]"#;
    let tags = "address,tags,created_at\na@x.example,offers,2026-11-01 09:00:00 UTC\nb@x.example,*,2026-11-01 09:00:00 UTC\n";
    let (format, part) = read(groups, &settings());
    assert_eq!((format, part.entries.len(), part.skipped.one_group), (Format::SendgridUnsubscribes, 0, 1));
    let (format, part) = read(tags, &settings());
    assert_eq!((format, part.entries.len(), part.skipped.one_group), (Format::MailgunUnsubscribes, 1, 1));
    let there = ListSettings { stream: Some(7), ..settings() };
    for list in [groups, tags] {
        let (_, part) = read(list, &there);
        let first = &part.entries[0];
        assert_eq!((part.skipped.sum(), first.stream, first.reason), (0, 7, Reason::Manual));
        assert!(first.note.as_deref().unwrap().to_lowercase().ends_with(" offers"), "{first:?}");
    }
}

#[test]
fn mailgun_and_postmark_are_told_by_their_columns() {
    let hard = "a@x.example hard recipient_unknown 2026-11-01 2027-04-30 Mailgun: bounce";
    let complaint = "a@x.example complaint - 2026-11-01 for ever Mailgun: complaint";
    for (list, format, entry) in [
        (
            "address,code,error,created_at\na@x.example,550,No such mailbox,\"Sun, 01 Nov 2026 09:00:00 UTC\"\n",
            Format::MailgunBounces,
            hard,
        ),
        (
            "{\"items\":[{\"address\":\"a@x.example\",\"code\":\"550\",\"error\":\"5.1.1 No such mailbox\",\"created_at\":\"Sun, 01 Nov 2026 09:00:00 UTC\"}],\"paging\":{\"next\":\"x\"}}",
            Format::MailgunBounces,
            hard,
        ),
        (
            "{\"items\":[{\"address\":\"a@x.example\",\"created_at\":\"Sun, 01 Nov 2026 09:00:00 GMT\"}]}",
            Format::MailgunComplaints,
            complaint,
        ),
        (
            "{\"Suppressions\":[{\"EmailAddress\":\"a@x.example\",\"SuppressionReason\":\"HardBounce\",\"Origin\":\"Recipient\",\"CreatedAt\":\"2026-11-01T03:58:33-05:00\"}]}",
            Format::Postmark,
            "a@x.example hard - 2026-11-01 2027-04-30 Postmark: hard bounce",
        ),
        (
            "Recipient,Origin,SuppressionReason,CreatedAt\na@x.example,Recipient,SpamComplaint,2026-11-01\n",
            Format::Postmark,
            "a@x.example complaint - 2026-11-01 for ever Postmark: spam complaint",
        ),
        (
            "EmailAddress,SuppressionReason,Origin,CreatedAt\na@x.example,ManualSuppression,Customer,2026-11-01\n",
            Format::Postmark,
            "a@x.example manual - 2026-11-01 for ever Postmark: suppressed by hand",
        ),
        (
            "EmailAddress,SuppressionReason,Origin,CreatedAt\na@x.example,ManualSuppression,Recipient,2026-11-01\n",
            Format::Postmark,
            "a@x.example manual - 2026-11-01 for ever Postmark: unsubscribed",
        ),
    ] {
        assert_eq!(entries(list), (format, vec![entry.to_owned()]), "{list}");
    }
}

#[test]
fn a_plain_list_has_an_address_a_line() {
    let list =
        "\u{feff}# who left\r\na@x.example\r\n\r\n  <B@X.example> \n\"c@x.example\",\n\"d e\"@x.example\n";
    let (format, entries) = entries(list);
    assert_eq!(format, Format::Plain);
    let addresses: Vec<_> = entries.iter().map(|entry| entry.rsplit_once(" manual").unwrap().0).collect();
    assert_eq!(addresses, ["a@x.example", "B@X.example", "c@x.example", "\"d e\"@x.example"]);
    let (format, part) =
        read("Email\na@x.example\nnobody\n", &ListSettings { note: Some("left".into()), ..settings() });
    assert_eq!((format, part.entries[0].note.as_deref()), (Format::Plain, Some("left")));
    assert_eq!(wrong(&part), [(3, "no \"@\" in the address")]);
}

#[test]
fn our_own_list_needs_the_address_alone() {
    let list = "address,reason,stream,expires_at,recheckable,count,note,whatever\n\
        a@x.example,hard,news,2027-01-01T00:00:00Z,true,3,\"two\nlines, \"\"quoted\"\"\",x\n\
        B@X.example,,,,,,,\n\
        c@x.example,soft,0,2026-11-19T00:00:00Z,,,,\n";
    let (format, part) = read(list, &ListSettings { format: Some(Format::Csv), ..settings() });
    assert_eq!((format, wrong(&part), part.skipped.over), (Format::Csv, vec![], 1));
    let [a, b] = part.entries.as_slice() else { panic!("{part:?}") };
    assert_eq!(
        (a.stream, a.count, a.recheckable, a.note.as_deref()),
        (7, 3, true, Some("two\nlines, \"quoted\""))
    );
    assert_eq!((b.reason, b.expires_at, b.address_key.as_str()), (Reason::Manual, None, "b@x.example"));
    let (format, part) = read("{\"address\":\"a@x.example\",\"reason\":\"hard\"}\n", &settings());
    assert_eq!((format, part.entries[0].expires_at), (Format::Ndjson, "2027-05-19T12:00:00Z".parse().ok()));
    let null = "{\"address\":\"a@x.example\",\"reason\":\"hard\",\"expires_at\":null}\n";
    assert_eq!(read(null, &settings()).1.entries[0].expires_at, None, "said to be for ever");
    let (_, part) = read("address,class\nanna@kunde.example,gold\n", &settings());
    assert_eq!(wrong(&part), [(2, "class is \"gold\" and not a class of dsnd's")], "a list of customers");
}

#[test]
fn bad_lines_are_told_and_good_ones_kept() {
    let list =
        b"address,reason,stream\na@x.example,hard,0\nnobody,hard,0\nb@x.example,angry,0\nc@x.example,hard\n\
        d@x.example,hard,nowhere\n\xffe@x.example,hard,0\n\"f@x.example,hard,0\ng@x.example,hard,0\n";
    for piece in [1, 10, 1_000] {
        let (result, _, part) = read_in(piece, list, settings());
        assert_eq!(result, Ok(()));
        let addresses: Vec<_> = part.entries.iter().map(|entry| entry.address.as_str()).collect();
        assert_eq!(addresses, ["a@x.example", "g@x.example"], "{piece}");
        assert_eq!(
            wrong(&part),
            [
                (3, "no \"@\" in the address"),
                (4, "reason is \"angry\" and not soft, hard, manual or complaint"),
                (5, "2 fields, and the header has 3"),
                (6, "\"nowhere\" is no stream: [streams] names none so, and numbers go up to 16777215"),
                (7, "not UTF-8 at octet 1"),
                (8, "a quoted field that is not closed"),
            ]
        );
        assert_eq!(part.bad[4].text, b"\xffe@x.example,hard,0");
    }
    let lines =
        "{\"address\":\"a@x.example\"}\n{\"address\":\n[]\n{\"address\":\"b@x.example\",\"count\":-1}\n";
    let (format, part) = read(lines, &settings());
    assert_eq!((format, part.entries.len()), (Format::Ndjson, 1));
    assert_eq!(
        wrong(&part),
        [(2, "JSON that ends in the middle"), (3, "no JSON object"), (4, "count is \"-1\" and not a number")]
    );
}

#[test]
fn numbers_and_times_leave_room_for_what_is_still_to_come() {
    let lines = "{\"address\":\"a@x.example\",\"reason\":\"hard\",\"count\":9223372036854775807}\n\
        {\"address\":\"b@x.example\",\"last_seen\":\"9998-12-30T00:00:00Z\"}\n";
    let (_, part) = read(lines, &settings());
    assert_eq!(
        wrong(&part),
        [(1, "count is \"9223372036854775807\" and not a number"), (2, "last_seen is still to come")]
    );
}

#[test]
fn what_is_no_list_is_named() {
    let failed = |list: &[u8]| read_in(1_000, list, settings()).0.unwrap_err().to_string();
    for (list, said) in [
        (b"\xff\xfea\0@\0".as_slice(), "it is UTF-16; make it UTF-8 first"),
        (b"\x1f\x8b\x08\0", "it is compressed with gzip; unpack it first"),
        (b"PK\x03\x04\0", "it is a ZIP archive or a workbook"),
        (b"a\0b\0c\0", "it is binary"),
        (b"name,age\nx,3\n", "it begins with \"name\", \"age\""),
        (b"{\"name\": 3}\n", "its objects have \"name\""),
        (b"{\"name\": 3,\n\"age\": 4}\n", "it is JSON without a list"),
        (b"[1, 2]", "the values of the list have to be objects"),
        (b"[{\"email\": \"a@x.example\", \"group_id\": 1}", "line 1: the JSON ends in the middle"),
    ] {
        let error = failed(list);
        assert!(error.contains(said), "{error}");
    }
    let forced = ListSettings { format: Some(Format::Postmark), ..settings() };
    let error = read_in(100, b"name,age\nx,3\n", forced).0.unwrap_err().to_string();
    assert_eq!(
        error,
        "postmark lists have a column \"EmailAddress\" or \"Recipient\", and this one has \"name\", \"age\""
    );
    let (result, format, part) = read_in(1, b"\n\n", settings());
    assert_eq!((result, format, part.entries.len()), (Ok(()), None, 0), "nothing is no mistake");
}

#[test]
fn a_list_of_customers_is_refused_and_not_taken_for_unsubscribes() {
    for (list, said) in [
        (
            "email,created,name\nbest@x.example,2026-11-01,Ann\n",
            "it looks like unsubscribes of SendGrid, and has \"name\" beside their columns",
        ),
        (
            "[{\"id\":1,\"email\":\"best@x.example\",\"created\":\"2026-11-01T10:00:00Z\"}]",
            "it looks like unsubscribes of SendGrid, and has \"id\" beside their columns",
        ),
        (
            "email,created\nbest@x.example,2026-11-01\n",
            "it may be unsubscribes of SendGrid, or any list of people",
        ),
        ("email,ip,created\nbest@x.example,192.0.2.1,2026-11-01\n", "it may be spam reports of SendGrid"),
        ("email,ip,created\n", "it may be spam reports of SendGrid"),
        ("address,created_at\nbest@x.example,2026-11-01\n", "it may be complaints of Mailgun"),
        ("[{\"email\":\"best@x.example\",\"created\":\"2026-11-01\"}]", "it may be unsubscribes of SendGrid"),
        (
            "{\"address\":\"best@x.example\",\"created_at\":\"2026-11-01\"}\n",
            "it may be complaints of Mailgun",
        ),
        ("email,created_at\nbest@x.example,2026-11-01\n", "it begins with \"email\", \"created_at\""),
        (
            "{\"email\":\"best@x.example\",\"created_at\":\"2026-11-01\"}\n",
            "its objects have \"createdat\", \"email\"",
        ),
        ("address,tags\nbest@x.example,\n", "it begins with \"address\", \"tags\""),
        ("address,note\nbest@x.example,VIP\n", "it begins with \"address\", \"note\""),
        ("[\"best@x.example\"]", "it is an array of addresses, which does not say why they stand in it"),
    ] {
        let (result, _, part) = read_in(1_000, list.as_bytes(), settings());
        let error = result.unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("--format "), "{error}");
        assert_eq!(part.entries, [], "{list}");
    }
    let forced = |format| ListSettings { format: Some(format), ..settings() };
    let (_, part) =
        read("email,created,name\na@x.example,2026-11-01,Ann\n", &forced(Format::SendgridUnsubscribes));
    assert_eq!(part.entries.len(), 1, "a person said so");
    for (list, format, entry) in [
        (
            "ip,email,created\n192.0.2.1,a@x.example,1793523600\n",
            Format::SendgridSpamReports,
            "a@x.example complaint - 2026-11-01 for ever SendGrid: spam report",
        ),
        (
            "address,tags\na@x.example,\n",
            Format::MailgunUnsubscribes,
            "a@x.example manual - 2026-11-20 for ever Mailgun: unsubscribed",
        ),
        (
            "email,created\na@x.example,1793523600\n",
            Format::SendgridUnsubscribes,
            "a@x.example manual - 2026-11-01 for ever SendGrid: unsubscribed",
        ),
        (
            "address,created_at\na@x.example,\"Sun, 01 Nov 2026 09:00:00 GMT\"\n",
            Format::MailgunComplaints,
            "a@x.example complaint - 2026-11-01 for ever Mailgun: complaint",
        ),
    ] {
        let entries: Vec<_> = read(list, &forced(format)).1.entries.iter().map(told).collect();
        assert_eq!(entries, [entry], "{list}");
    }
    for list in ["[\"a@x.example\"]", "a@x.example\n"] {
        assert_eq!(read(list, &forced(Format::Plain)).1.entries.len(), 1, "{list}");
    }
    let group = read("[\"a@x.example\"]", &forced(Format::SendgridUnsubscribes)).1;
    assert_eq!((group.entries.len(), group.skipped.one_group), (0, 1), "an array is one group's");
}

#[test]
fn one_object_of_a_list_does_not_speak_for_others_with_other_keys() {
    let list = "{\"email\":\"a@x.example\",\"group_id\":3,\"created_at\":1793523600}\n\
        {\"email\":\"best@x.example\",\"group_id\":3,\"created_at\":1793523600,\"orders\":7}\n";
    let (_, part) = read(list, &ListSettings { stream: Some(7), ..settings() });
    assert_eq!(part.entries.len(), 1);
    assert_eq!(wrong(&part), [(2, "it has \"orders\", which no other list of unsubscribes of SendGrid has")]);
    let plain = "{\"email\":\"a@x.example\"}\n{\"email\":\"best@x.example\",\"orders\":7}\n";
    assert_eq!(read(plain, &settings()).1.entries.len(), 1);
}

#[test]
fn a_page_of_amazons_list_says_that_there_are_more() {
    for (end, more) in
        [("\"NextToken\": \"abc\"", true), ("\"NextToken\": null", false), ("\"x\": \"NextToken\"", false)]
    {
        let list = format!(
            "{{\"SuppressedDestinationSummaries\": [{{\"EmailAddress\": \"a@x.example\", \"Reason\": \"BOUNCE\"}}], {end}}}"
        );
        for piece in [1, list.len()] {
            let mut reader = ListReader::new(settings());
            let mut part = Part::default();
            list.as_bytes().chunks(piece).try_for_each(|bytes| reader.feed(bytes, &mut part)).unwrap();
            reader.finish(&mut part).unwrap();
            assert_eq!((reader.more_pages(), part.entries.len()), (more, 1), "{end}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(list in ".{0,300}", piece in 1_usize..50) {
        let _ = read_in(piece, list.as_bytes(), settings());
    }

    #[test]
    fn no_broken_list_makes_the_reader_panic(
        rows in proptest::collection::vec("[a-z@\",;{}\\[\\]:\n ]{0,40}", 0..20),
        start in proptest::sample::select(vec!["address,reason\n", "[", "{\"items\":[", "{\"address\":\"a@b.example\"}\n", "a@b.example\n"]),
        piece in 1_usize..50,
    ) {
        let list = format!("{start}{}", rows.join("\n"));
        let whole = read_in(list.len(), list.as_bytes(), settings());
        let pieces = read_in(piece, list.as_bytes(), settings());
        proptest::prop_assert_eq!(whole.0, pieces.0);
        proptest::prop_assert_eq!(whole.2.entries, pieces.2.entries);
        proptest::prop_assert_eq!(whole.2.bad, pieces.2.bad);
    }
}
