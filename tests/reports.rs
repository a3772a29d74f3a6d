//! Golden messages: every `tests/data/reports/*.eml` reads as the `.json` beside it says.
//!
//! `UPDATE_GOLDEN=1 cargo test --test reports` writes the `.json` files anew; read the difference before keeping it.

use std::fs;
use std::path::{Path, PathBuf};

use dsnd::address::TypedAddress;
use dsnd::report::feedback::Feedback;
use dsnd::report::{Field, RecipientFields, Report, ReturnedMessage};
use proptest::prelude::*;
use serde_json::{Value, json};

/// An empty folder must not pass.
const AT_LEAST: usize = 230;

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reports");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    files.sort();
    assert!(files.len() >= AT_LEAST, "only {} golden messages", files.len());
    files
}

fn typed(address: Option<&TypedAddress>) -> Value {
    address.map_or(Value::Null, |address| json!({ "type": address.kind, "value": address.value }))
}

fn fields(fields: &[Field]) -> Value {
    fields.iter().map(|field| json!([field.name, field.value])).collect()
}

fn recipient(group: &RecipientFields) -> Value {
    let date = |date: Option<jiff::Timestamp>| date.map(|date| date.to_string());
    json!({
        "original_recipient": typed(group.original_recipient.as_ref()),
        "final_recipient": typed(group.final_recipient.as_ref()),
        "action": group.action.map(|action| action.as_str()),
        "status": group.status.map(|status| status.to_string()),
        "remote_mta": typed(group.remote_mta.as_ref()),
        "diagnostic_code": group.diagnostic_code.as_ref().map(|code| json!({ "type": code.kind, "text": code.text })),
        "last_attempt_date": date(group.last_attempt_date),
        "final_log_id": group.final_log_id,
        "will_retry_until": date(group.will_retry_until),
        "extensions": fields(&group.extensions),
    })
}

fn original(message: &ReturnedMessage) -> Value {
    json!({
        "message_id": message.message_id,
        "from": message.from,
        "to": message.to,
        "delivered_to": message.delivered_to,
        "subject": message.subject,
    })
}

fn feedback(feedback: &Feedback) -> Value {
    json!({
        "feedback_type": feedback.feedback_type,
        "user_agent": feedback.user_agent,
        "original_mail_from": feedback.original_mail_from,
        "arrival_date": feedback.arrival_date.map(|date| date.to_string()),
        "source_ip": feedback.source_ip.map(|address| address.to_string()),
        "reported_domains": feedback.reported_domains,
    })
}

fn as_json(report: &Report) -> Value {
    let mut out = json!({
        "kind": report.kind.as_str(),
        "header": {
            "message_id": report.header.message_id,
            "from": report.header.from,
            "subject": report.header.subject,
            "date": report.header.date.map(|date| date.to_string()),
            "auto_submitted": report.header.auto_submitted,
            "failed_recipients": report.header.failed_recipients,
        },
        "message": {
            "original_envelope_id": report.message.original_envelope_id,
            "reporting_mta": typed(report.message.reporting_mta.as_ref()),
            "dsn_gateway": typed(report.message.dsn_gateway.as_ref()),
            "received_from_mta": typed(report.message.received_from_mta.as_ref()),
            "arrival_date": report.message.arrival_date.map(|date| date.to_string()),
            "extensions": fields(&report.message.extensions),
        },
        "recipients": report.recipients.iter().map(recipient).collect::<Vec<_>>(),
        "original": report.original.as_ref().map(original),
        "text": report.text,
        "defects": report.defects.iter().map(|defect| format!("{}: {}", defect.place, defect.what)).collect::<Vec<_>>(),
    });
    // Only where there is something: most reports are bounces.
    if let Some(found) = &report.feedback {
        out["feedback"] = feedback(found);
    }
    if let Some(found) = &report.automatic {
        out["automatic"] = json!([format!("{:?}", found.kind), found.evidence]);
    }
    out
}

#[test]
fn golden_messages_read_as_written_down() {
    let bless = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in golden() {
        let got =
            serde_json::to_string_pretty(&as_json(&Report::parse(&fs::read(&path).unwrap()))).unwrap() + "\n";
        let expected = path.with_extension("json");
        if bless {
            fs::write(&expected, &got).unwrap();
        }
        let want = fs::read_to_string(&expected).unwrap_or_default();
        if got != want {
            wrong.push(format!("{}\n--- expected\n{want}\n--- got\n{got}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn line_ends_change_nothing() {
    for path in golden() {
        let bytes = fs::read(&path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let lf: Vec<u8> = bytes.iter().copied().filter(|&byte| byte != b'\r').collect();
        let crlf: Vec<u8> =
            lf.iter().flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect();
        assert_eq!(as_json(&Report::parse(&lf)), as_json(&Report::parse(&crlf)), "{}", path.display());
    }
}

proptest! {
    #[test]
    fn any_bytes_become_a_report(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = Report::parse(&bytes);
    }

    #[test]
    fn any_words_of_the_format_become_a_report(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..120)) {
        let _ = Report::parse(words.concat().as_bytes());
    }

    /// Cut at one place, a piece doubled, bytes flipped.
    #[test]
    fn damaged_reports_become_reports(
        which in any::<proptest::sample::Index>(),
        cut in any::<proptest::sample::Index>(),
        piece in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let files = golden();
        let bytes = fs::read(which.get(&files)).unwrap();
        prop_assume!(!bytes.is_empty());
        let _ = Report::parse(&bytes[..cut.index(bytes.len())]);
        let (a, b) = (piece.0.index(bytes.len()), piece.1.index(bytes.len()));
        let doubled = [&bytes[..a.max(b)], &bytes[a.min(b)..]].concat();
        let _ = Report::parse(&doubled);
        let mut flipped = bytes;
        for (at, with) in flips {
            let at = at.index(flipped.len());
            flipped[at] ^= with;
        }
        let _ = Report::parse(&flipped);
    }
}

const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "\t",
    ":",
    ";",
    "(",
    ")",
    "<",
    ">",
    "\"",
    "\\",
    "\\x{",
    "}",
    "=?",
    "?=",
    "=",
    "--",
    "--b",
    "--b--",
    "\r",
    "=?utf-8?q?",
    "=?utf-8?b?",
    "Content-Type: ",
    "multipart/report; boundary=b",
    "message/delivery-status",
    "message/rfc822",
    "text/html",
    "<style>",
    "<!--",
    "&#x1F600;",
    "Content-Transfer-Encoding: base64",
    "quoted-printable",
    "charset=utf-7",
    "charset=iso-2022-jp",
    "charset*0*=utf-8''%",
    "Final-Recipient: ",
    "Action: failed",
    "Status: 5.1.1",
    "rfc822;",
    "a@b.example",
    "Date: ",
    "Tue, 17 Nov 2026 09:14:05 +0100",
    "9999999999",
    "+",
    "-",
    "ü",
    "\u{0}",
    "x",
    "Diagnostic-Code: smtp;",
    "From: ",
    "To: ",
    "Subject: ",
    "Message-ID: ",
];
