//! `Report::parse`: from bytes to parts, and from parts to the report.

use std::borrow::Cow;

use super::defects::Defects;
use super::header::{Header, field_name, line_end, trim_eol};
use super::parts::{DELIVERY_STATUS, Leaf, Parts, walk};
use super::{
    Report, ReportHeader, ReportKind, automatic, dsn, feedback, fields, kind, legacy, mdn, mime, returned,
};
use crate::address::{MAX_DOMAIN, MAX_LOCAL_PART};

/// Attached messages inside attached messages that are opened in search of a report.
const MAX_MESSAGES_DEEP: usize = 3;

/// Attached messages opened in all.
const MAX_MESSAGES: usize = 20;

/// Longest address (RFC 5321 §4.5.3.1) that is looked for once more.
const MAX_ADDRESS: usize = MAX_LOCAL_PART + 1 + MAX_DOMAIN;

const RETURNED: [&str; 7] = [
    "message/rfc822",         // RFC 2046 §5.2.1
    "message/global",         // RFC 6532 §3.7
    "text/rfc822-headers",    // RFC 6522 §4
    "message/rfc822-headers", // not registered, seen
    "text/rfc822-header",     // likewise
    "message/global-headers", // RFC 6533 §6
    "message/partial",        // RFC 2046 §5.2.2
];

impl Report {
    /// Reads a message that came back.
    ///
    /// Takes any bytes: a mail message with LF, CRLF or both as line ends, cut, broken or empty, with or
    /// without an mbox `From ` line. Costs time and memory in proportion to the input. Never fails: what
    /// could not be read is among [`Report::defects`], and what is no report has the kind
    /// [`ReportKind::Unrecognized`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        Self::read(bytes, None)
    }

    /// The same for a message as it came by SMTP: its Return-Path is the reverse-path of the envelope, without angle
    /// brackets, and empty for the null one; what its header says of that is not believed (RFC 5321 §4.4).
    #[must_use]
    pub fn received(bytes: &[u8], reverse_path: &str) -> Self {
        Self::read(bytes, Some(format!("<{reverse_path}>").as_bytes()))
    }

    fn read(bytes: &[u8], return_path: Option<&[u8]>) -> Self {
        let mut defects = Defects::default();
        let bytes = without_cut_address(bytes, &mut defects);
        let mut parts = walk(bytes, &mut defects);
        if let Some(return_path) = return_path {
            parts.header.put_first("Return-Path", return_path);
        }
        let mut report = read(&parts, &mut defects);
        if matches!(report.kind, ReportKind::Unrecognized | ReportKind::TextBounce)
            && !kind::is_quoting(&parts.header, &report.header)
            && let Some(inner) = attached_report(&parts, &report, MAX_MESSAGES_DEEP, &mut defects)
        {
            report.kind = inner.kind;
            report.message = inner.message;
            report.recipients = inner.recipients;
            report.guessed = inner.guessed;
            report.original = inner.original;
            report.feedback = inner.feedback;
            report.automatic = inner.automatic;
            report.text = if inner.text.trim().is_empty() { report.text } else { inner.text };
        }
        report.defects = defects.into_list();
        report
    }
}

/// Leaves out a last line that ends in an address and has no line end, where the same address stands nowhere before it:
/// half an address is somebody else's.
fn without_cut_address<'m>(bytes: &'m [u8], defects: &mut Defects) -> &'m [u8] {
    let is_outside = |byte: u8| byte.is_ascii_whitespace() || b"<>()[],;:\"'".contains(&byte);
    let start = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let word = bytes.iter().rposition(|&byte| is_outside(byte)).map_or(0, |end| end + 1);
    let last = &bytes[word..];
    let mut words = bytes[..word].split(|&byte| is_outside(byte));
    let mut stands_before = || words.any(|text| text.eq_ignore_ascii_case(last));
    if !last.contains(&b'@') || (last.len() <= MAX_ADDRESS && stands_before()) {
        return bytes;
    }
    defects.add(
        "mime",
        "the message ends in the middle of a line with an address; the line was left out",
        "",
    );
    &bytes[..start]
}

