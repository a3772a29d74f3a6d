//! Filters in SQL: only the conditions that are set, so that each finds its index.

use sqlx::sqlite::Sqlite;
use sqlx::{Encode, QueryBuilder, Type};

use super::super::{AuditOrigin, Filter, SuppressionFilter};
use super::written;
use crate::address::host_name;
use crate::policy::Reason;

/// A statement that grows.
pub(super) type Sql = QueryBuilder<Sqlite>;

/// Adds a condition on one value, where it is set.
pub(super) fn and<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(
    sql: &mut Sql,
    condition: &str,
    value: Option<T>,
) {
    if let Some(value) = value {
        sql.push(" AND ").push(condition).push(" ").push_bind(value);
    }
}

/// The conditions on `suppressions`, each with an AND before it.
pub(super) fn of_entries(sql: &mut Sql, filter: &SuppressionFilter) {
    let SuppressionFilter { common, active_at, reason, spared, after: _, limit: _ } = filter;
    let Filter { domain, class, rule, remote_mta, listed_ip, origin, stream, trust, since, until } = common;
    if let Some(at) = active_at {
        sql.push(" AND (suppressions.expires_at IS NULL OR suppressions.expires_at >");
        sql.push_bind(written(*at)).push(")");
    }
    and(sql, "suppressions.domain =", domain.clone());
    and(sql, "suppressions.reason =", reason.map(Reason::as_str));
    and(sql, "suppressions.stream =", *stream);
    and(sql, "suppressions.class =", class.map(|class| class.as_str()));
    and(sql, "suppressions.rule =", rule.clone());
    and(sql, "suppressions.remote_mta =", remote_mta.as_deref().map(named));
    and(sql, "suppressions.changed_at >=", since.map(written));
    and(sql, "suppressions.changed_at <", until.map(written));
    if listed_ip.is_some() || trust.is_some() {
        sql.push(" AND EXISTS (SELECT 1 FROM events WHERE events.id = suppressions.event");
        and(sql, "events.facts ->> 'listed_ip' =", listed_ip.map(|ip| ip.to_string()));
        and(sql, "events.trust =", trust.map(|trust| trust.as_str()));
        sql.push(")");
    }
    if let Some(origin) = origin {
        sql.push(" AND (suppressions.origin = ").push_bind(origin.as_str());
        // That it is being taken back is not where it came from.
        sql.push(
            " OR (SELECT audit.origin FROM audit WHERE audit.address_key = suppressions.address_key
                  AND audit.stream = suppressions.stream AND audit.action <> 'removed'
                  ORDER BY audit.id DESC LIMIT 1) = ",
        );
        sql.push_bind(origin.as_str()).push(")");
    }
    if *spared && *reason != Some(Reason::Manual) && *origin != Some(AuditOrigin::Import) {
        sql.push(" AND suppressions.origin IN ('bounce', 'replay')");
        if reason.is_none() {
            sql.push(" AND suppressions.reason <> 'complaint'");
        }
    }
}

/// The conditions on `messages`, each with an AND before it.
pub(super) fn of_messages(sql: &mut Sql, filter: &Filter) {
    and(sql, "messages.received_at >=", filter.since.map(written));
    and(sql, "messages.received_at <", filter.until.map(written));
    match filter.origin {
        Some(AuditOrigin::Bounce) => sql.push(" AND messages.replayed_at IS NULL"),
        Some(AuditOrigin::Replay) => sql.push(" AND messages.replayed_at IS NOT NULL"),
        _ => sql,
    };
}

/// The host in a column, as `host_name` reads it.
macro_rules! said_by {
    ($column:literal) => {
        concat!("lower(rtrim(substr(", $column, ", 1, instr(", $column, " || ' ', ' ') - 1), '.')) =")
    };
}

/// The conditions on `outbox`, each with an AND before it. What an event says stands in its JSON.
pub(super) fn of_outbox(sql: &mut Sql, filter: &Filter) {
    let Filter { domain, class, rule, remote_mta, listed_ip, origin, stream, trust, since, until } = filter;
    and(sql, "at >=", since.map(written));
    and(sql, "at <", until.map(written));
    and(sql, "stream =", *stream);
    if let Some(domain) = domain {
        let domain = format!("@{domain}");
        sql.push(" AND substr(address_key, -length(")
            .push_bind(domain.clone())
            .push(")) = ")
            .push_bind(domain);
    }
    and(sql, "data ->> '$.class' =", class.map(|class| class.as_str()));
    and(sql, "data ->> '$.rule' =", rule.clone());
    and(sql, "data ->> '$.trust' =", trust.map(|trust| trust.as_str()));
    and(sql, "data ->> '$.facts.listed_ip' =", listed_ip.map(|ip| ip.to_string()));
    and(sql, said_by!("(data ->> '$.remote_mta')"), remote_mta.as_deref().map(named));
    let origin = origin.map(AuditOrigin::as_str);
    and(sql, "coalesce(data ->> '$.change.origin', data ->> '$.origin') =", origin);
}

/// The conditions on `events`, each with an AND before it.
pub(super) fn of_events(sql: &mut Sql, filter: &Filter) {
    let Filter { domain, class, rule, remote_mta, listed_ip, origin, stream, trust, since: _, until: _ } =
        filter;
    and(sql, "events.domain =", domain.clone());
    and(sql, "events.class =", class.map(|class| class.as_str()));
    and(sql, "events.rule =", rule.clone());
    and(sql, "events.stream =", *stream);
    and(sql, "events.trust =", trust.map(|trust| trust.as_str()));
    // The index has only events with facts.
    and(
        sql,
        "events.facts IS NOT NULL AND events.facts ->> 'listed_ip' =",
        listed_ip.map(|ip| ip.to_string()),
    );
    and(sql, said_by!("events.remote_mta"), remote_mta.as_deref().map(named));
    if remote_mta.is_some() {
        sql.push(" AND events.remote_mta IS NOT NULL"); // as its index
    }
    match origin {
        None | Some(AuditOrigin::Bounce | AuditOrigin::Replay) => {}
        Some(AuditOrigin::Quarantine) => {
            sql.push(" AND events.settled_at IS NOT NULL AND events.hold IS NULL");
        }
        Some(AuditOrigin::Hold) => {
            sql.push(" AND events.hold IS NOT NULL");
        }
        Some(AuditOrigin::Reclassify) => {
            sql.push(" AND events.reclassified_at IS NOT NULL");
        }
        Some(
            AuditOrigin::Cli
            | AuditOrigin::Api
            | AuditOrigin::Import
            | AuditOrigin::Expiry
            | AuditOrigin::Undo,
        ) => {
            sql.push(" AND FALSE"); // no bounce comes so
        }
    }
}

/// Whether a filter says anything about the events of a message.
pub(super) fn asks_events(filter: &Filter) -> bool {
    let of_message = Filter { since: filter.since, until: filter.until, ..Filter::default() };
    match filter.origin {
        Some(AuditOrigin::Bounce | AuditOrigin::Replay) => {
            *filter != Filter { origin: filter.origin, ..of_message }
        }
        _ => *filter != of_message,
    }
}

fn named(host: &str) -> String {
    host_name(host).unwrap_or_default()
}
