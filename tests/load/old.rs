//! Old events go while bounces come in.

use std::time::{Duration, Instant};

use super::common::{Daemon, Database, Home, hard_bounce, say, wait_for};

/// Messages of long ago with an event each, as the daemon writes them.
pub(super) fn fill(home: &Home, number: usize) {
    let mut database = Database::write(&home.database());
    let sql = format!(
        "PRAGMA synchronous = OFF;
         PRAGMA cache_size = -500000;
         BEGIN;
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number})
         INSERT INTO messages (id, digest, received_at, recorded_at, peer, helo, reverse_path, recipients,
                               original_recipients, kind, message_id, subject, reporting_mta, original_to, defects, size)
         SELECT n, randomblob(32), strftime('%Y-%m-%dT%H:%M:%SZ', 1577836800 + n * 10, 'unixepoch'),
                strftime('%Y-%m-%dT%H:%M:%SZ', 1577836800 + n * 10, 'unixepoch'), '192.0.2.1:25', 'mx.example.org', '',
                '[\"b-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounces.example.com\"]', '[null]', 'dsn',
                '<' || hex(randomblob(8)) || '@mx.example.org>', 'Undelivered Mail Returned to Sender',
                'mx.example.org', '[]', '[]', 3000
         FROM numbers;
         INSERT INTO events (event_key, message, received_at, stream, trust, recipient, recipient_key, final_recipient,
                             action, status, effective_status, reply_code, diagnostic_type, diagnostic_code, remote_mta,
                             bounce_type, category, class, decision, rule, evidence_field, evidence, change, domain, applies)
         SELECT randomblob(32), id, received_at, id % 7, 'proven', 'user' || id || '@example' || (id % 500) || '.net',
                'user' || id || '@example' || (id % 500) || '.net', 'user' || id || '@example' || (id % 500) || '.net',
                'failed', '5.1.1', '5.1.1', 550, 'smtp',
                '550 5.1.1 <user' || id || '@example.net>: Recipient address rejected: User unknown in virtual mailbox table',
                'mx.example.net', 'hard', 'addressing', 'recipient_unknown', 'suppress', 'iana.5.1.1',
                'diagnostic_code', '550 5.1.1', 'suppressed', 'example' || (id % 500) || '.net', 1
         FROM messages WHERE received_at < '2025';
         INSERT INTO aggregates
             SELECT unixepoch(received_at) / 86400, domain, stream, class, decision, change, count(*) FROM events
             WHERE received_at < '2025' GROUP BY 1, 2, 3, 4, 5, 6;
         COMMIT;"
    );
    database.run(sql.leak());
}

fn count(home: &Home, what: &'static str) -> i64 {
    Database::read(&home.database()).number(what)
}

/// Bounces, one after the other, until `enough`; how long each took from MAIL to its 250.
fn bounces(daemon: &Daemon, name: &str, mut enough: impl FnMut() -> bool) -> Vec<Duration> {
    let mut client = daemon.connect();
    let mut times = Vec::new();
    while times.is_empty() || !enough() {
        let number = times.len();
        if number % 500 == 499 {
            client = daemon.connect();
        }
        let bounce = hard_bounce(&format!("{name}-{number}"), &format!("{name}-{number}@example.com"));
        let started = Instant::now();
        assert_eq!(client.send(&bounce).expect("an answer").code, 250);
        times.push(started.elapsed());
    }
    times
}

fn told(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("half {:?}, 99 of 100 {:?}, worst {:?} of {}", at(0.5), at(0.99), at(1.0), times.len())
}

/// So many old events are dropped while bounces come in; nothing else is.
fn old_go_while_new_come(number: usize) {
    let home = Home::new()
        .with("BREAKER_ENABLED", "false")
        .with("LOG_LEVEL", "info")
        .with("SMTP_MAX_MESSAGES", "1000000");
    home.start().stop();
    fill(&home, number);
    // Nothing is dropped yet: what is usual on this machine.
    let mut patient = home.command(&["serve"]);
    for key in ["EVENTS", "WAITING", "AGGREGATES"] {
        patient.env(format!("DSND_STORE_{key}_DAYS"), "0");
    }
    let daemon = Daemon::start(patient);
    let mut left = 300;
    let before = bounces(&daemon, "before", || {
        left -= 1;
        left == 0
    });
    daemon.stop();
    let counted = count(&home, "SELECT sum(count) FROM aggregates");
    assert_eq!(counted, i64::try_from(number + before.len()).unwrap());

    let started = Instant::now();
    let daemon = home.start();
    let during = bounces(&daemon, "during", || daemon.log().contains("dropped messages and events"));
    let took = started.elapsed();
    wait_for("what is counted goes too", || {
        (count(&home, "SELECT count(*) FROM aggregates WHERE day < 20000") == 0).then_some(())
    });
    daemon.stop();
    let left = count(&home, "SELECT count(*) FROM messages");
    assert_eq!(left, i64::try_from(before.len() + during.len()).unwrap(), "the new ones, and no others");
    assert_eq!(count(&home, "SELECT count(*) FROM events"), left);
    assert_eq!(Database::read(&home.database()).integrity(), "ok");
    say(&format!(
        "{number} old events dropped in {took:?} while bounces came in one by one\nfrom MAIL to 250, nothing dropped: {}\n\
         meanwhile: {}",
        told(before),
        told(during)
    ));
}

#[test]
fn old_events_go_while_bounces_come_in() {
    old_go_while_new_come(3_000);
}

#[test]
#[ignore = "by hand: takes minutes"]
fn a_million_old_events_go_while_bounces_come_in() {
    old_go_while_new_come(1_000_000);
}
