//! Messages made to be expensive: each must end in a report, in time and memory that follow its size.
//!
//! No clock is read. What was quadratic would take minutes here, and what was recursive would overflow.

use std::fmt::Write as _;

use dsnd::report::dsn::{MAX_EXTENSIONS, MAX_RECIPIENTS};
use dsnd::report::fields::MAX_VALUE;
use dsnd::report::mime::MAX_TEXT;
use dsnd::report::{Report, ReportKind};

const MIB: usize = 1024 * 1024;

fn dsn(status: &str) -> Report {
    let message = format!(
        "Subject: Undelivered\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\n\nSorry.\n\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
    );
    Report::parse(message.as_bytes())
}

fn has_defect(report: &Report, words: &str) -> bool {
    report.defects.iter().any(|defect| defect.what.contains(words))
}

#[test]
fn a_hundred_thousand_recipient_groups_are_all_kept() {
    let mut status = "Reporting-MTA: dns; mx.example\n\n".to_owned();
    for number in 0..MAX_RECIPIENTS {
        write!(
            status,
            "Final-Recipient: rfc822; user{number}@example.com\nAction: failed\nStatus: 5.1.1\n\n"
        )
        .unwrap();
    }
    let report = dsn(&status);
    assert_eq!(report.recipients.len(), MAX_RECIPIENTS);
    assert_eq!(report.defects, []);
    let last = report.recipients.last().and_then(|group| group.final_recipient.as_ref()).unwrap();
    assert_eq!(last.value, format!("user{}@example.com", MAX_RECIPIENTS - 1));

    status.push_str("Final-Recipient: rfc822; one@toomany.example\nAction: failed\n");
    let report = dsn(&status);
    assert_eq!(report.recipients.len(), MAX_RECIPIENTS);
    assert!(has_defect(&report, "beyond the first"));
}

#[test]
fn recipients_without_empty_lines_between_them_are_all_kept() {
    let mut status = "Reporting-MTA: dns; mx.example\n".to_owned();
    for number in 0..50_000 {
        write!(status, "Final-Recipient: rfc822; user{number}@example.com\nAction: failed\nStatus: 5.1.1\n")
            .unwrap();
    }
    let report = dsn(&status);
    assert_eq!(report.recipients.len(), 50_000);
    assert!(report.recipients.iter().all(|group| group.action.is_some() && group.status.is_some()));
}

#[test]
fn ten_thousand_messages_inside_each_other_overflow_nothing() {
    for depth in [10_000, 200_000] {
        let message = "Content-Type: message/rfc822\n\n".repeat(depth) + "Subject: inner\n\nHi.\n";
        assert_eq!(Report::parse(message.as_bytes()).kind, ReportKind::Unrecognized);
    }
}

#[test]
fn ten_thousand_multiparts_inside_each_other_are_left_closed() {
    let mut message = String::new();
    for depth in 0..10_000 {
        write!(message, "Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n").unwrap();
    }
    assert!(has_defect(&Report::parse(message.as_bytes()), "nested too deep"));
}

#[test]
fn a_hundred_thousand_parts_side_by_side_are_cut_off() {
    let part = "--b\nContent-Type: text/plain\n\nx\n";
    let message = format!("Content-Type: multipart/mixed; boundary=b\n\n{}--b--\n", part.repeat(100_000));
    assert!(has_defect(&Report::parse(message.as_bytes()), "too many parts"));
}

#[test]
fn the_delivery_status_is_found_before_parts_are_cut_off() {
    let mut message = "Content-Type: multipart/report; boundary=b\n\n".to_owned();
    for number in 0..5_000 {
        write!(
            message,
            "--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a{number}@example.com\nAction: failed\n\n"
        )
        .unwrap();
    }
    let report = Report::parse(message.as_bytes());
    assert_eq!(report.kind, ReportKind::Dsn);
    assert!(report.recipients.len() >= 500);
}

#[test]
fn a_group_said_many_times_over_is_one() {
    let status = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n".repeat(10_000);
    let report = dsn(&status);
    assert_eq!(report.recipients.len(), 1);
    assert!(has_defect(&report, "9999 recipient groups say what one before them said"));
}

#[test]
fn long_header_fields_cost_their_length_once() {
    for name in [
        "Subject",
        "From",
        "To",
        "Content-Type",
        "Message-ID",
        "Date",
        "Auto-Submitted",
        "X-Failed-Recipients",
        "X-Junk",
    ] {
        for unit in [
            "a",
            "=?ab?q?",
            "=?AB?q?",
            "=?utf-8?b?",
            "(",
            "<",
            "\"",
            "\\",
            ",",
            ";a*1=b",
            "a@b.c, ",
            " \n\t",
            "\n =?",
            "?",
            ";",
            "(\\",
        ] {
            let message = format!("{name}: {}\n\nbody\n", unit.repeat(MIB / 4 / unit.len()));
            let report = Report::parse(message.as_bytes());
            assert!(report.text.len() <= MAX_TEXT);
        }
    }
}