/// Everything but the defects.
fn read(parts: &Parts<'_>, defects: &mut Defects) -> Report {
    let header = report_header(&parts.header, defects);
    let mut reader = dsn::Reader::default();
    let mut statuses = delivery_statuses(parts, defects);
    if parts.content_type.essence != "multipart/report" && kind::is_quoting(&parts.header, &header) {
        statuses = Statuses::default();
    }
    for body in &statuses.bodies {
        reader.read(body, defects);
    }
    reader.finish(defects);
    let kind = kind_of(parts, &header, !statuses.bodies.is_empty());
    if kind == ReportKind::Dsn && reader.recipients.is_empty() {
        defects.add("Final-Recipient", "a delivery status without a single recipient", "");
    }
    let mut report = Report {
        kind,
        header,
        message: reader.message,
        recipients: reader.recipients,
        original: returned_message(parts, &statuses.used, defects),
        feedback: None,
        automatic: None,
        text: text(parts, &statuses.used),
        guessed: false,
        defects: Vec::new(),
    };
    if report.recipients.is_empty() {
        read_letter(parts, &mut report, defects);
    }
    read_others(parts, &mut report, defects);
    if report.kind == ReportKind::Unrecognized && is_bounce_by_its_words(parts, &report) {
        report.kind = ReportKind::TextBounce;
    }
    report
}

/// Whether a letter that nothing else tells is a bounce that names nobody: a mail system's own address wrote it, it
/// has the null reverse-path of a bounce (RFC 5321 §4.5.5), and it speaks of a failure.
fn is_bounce_by_its_words(parts: &Parts<'_>, report: &Report) -> bool {
    let from = report.header.from.as_deref().unwrap_or_default().to_lowercase();
    kind::has_null_path(&parts.header) && !from.is_empty() && kind::is_daemon(&from) && {
        let original = report.original.as_ref();
        let letter = legacy::Letter::new(&parts.header, &report.header, &report.text, original, false);
        letter.speaks_of_failure()
    }
}

/// What is no bounce: complaints, disposition notifications and automatic replies.
fn read_others(parts: &Parts<'_>, report: &mut Report, defects: &mut Defects) {
    let open = matches!(report.kind, ReportKind::Unrecognized | ReportKind::AutoReply);
    if open {
        let subject = report.header.subject.as_deref().unwrap_or_default();
        if let Some(feedback_type) = feedback::informal(parts, subject, &report.text) {
            report.kind = ReportKind::Feedback;
            report.feedback =
                Some(feedback::Feedback { feedback_type: Some(feedback_type), ..Default::default() });
        }
    }
    match report.kind {
        // RFC 5965 §2
        ReportKind::Feedback if report.recipients.is_empty() => {
            let complaint = feedback::read(parts, report.original.as_ref(), &report.text, defects);
            let mut read = complaint.feedback;
            read.feedback_type = read
                .feedback_type
                .or_else(|| report.feedback.take().and_then(|informal| informal.feedback_type));
            report.feedback = Some(read);
            report.recipients = complaint.recipients;
            report.message.original_envelope_id = complaint.original_envelope_id;
        }
        // RFC 8098 §3
        ReportKind::Mdn => {
            let (found, recipients) = mdn::read(parts, defects);
            report.automatic = Some(found);
            report.recipients = recipients;
        }
        ReportKind::Unrecognized | ReportKind::AutoReply => {
            let known = report.kind == ReportKind::AutoReply;
            if let Some(found) = automatic::read(&parts.header, &report.header, &report.text, known) {
                report.kind = ReportKind::AutoReply;
                report.automatic = Some(found);
                report.recipients = automatic::recipients(&report.header);
            }
        }
        _ => {}
    }
}

