//! Where a report's own words end, and the copy of the returned message after them begins.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{lines, pattern};

/// Marks of a returned copy on a line of dashes or the like.
static RULED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "copy of|original (e?-?mail|message)|message headers?|mail headers?|headers? (of|follow)|unsent message|\
         returned (message|mail)|enclosed|(message|text) follows|undelivered message|original header|source mail|\
         (mensaje|mensagem|messaggio) original|message (d'origine|original|initial)|messaggio originale|\
         copie du message|ursprüngliche|original-?nachricht|kopie|oorspronkelijk|oryginaln|исходн|копия|копии|\
         元のメ|元メッセージ|原文|原始邮件|原始郵件",
    )
});

/// Marks of a returned copy that need no line around them; lower case, at the start of a line.
static BARE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        "^(?:(the )?(possibly truncated )?original (message|mail)( headers?)?( as received)?( is)?( as)?( follows?)?[:.]?$|\
         original message (as received|headers?|follows)|message headers? follows?|below (is|this line is) a copy|\
         (here is |included is |this is )?a copy of (the|your) (original |returned )?(message|mail)( headers?)? (is )?(below|follows|included below)|\
         included is a copy of the message|the header and top|a summary of the undelivered message|old message:|\
         (the )?headers? (of|from) the original message|the first \\d+ lines? of|\
         original mail as follows|ursprüngliche nachrichtenkopfzeilen|en-têtes de message d'origine|\
         encabezados de mensajes? original|intestazioni originali|cabeçalhos de mensagens? original|\
         original-nachrichtenkopf|oorspronkelijke berichtkoppen|元のメッセージ ヘッダー|原始邮件头|\
         исходные заголовки)",
    )
});

/// Where the report's own words end, and where the returned copy after them begins.
pub(super) fn before_original(text: &str) -> (usize, Option<usize>) {
    let mut blank = true;
    for (at, line) in lines(text) {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            blank = true;
            continue;
        }
        // The copy itself, with no mark before it.
        if blank && at > 0 && starts_header(line) {
            return (at, Some(at));
        }
        blank = false;
        if trimmed.len() > 160 {
            continue;
        }
        let ruled = ["--", "==", "**", "__", "|--", "##"].iter().any(|rule| trimmed.starts_with(rule));
        let core = trimmed
            .trim_matches(|c: char| matches!(c, '-' | '=' | '*' | '_' | '|' | '#') || c.is_whitespace());
        let core = core.to_lowercase();
        let apart = ruled && !core.is_empty() && !core.contains('@');
        if (apart && RULED.is_match(&core)) || (!ruled && BARE.is_match(&core)) {
            return (at, copy_after(text, at));
        }
    }
    (text.len(), None)
}

/// The first line of a copy after its mark: lines of dashes and empty ones are passed over.
fn copy_after(text: &str, mark: usize) -> Option<usize> {
    lines(&text[mark..])
        .skip(1)
        .find(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with("--") && !line.starts_with("==") && !line.starts_with("**")
        })
        .map(|(at, _)| mark + at)
}

/// Whether a line is the first of a returned header: only a message begins with these.
fn starts_header(line: &str) -> bool {
    const STARTS: [&str; 6] = [
        "received: from ",
        "received: by ",
        "received: (",
        "return-path: <",
        "return-path:<",
        "dkim-signature: v=1",
    ];
    STARTS.iter().any(|start| line.get(..start.len()).is_some_and(|line| line.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_returned_copy_is_set_apart() {
        for mark in [
            "--- Below this line is a copy of the message.",
            "------ This is a copy of the message, including all the headers. ------",
            "   ----- Unsent message follows -----",
            "   ----- Original message -----",
            "--- Mensaje original adjunto.",
            "|------------------------- Message header follows: ----------------------|",
            "Original message follows.",
            "Original message headers:",
            "    Below is a copy of the original message:",
            "Message headers follow:",
        ] {
            let text = format!("It failed.\n\n{mark}\n\nReceived: from a by b\nTo: c@x.example\n");
            let (end, at) = before_original(&text);
            assert!(text[end..].starts_with(mark), "{mark}");
            assert!(at.is_some_and(|at| text[at..].starts_with("Received: ")), "{mark}");
        }
        for no_mark in [
            "----- The following addresses had permanent fatal errors -----",
            "   ----- Transcript of session follows -----",
            "The original message was received at noon",
            "==== Technical details: ====",
        ] {
            assert_eq!(before_original(no_mark), (no_mark.len(), None), "{no_mark}");
        }
    }
}
