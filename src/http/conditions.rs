//! Entity tags and the conditions made of them (RFC 9110 §8.8.3, §13.1).

use axum::http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};

use super::problem::Problem;
use crate::store::{Condition, Versions};

/// The condition that a request's headers are.
///
/// # Errors
/// 400 for what are no entity tags.
pub(super) fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    Ok(Condition { matches: versions(headers, IF_MATCH)?, none_matches: versions(headers, IF_NONE_MATCH)? })
}

/// The header with a version as a strong entity tag.
pub(super) fn etag(version: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::from_str(&format!("\"{version}\""));
    (ETAG, value.unwrap_or_else(|_| HeaderValue::from_static("\"\"")))
}

fn versions(headers: &HeaderMap, name: HeaderName) -> Result<Option<Versions>, Problem> {
    let values = || headers.get_all(&name).iter();
    if values().next().is_none() {
        return Ok(None);
    }
    let wrong = || {
        let detail = format!("{name} takes \"*\" or entity tags, such as \"5d41402abc4b2a76b9719d91\"");
        Problem::bad_request(detail).at(name.as_str())
    };
    let mut known = Vec::new();
    for value in values() {
        let value = value.to_str().map_err(|_| wrong())?.trim();
        if value == "*" {
            return Ok(Some(Versions::Any));
        }
        for tag in value.split(',').map(str::trim) {
            // Ours are strong; a weak one never matches in If-Match, and matches the same in If-None-Match.
            let opaque = match tag.strip_prefix("W/") {
                Some(_) if name == IF_MATCH => "\"\"",
                Some(weak) => weak,
                None => tag,
            };
            let inner = opaque.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            known.push(inner.filter(|tag| !tag.contains('"')).ok_or_else(wrong)?.to_owned());
        }
    }
    Ok(Some(Versions::These(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &str) -> Result<Option<Versions>, Problem> {
        versions(&HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]), name)
    }

    #[test]
    fn entity_tags_are_read() {
        let these = |tags: &[&str]| Some(Versions::These(tags.iter().map(|tag| (*tag).to_owned()).collect()));
        assert_eq!(read(IF_MATCH, "*").unwrap(), Some(Versions::Any));
        assert_eq!(read(IF_MATCH, "\"a\", \"b\"").unwrap(), these(&["a", "b"]));
        assert_eq!(read(IF_MATCH, "W/\"a\"").unwrap(), these(&[""]), "a weak tag is no strong match");
        assert_eq!(read(IF_NONE_MATCH, "W/\"a\"").unwrap(), these(&["a"]));
        for wrong in ["a", "\"a", "\"a\" \"b\"", "", "\"a\","] {
            assert!(read(IF_MATCH, wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(condition(&HeaderMap::new()).unwrap(), Condition::default());
    }
}
