//! Options that say which rows of a listing are meant: the same for every listing.

use std::net::IpAddr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;

use super::streams;
use crate::address::domain_key;
use crate::classify::built_in::meaning;
use crate::classify::{Class, Classifier};
use crate::config::Config;
use crate::returnpath::Trust;
use crate::store::{AuditOrigin, Filter, Streams};
use crate::when;

/// Options; all that are given must hold.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only addresses at this domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Only this class, such as recipient_unknown.
    #[arg(long, value_name = "CLASS", value_parser = class(), hide_possible_values = true)]
    class: Option<Class>,
    /// Only what this rule decided, such as iana.5.1.1.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only what this host said (Remote-MTA).
    #[arg(long, value_name = "HOST")]
    remote_mta: Option<String>,
    /// Only where a host says that this IP address of yours is listed or blocked.
    #[arg(long, value_name = "IP")]
    listed_ip: Option<IpAddr>,
    /// Only what came in this way: bounce, replay (from files), quarantine or hold (a person let it through), reclassify, cli,
    /// api, import (from a list), expiry, undo (a person took entries back by a filter).
    #[arg(long, value_name = "ORIGIN", value_parser = origin(), hide_possible_values = true)]
    origin: Option<AuditOrigin>,
    /// Only this stream, by name or number; 0: what belongs to none.
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Only what is believed this far: proven, token_only, unsigned.
    #[arg(long, value_name = "TRUST", value_parser = trust(), hide_possible_values = true)]
    trust: Option<Trust>,
    /// Only bounces received, entries changed, holds opened or events written at this time or later: 2026-11-21,
    /// 2026-11-21T20:00:00Z, or how long ago (90m, 2h, 1d, 1w). Days begin at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Only those before this time, written in the same ways.
    #[arg(long, value_name = "TIME", value_parser = when::parse, alias = "before")]
    until: Option<Timestamp>,
}

impl Options {
    /// The filter of the store.
    pub(super) fn resolve(&self, config: &Config) -> anyhow::Result<Filter> {
        if let Some(rule) = &self.rule {
            remark_on(rule, &Classifier::with_rules(&config.rules)?);
        }
        Ok(Filter {
            domain: self.domain.as_deref().map(domain_key),
            class: self.class,
            rule: self.rule.clone(),
            remote_mta: self.remote_mta.clone(),
            listed_ip: self.listed_ip.map(|ip| ip.to_canonical()),
            origin: self.origin,
            stream: stream_of(&config.streams, self.stream.as_deref())?,
            trust: self.trust,
            since: self.since,
            until: self.until,
        })
    }
}

/// Says where no rule has a name. Old bounces may name one that is gone, so it is no error.
fn remark_on(rule: &str, classifier: &Classifier) {
    let ids = || classifier.rules().iter().map(|rule| rule.id.as_str());
    if meaning(rule).is_none() && !ids().any(|id| id == rule) {
        let near = super::rules::nearest(rule, ids());
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        super::output::note(&format!("no rule is called {rule:?} now{near}"));
    }
}

/// The number of a stream that was named, if one was.
pub(super) fn stream_of(streams: &Streams, named: Option<&str>) -> anyhow::Result<Option<i64>> {
    named.map(|named| streams::number(streams, named)).transpose()
}

/// A class, on the command line.
pub(super) fn class() -> impl TypedValueParser<Value = Class> {
    let all = Class::ALL.iter().map(|class| class.as_str());
    PossibleValuesParser::new(all).try_map(|name| Class::from_name(&name).ok_or("no class"))
}

fn origin() -> impl TypedValueParser<Value = AuditOrigin> {
    let all = AuditOrigin::ALL.map(AuditOrigin::as_str);
    PossibleValuesParser::new(all).try_map(|name| AuditOrigin::from_name(&name).ok_or("no origin"))
}

fn trust() -> impl TypedValueParser<Value = Trust> {
    let all = [Trust::Proven, Trust::TokenOnly, Trust::Unsigned].map(Trust::as_str);
    PossibleValuesParser::new(all).try_map(|name| Trust::from_name(&name).ok_or("no trust"))
}
