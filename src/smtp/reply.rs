//! SMTP replies and how they are written (RFC 5321 §4.2, RFC 2034).

use std::borrow::Cow;
use std::fmt;

use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// Longest reply line in octets, with code and CRLF (RFC 5321 §4.5.3.1.5).
const MAX_REPLY_LINE: usize = 512;

/// One reply, of one line or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    status: Option<EnhancedStatusCode>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply without an enhanced status code: the greeting, the replies to EHLO and HELO, and 354.
    ///
    /// # Panics
    /// When `code` is no SMTP reply code; callers write it as a literal.
    #[must_use]
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let code = ReplyCode::new(code).expect("a reply code of RFC 5321");
        Self { code, status: None, lines: vec![text.into()] }
    }

    /// A reply with the enhanced status code `C.subject.detail`, its class `C` being that of `code`.
    ///
    /// # Panics
    /// When `code` is no SMTP reply code, or a 3yz one, which has no class; callers write it as a literal.
    #[must_use]
    pub fn new(code: u16, subject: u16, detail: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let mut reply = Self::plain(code, text);
        // RFC 2034 §4: the class of the status equals the first digit of the reply
        let class = reply.code.class().expect("a reply code with a status class");
        reply.status = Some(EnhancedStatusCode::new(class, subject, detail));
        reply
    }

    /// The same reply with one more line at its end.
    #[must_use]
    pub fn line(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// The reply code.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced status code, where the reply has one.
    #[must_use]
    pub const fn status(&self) -> Option<EnhancedStatusCode> {
        self.status
    }

    /// Whether it says that the client did something wrong for good (RFC 5321 §4.2.1: 5yz).
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code.class() == Some(StatusClass::Permanent)
    }

    /// Whether it says that what was asked is done (RFC 5321 §4.2.1: 2yz).
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code.class() == Some(StatusClass::Success)
    }

    /// Appends the reply to `out` as it goes over the wire. A text can neither end its line nor outgrow it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for (index, text) in self.lines.iter().enumerate() {
            let start = out.len();
            // RFC 5321 §4.2.1: a hyphen after the code on every line but the last
            let separator = if index + 1 == self.lines.len() { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(status) = self.status {
                out.extend_from_slice(format!("{status} ").as_bytes()); // RFC 2034 §4
            }
            for c in text.chars() {
                let c = if c.is_control() { ' ' } else { c };
                if out.len() - start + c.len_utf8() > MAX_REPLY_LINE - 2 {
                    break; // RFC 5321 §4.5.3.1.5
                }
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// Code, status and first line, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        self.lines.first().map_or(Ok(()), |text| write!(f, " {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_has_the_code_and_all_but_the_last_a_hyphen() {
        assert_eq!(written(&Reply::plain(220, "mx ESMTP")), "220 mx ESMTP\r\n");
        assert_eq!(written(&Reply::new(452, 5, 3, "Too many")), "452 4.5.3 Too many\r\n");
        let help = Reply::new(214, 0, 0, "one").line("two").line("three");
        assert_eq!(written(&help), "214-2.0.0 one\r\n214-2.0.0 two\r\n214 2.0.0 three\r\n");
    }

    #[test]
    fn no_text_can_forge_a_second_reply_or_an_endless_line() {
        assert_eq!(written(&Reply::new(250, 0, 0, "a\r\n550 5.1.1 b\0")), "250 2.0.0 a  550 5.1.1 b \r\n");
        let long = written(&Reply::new(250, 0, 0, "ü".repeat(1_000)));
        assert!(long.ends_with("ü\r\n") && (510..=512).contains(&long.len()), "{}", long.len());
    }
}