/// Reads the recipients out of the text, where no machine's part names them.
fn read_letter(parts: &Parts<'_>, report: &mut Report, defects: &mut Defects) {
    let bounce = matches!(report.kind, ReportKind::TextBounce | ReportKind::Dsn);
    if !bounce && !matches!(report.kind, ReportKind::Unrecognized | ReportKind::AutoReply) {
        return;
    }
    let letter =
        legacy::Letter::new(&parts.header, &report.header, &report.text, report.original.as_ref(), bounce);
    let Some(found) = legacy::read(&letter) else {
        // "Delivery failed" is what couriers of parcels write, too: where neither sender nor text speaks of mail,
        // the subject alone makes no bounce.
        let subject = report.header.subject.as_deref().unwrap_or_default().to_lowercase();
        let claimed = parts.content_type.essence == "multipart/report"
            || ["mail", "message", "undeliver"].iter().any(|word| subject.contains(word));
        if report.kind == ReportKind::TextBounce && !claimed && !letter.is_by_machine() {
            report.kind = ReportKind::Unrecognized;
        }
        return;
    };
    let (by_system, from_a_list) = (letter.is_by_mail_system(), letter.is_from_a_list());
    report.feedback = found.reading.feedback;
    if report.feedback.is_some() {
        report.kind = ReportKind::Feedback;
    } else if !bounce {
        report.kind = ReportKind::TextBounce;
    }
    if let Some(remark) = found.reading.confidence.remark() {
        defects.add("recipient", remark, found.family);
    }
    if found.reading.recipients.len() >= legacy::MAX_RECIPIENTS {
        defects.add(
            "recipient",
            "more recipients than are read from prose; the later ones are not listed",
            "",
        );
    }
    report.guessed = match found.reading.confidence {
        legacy::Confidence::Sure => from_a_list,
        legacy::Confidence::Likely => from_a_list || !by_system,
        legacy::Confidence::Doubtful => true,
    };
    report.recipients = found.reading.recipients;
    if report.message == super::MessageFields::default() {
        report.message = found.reading.message;
    }
    report.original = report.original.take().or(found.original);
    // What follows is the returned message, whose words must not be taken for the report's.
    if let Some(at) = found.reading.original_at {
        report.text.truncate(report.text.floor_char_boundary(at));
    }
}

fn kind_of(parts: &Parts<'_>, header: &ReportHeader, has_status: bool) -> ReportKind {
    let has = |essence: &str| parts.leaves.iter().any(|leaf| leaf.content_type.essence == essence);
    let claims = |kind: &str| {
        parts.content_type.essence == "multipart/report"
            && parts.content_type.report_type.as_deref() == Some(kind)
    };
    if has("message/feedback-report") || (claims("feedback-report") && !has_status) {
        return ReportKind::Feedback; // RFC 5965 §2
    }
    if has_status {
        return ReportKind::Dsn;
    }
    if has("message/disposition-notification") || claims("disposition-notification") {
        return ReportKind::Mdn; // RFC 8098 §3
    }
    kind::without_parts(&parts.header, header, claims("delivery-status"))
}

fn report_header(header: &Header<'_>, defects: &mut Defects) -> ReportHeader {
    if header.no_blank_line {
        defects.add("mime", "no empty line between header and body", "");
    }
    let text = |name| header.first(name).map(mime::unstructured).filter(|value| !value.is_empty());
    let date = text("Date");
    let read_date = date.as_deref().and_then(mime::date);
    if let (Some(date), None) = (&date, read_date) {
        defects.add("Date", "could not be read", date);
    }
    let auto_submitted = text("Auto-Submitted").map(|value| {
        let bare = fields::without_comments(&value).to_ascii_lowercase();
        bare.split(';').next().unwrap_or_default().trim().to_owned() // RFC 3834 §5
    });
    let mut report = ReportHeader {
        message_id: header.first("Message-ID").and_then(mime::message_id),
        from: header.first("From").and_then(|raw| mime::addresses(raw).into_iter().next()),
        subject: text("Subject"),
        date: read_date,
        auto_submitted: auto_submitted.filter(|word| !word.is_empty()),
        failed_recipients: header
            .all("X-Failed-Recipients")
            .flat_map(|raw| match mime::unstructured(raw) {
                value if value.contains('"') => mime::addresses(raw),
                value => value.split(',').map(|one| one.trim().to_owned()).collect(),
            })
            .filter(|one| !one.is_empty())
            .take(dsn::MAX_RECIPIENTS)
            .collect(),
        by_mail_system: false,
    };
    report.by_mail_system = kind::is_by_mail_system(header, &report);
    report
}

