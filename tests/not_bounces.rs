//! What is no bounce, through to what it does: complaints suppress, answers of machines do nothing, and ordinary
//! mail names nobody.

use std::fs;
use std::path::Path;

use dsnd::classify::{Class, Classifier, Decision};
use dsnd::ingest::assess;
use dsnd::report::{Report, ReportKind};

/// The name of a message, and of each recipient the address, the class and the decision.
type Results = Vec<(String, Vec<(Option<String>, Class, Decision)>)>;

/// The classes and decisions of the recipients of every golden message whose name begins like this.
fn results(prefix: &str, at_least: usize) -> Results {
    let classifier = Classifier::embedded().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reports");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(prefix) || !name.ends_with(".eml") {
            continue;
        }
        let report = Report::parse(&fs::read(&path).unwrap());
        let assessed = report.recipients.iter().map(|fields| assess(&classifier, &report, fields));
        let brief = |one: dsnd::ingest::Assessed| {
            (one.recipient, one.classification.class, one.classification.decision)
        };
        all.push((name, assessed.map(brief).collect()));
    }
    assert!(all.len() >= at_least, "only {} messages named {prefix}", all.len());
    all
}

#[test]
fn only_complaints_about_abuse_and_wishes_to_be_left_alone_suppress() {
    for (name, recipients) in results("arf-", 13) {
        let harmless =
            ["arf-not-spam.eml", "arf-virus.eml", "arf-auth-failure.eml", "arf-no-machine-part-no-words.eml"];
        assert!(!recipients.is_empty(), "{name}");
        for (recipient, class, decision) in recipients {
            let complaint = class == Class::Complaint && decision == Decision::Complaint;
            assert_eq!(complaint, !harmless.contains(&name.as_str()), "{name}");
            if !complaint {
                assert!(matches!(decision, Decision::Ignore | Decision::Sender), "{name}: {decision}");
            }
            let hidden = ["arf-redacted.eml", "arf-text-only.eml"].contains(&name.as_str());
            assert_eq!(recipient.is_none(), hidden, "{name}: {recipient:?}");
        }
    }
}

#[test]
fn answers_of_machines_do_nothing() {
    for (prefix, at_least, class) in [
        ("autoreply-", 19, Class::AutoReply),
        ("challenge-", 4, Class::Challenge),
        ("mdn-", 2, Class::AutoReply),
    ] {
        for (name, recipients) in results(prefix, at_least) {
            let expected = [(Some("ida@plants.example".to_owned()), class, Decision::Ignore)];
            assert_eq!(recipients, expected, "{name}");
        }
    }
}

#[test]
fn ordinary_mail_names_nobody() {
    for (name, recipients) in results("ordinary-", 7) {
        assert!(recipients.is_empty(), "{name}: {recipients:?}");
    }
}

#[test]
fn our_own_list_and_deliveries_suppress_nobody() {
    for (name, recipients) in results("service-ses-", 9) {
        let suppresses = recipients
            .iter()
            .any(|(_, _, decision)| matches!(decision, Decision::Suppress | Decision::Complaint));
        let right = [
            "service-ses-bounce.eml",
            "service-ses-bounce-sns-folded.eml",
            "service-ses-bounce-suppressed.eml",
            "service-ses-complaint.eml",
        ];
        assert_eq!(suppresses, right.contains(&name.as_str()), "{name}: {recipients:?}");
    }
}

#[test]
fn people_who_write_of_mail_that_failed_name_nobody() {
    for letter in [
        "From: joe@customer.example\nSubject: My undelivered mail to anna@x.example\n\n\
         Hello, my mail to anna@x.example could not be delivered. user unknown. Please help.\n",
        "From: tracking@courier.example\nSubject: Delivery failed: your parcel\n\n\
         We were unable to deliver your parcel to the recipient anna@x.example. invalid address\n",
        "From: news@shop.example\nSubject: Your weekly mail delivery report\n\n\
         Failed recipients: anna@x.example (mailbox full), bob@x.example user unknown\n",
    ] {
        let report = Report::parse(letter.as_bytes());
        assert!(report.recipients.is_empty(), "{letter}: {:?}", report.recipients);
    }
}

/// What a mail system says of an address that is gone, as qmail writes it.
const BOUNCE: &str = "Hi. This is the qmail-send program at mx.example.net.\n\
    I'm afraid I wasn't able to deliver your message to the following addresses.\n\n\
    <ida@plants.example>:\n192.0.2.9 does not like recipient.\nRemote host said: 550 5.1.1 User unknown\n";

/// A report of the same for machines, from its header on.
const REPORT: &str = "From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail Returned to Sender\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n\
    --r\n\nIt failed.\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n\
    Final-Recipient: rfc822; ida@plants.example\nAction: failed\nStatus: 5.1.1\n--r--\n";

#[test]
fn a_machine_that_quotes_a_bounce_in_an_answer_or_a_forward_reports_none() {
    let attached = |report: &str, essence: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary=m\n\n--m\n\nSee below.\n--m\nContent-Type: {essence}\n\n{report}\n--m--\n"
        )
    };
    let status = REPORT.split_once("delivery-status\n\n").unwrap().1.replace("--r--", "");
    let bodies = [
        format!("\n{BOUNCE}"),
        format!("\nI am away.\n\n> {}", BOUNCE.replace('\n', "\n> ")),
        attached(REPORT, "message/rfc822"),
        attached(&status, "message/delivery-status"),
    ];
    for fields in [
        "Subject: Fwd: Undelivered Mail Returned to Sender",
        "Subject: WG: failure notice",
        "Subject: Re: failure notice",
        "Subject: RE : failure notice",
        "Subject: Aw[2]: failure notice",
        "Subject: Out of office: failure notice",
        "Subject: Re: What to plant\nAuto-Submitted: auto-replied",
        "Subject: I am away\nX-Autoreply: yes",
        "Subject: Your question\nIn-Reply-To: <1@shop.example>",
    ] {
        for body in &bodies {
            let letter = format!("From: Ida <ida@plants.example>\n{fields}\n{body}");
            let report = Report::received(letter.as_bytes(), "");
            assert!(matches!(report.kind, ReportKind::AutoReply | ReportKind::Unrecognized), "{letter}");
            let classifier = Classifier::embedded().unwrap();
            for fields in &report.recipients {
                let decision = assess(&classifier, &report, fields).classification.decision;
                assert_eq!(decision, Decision::Ignore, "{letter}");
            }
        }
    }
    // The same bodies under the header of a mail system are bounces, whatever its subject begins with.
    for from in ["MAILER-DAEMON@plants.example", "postmaster@plants.example"] {
        for body in &bodies[..1] {
            let letter = format!("From: {from}\nSubject: Re: What to plant\n{body}");
            assert_eq!(Report::received(letter.as_bytes(), "").kind, ReportKind::TextBounce, "{letter}");
        }
    }
}
