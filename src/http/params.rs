//! Values that several requests have.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::store::{HIGHEST_STREAM, Streams};
use crate::when;

/// An e-mail address, also with UTF-8 in it (RFC 6531).
#[derive(Debug, utoipa::ToSchema)]
#[schema(format = IdnEmail, example = "user@example.com")]
pub(super) struct Address(
    #[allow(dead_code, reason = "it stands for a string in the description alone")] String,
);

/// A message, octet by octet.
#[derive(Debug, utoipa::ToSchema)]
#[schema(format = Binary)]
pub(super) struct Octets(
    #[allow(dead_code, reason = "it stands for octets in the description alone")] String,
);

/// The conditions of a request (RFC 9110 §13.1), as the description has them.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it describes headers, which are read elsewhere")]
pub(super) struct Conditions {
    /// Only while the ETag is one of these.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// Only while the ETag is none of these; `*`: while nothing stands. Reading answers 304 else.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// A point in time, as the command line takes it: [`when::parse`].
#[derive(Debug, Clone, Copy)]
pub(super) struct When(pub(super) Timestamp);

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        when::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl PartialSchema for When {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let known = |format| text().format(Some(SchemaFormat::KnownFormat(format)));
        AnyOfBuilder::new()
            .item(known(KnownFormat::DateTime))
            .item(known(KnownFormat::Date))
            .item(text().pattern(Some("^[0-9]{1,4}[smhdw]$")))
            .description(Some("a time, a UTC date, or how long ago: 90m, 2h, 3d, 1w"))
            .into()
    }
}

impl ToSchema for When {
    fn name() -> std::borrow::Cow<'static, str> {
        "PointInTime".into()
    }
}

/// An IP address.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Ip(pub(super) IpAddr);

impl PartialSchema for Ip {
    fn schema() -> RefOr<Schema> {
        let known = |format| {
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
        };
        AnyOfBuilder::new()
            .item(known(KnownFormat::Ipv4))
            .item(known(KnownFormat::Ipv6))
            .description(Some("an IP address, such as 192.0.2.1"))
            .into()
    }
}

impl ToSchema for Ip {
    fn name() -> std::borrow::Cow<'static, str> {
        "IpAddress".into()
    }
}

/// Whether something is to be done, or tried.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Trial {
    /// Say what would come of it, and change nothing.
    #[serde(default)]
    #[param(required = false)]
    pub(super) dry_run: bool,
}

/// Items of a page when nobody says how many, and at most.
pub(super) const PAGE: u32 = 100;
pub(super) const LARGEST_PAGE: u32 = 1_000;

/// The number of a stream that was named, if one was.
///
/// # Errors
/// 404 for what is neither a name nor a number of one.
pub(super) fn stream(streams: &Streams, named: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(named) = named else { return Ok(None) };
    match streams.number(named) {
        Some(number) => Ok(Some(number.into())),
        None => Err(Problem::not_found(format!(
            "there is no stream {named:?}: it is neither a name of [streams] nor a number up to {HIGHEST_STREAM}"
        ))
        .of_kind("unknown-stream", "There is no such stream")
        .at("stream")),
    }
}

/// How many items a page has.
///
/// # Errors
/// 400 for none or too many.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(PAGE),
        Some(limit) if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
        Some(limit) => {
            Err(Problem::bad_request(format!("{limit} is not a limit: it must be 1 to {LARGEST_PAGE}"))
                .at("limit"))
        }
    }
}

/// Now, in whole seconds, as the database has them.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

/// A place between two entries of the list: the stream and the address of the one before, in hexadecimal digits. Any
/// such digits are a place.
pub(super) fn encode_cursor(address_key: &str, stream: i64) -> String {
    let mut octets = stream.to_be_bytes().to_vec();
    octets.extend_from_slice(address_key.as_bytes());
    data_encoding::HEXLOWER.encode(&octets)
}

/// The place that a cursor stands for.
///
/// # Errors
/// 400 for what was never one.
pub(super) fn decode_cursor(text: &str) -> Result<(String, i64), Problem> {
    let octets = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
    let place = octets.as_deref().and_then(|octets| octets.split_first_chunk::<8>());
    let (stream, address) = place.ok_or_else(|| {
        Problem::bad_request("this cursor is not one of ours: take `next` of the page before").at("cursor")
    })?;
    Ok((String::from_utf8_lossy(address).into_owned(), i64::from_be_bytes(*stream)))
}

/// A place before a number: sixteen hexadecimal digits.
pub(super) fn encode_number(number: i64) -> String {
    data_encoding::HEXLOWER.encode(&number.to_be_bytes())
}

/// The number that a cursor stands for.
///
/// # Errors
/// 400 for what was never one.
pub(super) fn decode_number(text: &str) -> Result<i64, Problem> {
    match decode_cursor(text)? {
        (rest, number) if rest.is_empty() => Ok(number),
        _ => Err(Problem::bad_request("this cursor is of another list").at("cursor")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = encode_cursor("ü@b.example", 7);
        assert_eq!(decode_cursor(&cursor).unwrap(), ("ü@b.example".to_owned(), 7));
        assert_eq!(decode_cursor("00000000000000ff").unwrap(), (String::new(), 255));
        for text in ["", "7", "zz", "00000000000000", "0000000000000"] {
            assert!(decode_cursor(text).is_err(), "{text}");
        }
    }
}