#[derive(Default)]
struct Statuses<'p> {
    bodies: Vec<Cow<'p, [u8]>>,
    /// Which leaves they came from.
    used: Vec<usize>,
}

/// The delivery-status bodies: by their type, else parts of a report that read like one, else the bytes after
/// a `Content-Type` line that stands where no boundary made it a part.
fn delivery_statuses<'p>(parts: &'p Parts<'_>, defects: &mut Defects) -> Statuses<'p> {
    let mut found = Statuses { bodies: Vec::new(), used: Vec::new() };
    for (at, leaf) in parts.leaves.iter().enumerate() {
        if DELIVERY_STATUS.contains(&leaf.content_type.essence.as_str()) {
            found.bodies.push(status_body(leaf, defects));
            found.used.push(at);
        }
    }
    if !found.bodies.is_empty() {
        return found;
    }
    for (at, leaf) in parts.leaves.iter().enumerate().filter(|(_, leaf)| leaf.in_report) {
        let essence = leaf.content_type.essence.as_str();
        if (essence.is_empty() || essence.starts_with("text/") || essence.starts_with("application/"))
            && essence != "text/rfc822-headers"
        {
            let (body, _) = mime::decode(&leaf.body, leaf.encoding, usize::MAX);
            if fields::looks_like_delivery_status(&body) {
                defects.add("mime", "a delivery status labelled as something else", essence);
                found.bodies.push(body);
                found.used.push(at);
            }
        }
    }
    if found.bodies.is_empty()
        && parts.content_type.essence == "multipart/report"
        && let Some((at, body)) =
            parts.leaves.iter().enumerate().find_map(|(at, leaf)| Some((at, unmarked_status(&leaf.body)?)))
    {
        defects.add("mime", "a delivery status that no boundary sets apart", "");
        found.bodies.push(Cow::Borrowed(body));
        found.used.push(at);
    }
    found
}

/// A delivery-status body, decoded. Without the empty line after its header, it begins inside of that.
fn status_body<'p>(leaf: &'p Leaf<'_>, defects: &mut Defects) -> Cow<'p, [u8]> {
    match &leaf.whole {
        Some(whole) if fields::looks_like_delivery_status(from_first_known_field(whole)) => {
            defects.add("mime", "no empty line between header and body", &leaf.content_type.essence);
            Cow::Borrowed(from_first_known_field(whole))
        }
        _ => leaf.decoded(usize::MAX, defects),
    }
}

/// The rest of a part from its first field that RFC 3464 names.
fn from_first_known_field(part: &[u8]) -> &[u8] {
    let mut at = 0;
    while at < part.len() {
        let end = line_end(part, at);
        let name = field_name(trim_eol(&part[at..end]));
        if name.is_some_and(|(name, _)| fields::role(name) != fields::Role::Extension) {
            return &part[at..];
        }
        at = end;
    }
    &[]
}

/// What follows a `Content-Type: message/delivery-status` line inside of a body, up to the next `--` line.
fn unmarked_status(body: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    let mut start = None;
    while at < body.len() {
        let end = line_end(body, at);
        let line = trim_eol(&body[at..end]);
        match start {
            None => {
                let named = field_name(line).filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
                if let Some((_, colon)) = named
                    && DELIVERY_STATUS.contains(&mime::content_type(&line[colon + 1..]).essence.as_str())
                {
                    start = Some(end);
                }
            }
            Some(start) if line.starts_with(b"--") => return Some(&body[start..at]),
            Some(_) => {}
        }
        at = end;
    }
    start.map(|start| &body[start..])
}

