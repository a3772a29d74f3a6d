//! What is wrong with a request, in the words of its description: everything at once.
//!
//! serde reads requests, and stops at the first thing that it cannot read. Only then the same request is held against
//! what `/openapi.json` says of it.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::Date;
use regex::Regex;
use serde_json::{Map, Value};
use utoipa::openapi::Required;
use utoipa::openapi::path::ParameterIn;
use utoipa::{IntoParams, ToSchema};

use super::problem::Fault;

/// The most characters of a value that are said again.
const SAID: usize = 60;

/// What is described of a value and what it refers to.
struct Described {
    others: Map<String, Value>,
}

/// Everything in a body that is not as `T` is described; the places are JSON pointers.
pub(super) fn body_faults<T: ToSchema>(body: &Value) -> Vec<Fault> {
    let mut referred = Vec::new();
    T::schemas(&mut referred);
    let json = |schema| serde_json::to_value(schema).unwrap_or_default();
    let described =
        Described { others: referred.into_iter().map(|(name, schema)| (name, json(schema))).collect() };
    let mut faults = Vec::new();
    described.compare(&json(T::schema()), body, "#", &mut faults);
    faults
}

/// Everything in the parameters of a query that is not as `T` is described; the places are their names.
pub(super) fn query_faults<T: IntoParams>(query: &[(String, String)]) -> Vec<Fault> {
    let described = Described { others: Map::new() };
    let parameters = T::into_params(|| Some(ParameterIn::Query));
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let mut faults = Vec::new();
    for (at, (name, text)) in query.iter().enumerate() {
        let mut fault = |detail| faults.push(Fault { place: name.clone(), detail });
        let Some(parameter) = parameters.iter().find(|parameter| parameter.name == *name) else {
            fault(unknown(name, &names));
            continue;
        };
        if query.iter().take(at).any(|(before, _)| before == name) {
            fault("this stands twice".to_owned());
        }
        let schema = parameter.schema.as_ref().and_then(|schema| serde_json::to_value(schema).ok());
        let schema = never_null(schema.unwrap_or_default());
        described.compare(&schema, &typed(&schema, text), name, &mut faults);
    }
    let given = |name: &str| query.iter().any(|(given, _)| given == name);
    let missing =
        parameters.iter().filter(|parameter| parameter.required == Required::True && !given(&parameter.name));
    faults.extend(
        missing
            .map(|parameter| Fault { place: parameter.name.clone(), detail: "this is missing".to_owned() }),
    );
    faults
}

/// A parameter is there or not; it is never null.
fn never_null(mut schema: Value) -> Value {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
    }
    schema
}