#[test]
fn long_fields_of_a_group_are_cut_and_cost_their_length_once() {
    for name in [
        "Final-Recipient",
        "Action",
        "Status",
        "Diagnostic-Code",
        "Remote-MTA",
        "Last-Attempt-Date",
        "X-Other",
    ] {
        for unit in [
            "a",
            "=?AB?q?",
            "(",
            "((\\",
            "<",
            "\\x{",
            "utf-8;\\x{",
            ";",
            "\"",
            "5.1.",
            "550 ",
            "\n ",
            "\n\n x",
            "-",
        ] {
            let status = format!(
                "Final-Recipient: rfc822; a@example.com\n\n{name}: x;{}\n",
                unit.repeat(MIB / unit.len())
            );
            for group in &dsn(&status).recipients {
                assert!(group.extensions.iter().all(|field| field.value.len() <= MAX_VALUE));
                assert!(group.diagnostic_code.as_ref().is_none_or(|code| code.text.len() <= MAX_VALUE));
            }
        }
    }
}

#[test]
fn a_million_header_lines_are_passed_over() {
    let message = "X: y\n".repeat(1_000_000) + "\nbody";
    assert!(has_defect(&Report::parse(message.as_bytes()), "too many header fields"));
}

#[test]
fn a_million_fields_in_one_group_keep_the_recipient() {
    let status =
        format!("Final-Recipient: rfc822; a@example.com\nAction: failed\n{}", "X-Y: z\n".repeat(1_000_000));
    let report = dsn(&status);
    assert_eq!(report.recipients.len(), 1);
    assert_eq!(report.recipients[0].extensions.len(), MAX_EXTENSIONS);
    assert!(report.defects.len() <= 101);
}

#[test]
fn bodies_of_nuls_line_feeds_or_delimiters_are_text_or_nothing() {
    for unit in
        ["\0", "\n", "--\n", "--b\n", "--b", "\r", " \n", "--b\nContent-", ":\n", "From x\n", "\u{ff}"]
    {
        for kind in [
            "text/plain",
            "text/html",
            "multipart/report; report-type=delivery-status; boundary=b",
            "multipart/mixed",
            "message/delivery-status",
            "message/rfc822",
        ] {
            let message = format!("Content-Type: {kind}\n\n{}", unit.repeat(2 * MIB / unit.len()));
            let report = Report::parse(message.as_bytes());
            assert!(report.text.len() <= MAX_TEXT, "{unit:?} {kind}");
            assert!(report.recipients.is_empty(), "{unit:?} {kind}");
        }
    }
}

#[test]
fn encoded_bodies_are_decoded_within_bounds() {
    for encoding in ["base64", "quoted-printable"] {
        for unit in ["QUFB", "=", "=3D", "= ", "=\n", "A=", "!"] {
            for kind in
                ["text/html", "message/delivery-status", "message/rfc822", "multipart/mixed; boundary=b"]
            {
                let body = unit.repeat(2 * MIB / unit.len());
                let message =
                    format!("Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n{body}");
                assert!(Report::parse(message.as_bytes()).text.len() <= MAX_TEXT);
            }
        }
    }
}

#[test]
fn no_bytes_at_all_are_an_unrecognized_report() {
    assert_eq!(Report::parse(b"").kind, ReportKind::Unrecognized);
    assert_eq!(Report::parse(&[0; 4096]).kind, ReportKind::Unrecognized);
}

#[test]
fn a_long_word_at_the_end_costs_its_length_once() {
    let mut message = b"From: MAILER-DAEMON@mx.example\n\n".to_vec();
    message.extend(std::iter::repeat_n(b'a', 10 << 20));
    message.push(b' ');
    message.extend(std::iter::repeat_n(b'a', 300));
    message.extend(b"@b.example");
    let report = Report::parse(&message);
    assert!(has_defect(&report, "ends in the middle of a line with an address"));
}

#[test]
fn the_end_of_a_longer_address_is_not_the_one_that_was_cut() {
    let cut = |before: &str| {
        let message = format!("From: MAILER-DAEMON@mx.example\n\nTo {before} it failed for\nann@x.co");
        has_defect(&Report::parse(message.as_bytes()), "ends in the middle of a line with an address")
    };
    assert!(cut("joann@x.co") && cut("ann@x.com") && cut("ann@x.co.uk"));
    assert!(!cut("ann@x.co") && !cut("<ANN@x.co>"), "it stands there whole");
}