/// The returned message: the first part of such a type that holds anything.
fn returned_message(
    parts: &Parts<'_>,
    used: &[usize],
    defects: &mut Defects,
) -> Option<super::ReturnedMessage> {
    let typed = parts.leaves.iter().filter(|leaf| RETURNED.contains(&leaf.content_type.essence.as_str()));
    let mut cut_short = None;
    for leaf in typed {
        let body = leaf.decoded(returned::MAX_HEADER, defects);
        if let Some(message) = returned::read(&body) {
            return Some(message);
        }
        cut_short = cut_short.or(leaf.whole.as_deref());
    }
    // Without the empty line after the part's header, the returned header is part of that.
    if let Some(message) = cut_short.and_then(returned::read) {
        return Some(message);
    }
    // A third part labelled as something else, or as nothing (RFC 6522 §3).
    let last =
        parts.leaves.iter().enumerate().skip(1).rev().find(|(at, leaf)| leaf.in_report && !used.contains(at));
    last.filter(|_| !used.is_empty()).and_then(|(_, leaf)| {
        let (body, _) = mime::decode(&leaf.body, leaf.encoding, returned::MAX_HEADER);
        returned::read(&body).filter(|message| message.message_id.is_some() && message.from.is_some())
    })
}

/// The text for people: the plain text parts before the delivery status, else before nothing, else HTML.
fn text(parts: &Parts<'_>, used: &[usize]) -> String {
    let status_at = used.first().copied().unwrap_or(parts.leaves.len());
    let returned_at =
        parts.leaves.iter().position(|leaf| RETURNED.contains(&leaf.content_type.essence.as_str()));
    let end = status_at.min(returned_at.unwrap_or(usize::MAX));
    let plain = |leaf: &Leaf<'_>| matches!(leaf.content_type.essence.as_str(), "text/plain" | "" | "text/");
    let html = |leaf: &Leaf<'_>| leaf.content_type.essence == "text/html";
    let mut out = String::new();
    // What stands before the machine's part first; reports with their parts out of order have it behind.
    for (range, wanted) in [
        (0..end, &plain as &dyn Fn(&Leaf<'_>) -> bool),
        (0..end, &html),
        (end..parts.leaves.len(), &plain),
        (end..parts.leaves.len(), &html),
    ] {
        for (_, leaf) in range.filter(|at| !used.contains(at)).map(|at| (at, &parts.leaves[at])) {
            if !wanted(leaf) || out.len() >= mime::MAX_TEXT {
                continue;
            }
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&mime::text(&leaf.body, leaf.encoding, &leaf.content_type));
        }
        if !out.trim().is_empty() {
            break;
        }
    }
    if out.contains('\r') {
        out = mime::with_lf(&out);
    }
    mime::cut_to(&mut out, mime::MAX_TEXT);
    out
}

/// A report inside of an attached message, no deeper than `depth` messages: one that somebody forwarded, or that a
/// gateway wrapped to add its disclaimer.
///
/// Inside of a bounce, an attached message is the one that bounced, and never a report; unless its From or its
/// Subject is the bounce's own.
fn attached_report(parts: &Parts<'_>, outer: &Report, depth: usize, defects: &mut Defects) -> Option<Report> {
    if depth == 0 {
        return None;
    }
    let messages = parts
        .leaves
        .iter()
        .filter(|leaf| matches!(leaf.content_type.essence.as_str(), "message/rfc822" | "message/global"));
    for leaf in messages.take(MAX_MESSAGES) {
        let body = leaf.decoded(usize::MAX, defects);
        let wrapped = || {
            let header = report_header(&Header::read(&body, true).0, &mut Defects::default());
            let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
            same(&header.from, &outer.header.from) || same(&header.subject, &outer.header.subject)
        };
        if outer.kind == ReportKind::TextBounce && !wrapped() {
            continue;
        }
        let mut inner_defects = Defects::default();
        let inner = walk(&body, &mut inner_defects);
        let report = read(&inner, &mut inner_defects);
        let found = match report.kind {
            ReportKind::Dsn | ReportKind::Feedback => Some(report),
            ReportKind::Unrecognized => attached_report(&inner, &report, depth - 1, defects),
            _ => None,
        };
        if let Some(report) = found {
            defects.add("mime", "the report was found inside of an attached message", "");
            defects.append(inner_defects);
            return Some(report);
        }
    }
    None
}