/// A text as what it is described to be, where it can be read so.
fn typed(schema: &Value, text: &str) -> Value {
    let number = || text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
    let read = match words(&schema["type"]).first() {
        Some(&("integer" | "number")) if !text.contains(['n', 'N', '.', 'e', 'E']) => number().ok(),
        Some(&"boolean") => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}

impl Described {
    fn compare(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<Fault>) {
        let fault = |faults: &mut Vec<Fault>, detail| faults.push(Fault { place: place.to_owned(), detail });
        if let Some(other) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            if let Some(other) = self.others.get(other) {
                self.compare(other, value, place, faults);
            }
            return;
        }
        if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            return self.choose(schema, choices, value, place, faults);
        }
        let types = words(&schema["type"]);
        if !(types.is_empty() || types.iter().any(|name| is(value, name))) {
            let wanted: Vec<&str> = types.iter().map(|name| called(name)).collect();
            return fault(faults, format!("{} is not {}", said(value), wanted.join(" or ")));
        }
        let allowed = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !(allowed.is_empty() || allowed.contains(value)) {
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            let near = value.as_str().map(|word| nearest(word, &allowed)).unwrap_or_default();
            return fault(faults, format!("{} is not one of {}{near}", said(value), allowed.join(", ")));
        }
        match value {
            Value::Object(object) => self.compare_object(schema, object, place, faults),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.compare(&schema["items"], item, &format!("{place}/{at}"), faults);
                }
            }
            _ => {}
        }
        if let Some(detail) = out_of_bounds(schema, value).or_else(|| misshapen(schema, value)) {
            fault(faults, detail);
        }
    }

    fn compare_object(
        &self,
        schema: &Value,
        object: &Map<String, Value>,
        place: &str,
        faults: &mut Vec<Fault>,
    ) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for name in words(&schema["required"]).into_iter().filter(|name| !object.contains_key(*name)) {
            faults.push(Fault { place: format!("{place}/{name}"), detail: "this is missing".to_owned() });
        }
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        for (name, value) in object {
            let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
            match properties.get(name) {
                Some(schema) => self.compare(schema, value, &place, faults),
                None if schema["additionalProperties"] == false => {
                    faults.push(Fault { place, detail: unknown(name, &names) });
                }
                None => {}
            }
        }
    }

    /// One of several is to fit. Where none does, the description says what they are in common, or the only one that
    /// is not null says it.
    fn choose(&self, schema: &Value, choices: &[Value], value: &Value, place: &str, faults: &mut Vec<Fault>) {
        let tried = choices.iter().map(|choice| {
            let mut faults = Vec::new();
            self.compare(choice, value, place, &mut faults);
            (choice, faults)
        });
        let mut tried: Vec<_> = tried.collect();
        if tried.iter().any(|(_, faults)| faults.is_empty()) {
            return;
        }
        tried.retain(|(choice, _)| choice["type"] != "null");
        match (tried.as_slice(), schema["description"].as_str()) {
            ([(_, only)], _) => faults.extend_from_slice(only),
            (_, description) => {
                let wanted = description.unwrap_or("see /openapi.json");
                let detail = format!("{} is not what this takes: {wanted}", said(value));
                faults.push(Fault { place: place.to_owned(), detail });
            }
        }
    }
}

/// The words of a word or of a list of words.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(word) => vec![word],
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        // One that is out of all bounds is told so.
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.abs() > 1e18)
        }
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    }
}

/// What a person calls a type.
fn called(name: &str) -> &str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

/// A value as it is said again, cut where it is long.
fn said(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > SAID => {
            format!("{:?}…", text.chars().take(SAID).collect::<String>())
        }
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match known {
        [] => "this is not known".to_owned(),
        known => format!("this is not known; there are {}{}", known.join(", "), nearest(name, known)),
    }
}

/// `; did you mean "limit"?`, where a known word is near.
fn nearest(word: &str, known: &[&str]) -> String {
    let begun = known.iter().find(|known| word.len() > 2 && known.starts_with(word));
    let near = || known.iter().min_by_key(|known| strsim::osa_distance(word, known));
    match begun.or_else(|| near().filter(|known| strsim::osa_distance(word, known) <= 2)) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

fn out_of_bounds(schema: &Value, value: &Value) -> Option<String> {
    let (size, least, most, what) = match value {
        Value::Number(number) => (number.as_f64()?, "minimum", "maximum", ""),
        Value::Array(items) => (items.len() as f64, "minItems", "maxItems", " items"),
        Value::String(text) => (text.chars().count() as f64, "minLength", "maxLength", " characters"),
        _ => return None,
    };
    let (least, most) = (schema[least].as_f64(), schema[most].as_f64());
    if least.is_none_or(|least| size >= least) && most.is_none_or(|most| size <= most) {
        return None;
    }
    let range = match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, most) => format!("at most {}", most.unwrap_or_default()),
    };
    Some(if what.is_empty() {
        format!("this must be {range}")
    } else {
        format!("this must have {range}{what}")
    })
}

fn misshapen(schema: &Value, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let example = || schema["example"].as_str().map(|text| format!(", such as {text:?}")).unwrap_or_default();
    if let Some(pattern) = schema["pattern"].as_str()
        && Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        return Some(format!("{} is not written as this has to be{}", said(value), example()));
    }
    match schema["format"].as_str() {
        Some("date-time") if text.parse::<Timestamp>().is_err() => {
            Some(format!("{} is not a time such as 2026-01-31T12:00:00Z", said(value)))
        }
        Some("ipv4") if text.parse::<Ipv4Addr>().is_err() => {
            Some(format!("{} is not an IPv4 address", said(value)))
        }
        Some("ipv6") if text.parse::<Ipv6Addr>().is_err() => {
            Some(format!("{} is not an IPv6 address", said(value)))
        }
        Some("date") if text.parse::<Date>().is_err() || text.len() > 10 => {
            Some(format!("{} is not a date such as 2026-01-31", said(value)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(ToSchema)]
    #[schema(rename_all = "lowercase")]
    #[allow(dead_code, reason = "only described")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(ToSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only described")]
    struct Thing {
        #[schema(max_items = 2)]
        names: Vec<String>,
        #[schema(minimum = 1, maximum = 9)]
        size: Option<u32>,
        until: Option<Timestamp>,
    }

    fn told(faults: &[Fault]) -> Vec<(&str, &str)> {
        faults.iter().map(|fault| (fault.place.as_str(), fault.detail.as_str())).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_body_is_told_at_once() {
        assert!(
            body_faults::<Thing>(&json!({ "names": [], "size": null, "until": "2026-01-01T00:00:00Z" }))
                .is_empty()
        );
        let faults = body_faults::<Thing>(&json!({ "names": "x", "size": 10, "until": "soon", "untl": 1 }));
        assert_eq!(
            told(&faults),
            [
                ("#/names", "\"x\" is not a list"),
                ("#/size", "this must be 1 to 9"),
                ("#/until", "\"soon\" is not a time such as 2026-01-31T12:00:00Z"),
                ("#/untl", "this is not known; there are names, size, until; did you mean \"until\"?"),
            ]
        );
        let faults = body_faults::<Thing>(&json!({ "size": 1.5 }));
        assert_eq!(
            told(&faults),
            [("#/names", "this is missing"), ("#/size", "1.5 is not a whole number or null")]
        );
        let faults = body_faults::<Thing>(&json!({ "names": ["a", 7, {}] }));
        assert_eq!(
            told(&faults),
            [
                ("#/names/1", "7 is not a text"),
                ("#/names/2", "an object is not a text"),
                ("#/names", "this must have at most 2 items"),
            ]
        );
        assert_eq!(
            told(&body_faults::<Colour>(&json!("rde"))),
            [("#", "\"rde\" is not one of red, green; did you mean \"red\"?")]
        );
    }

    #[derive(IntoParams)]
    #[allow(dead_code, reason = "only described")]
    struct Asked {
        #[param(minimum = 1, maximum = 1000)]
        limit: Option<u32>,
        #[param(pattern = "^[0-9a-f]+$")]
        cursor: Option<String>,
        all: bool,
    }

    #[test]
    fn all_that_is_wrong_with_a_query_is_told_at_once() {
        let asked = |query: &[(&str, &str)]| {
            let query: Vec<_> =
                query.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            query_faults::<Asked>(&query)
        };
        assert!(asked(&[("limit", "7"), ("all", "true")]).is_empty());
        assert_eq!(told(&asked(&[])), [("all", "this is missing")]);
        assert_eq!(
            told(&asked(&[
                ("limt", "7"),
                ("limit", "99999999999999999999"),
                ("cursor", "x"),
                ("all", "yes")
            ])),
            [
                ("limt", "this is not known; there are limit, cursor, all; did you mean \"limit\"?"),
                ("limit", "this must be 1 to 1000"),
                ("cursor", "\"x\" is not written as this has to be"),
                ("all", "\"yes\" is not true or false"),
            ]
        );
        assert_eq!(
            told(&asked(&[("limit", "1"), ("limit", "x"), ("all", "false")])),
            [("limit", "this stands twice"), ("limit", "\"x\" is not a whole number"),]
        );
    }
}
