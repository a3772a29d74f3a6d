//! The operators' guidance for 5.4.1, 5.4.2 and 4.4.2: every topic of it is dealt with, in both languages.

use super::{SECTIONS, printed, section, unwrapped};

/// Each row: a section's place, then words that show that a topic of the operators' guidance is dealt with.
fn assert_topics(code: &str, language: &str, topics: &[(usize, &[&str])]) {
    let text = printed(&["status", code, "--lang", language]);
    let headings = SECTIONS.iter().find(|(name, _)| *name == language).unwrap().1;
    for (at, words) in topics {
        let body = unwrapped(section(&text, headings[*at])).to_lowercase();
        for word in *words {
            assert!(
                body.contains(&word.to_lowercase()),
                "{code}, {language}, {}: {word:?} in {body}",
                headings[*at]
            );
        }
    }
}

#[test]
fn a_host_that_is_gone_is_explained_as_the_guidance_wants() {
    let card = unwrapped(&printed(&["status", "5.4.1"]));
    for word in ["5 = permanent failure", "hard bounce", "network/routing", "suppress (", "recheckable"] {
        assert!(card.contains(word), "{word}: {card}");
    }
    assert_topics(
        "5.4.1",
        "en",
        &[
            (0, &["4.4.1", "Access denied"]),
            (1, &["hard bounce", "at once", "do not retry", "domain and host"]),
            (
                2,
                &[
                    "shut down for good",
                    "no longer exists",
                    "DNS",
                    "decommissioned",
                    "cut off",
                    "abandoned",
                    "firewall",
                    "given back",
                    "move to another server",
                    "breakdown",
                ],
            ),
            (
                3,
                &[
                    "at once",
                    "never send again",
                    "domain and its mail server",
                    "another channel",
                    "list of the domains",
                    "from time to time",
                ],
            ),
            (4, &["database", "automatic", "DNS", "suppression list", "periodically", "record which hosts"]),
            (5, &["MX", "port 25", "registered", "IT department", "same domain"]),
            (6, &["no answer from host", "unreachable", "no longer in operation", "gone from the DNS"]),
            (7, &["4.4.1", "5.4.2"]),
        ],
    );
    assert_topics(
        "5.4.1",
        "de",
        &[
            (0, &["4.4.1", "Access denied"]),
            (1, &["Hard Bounce", "sofort", "keinen neuen Versuch"]),
            (
                2,
                &[
                    "abgeschaltet",
                    "existiert nicht mehr",
                    "DNS",
                    "außer Betrieb",
                    "abgeschnitten",
                    "aufgegeben",
                    "Firewall",
                    "zurückgegeben",
                    "Umzug",
                    "Ausfall",
                ],
            ),
            (
                3,
                &[
                    "sofort",
                    "nie wieder",
                    "Mailserver",
                    "auf anderem Weg",
                    "Liste der Domains",
                    "von Zeit zu Zeit",
                ],
            ),
            (
                4,
                &["Versanddatenbank", "automatisch", "DNS-Abfrage", "Sperrliste", "regelmäßig", "festhalten"],
            ),
            (5, &["MX", "Port 25", "registriert", "IT-Abteilung", "derselben Domain"]),
        ],
    );
}

#[test]
fn a_connection_that_cannot_be_had_is_explained_as_the_guidance_wants() {
    assert_topics(
        "5.4.2",
        "en",
        &[
            (0, &["4.4.2", "lasting"]),
            (1, &["hard bounce", "off the mailing list", "do not simply retry"]),
            (
                2,
                &[
                    "25, 587, 465",
                    "firewall",
                    "TLS",
                    "protocol",
                    "blocks your sending IP",
                    "policy",
                    "set up wrongly",
                    "network",
                    "path",
                ],
            ),
            (3, &["at once", "standing", "another channel", "other means of contact", "list of the domains"]),
            (
                4,
                &[
                    "database",
                    "bounce handling",
                    "suppression list",
                    "TLS",
                    "blocked",
                    "log which hosts",
                    "ports (587, 465)",
                    "periodically",
                ],
            ),
            (5, &["by hand", "firewall", "TLS versions", "25, 587, 465", "blocklists", "IT department"]),
            (6, &["Bad connection", "blocked", "TLS", "firewall policy"]),
            (7, &["4.4.2", "5.4.1"]),
        ],
    );
    assert_topics(
        "5.4.2",
        "de",
        &[
            (0, &["4.4.2", "von Dauer"]),
            (1, &["Hard Bounce", "aus der Mailingliste"]),
            (
                2,
                &[
                    "25, 587, 465",
                    "Firewall",
                    "TLS",
                    "Protokolle",
                    "blockiert",
                    "Verbindungsrichtlinie",
                    "falsch konfiguriert",
                    "Netzwerkpfad",
                ],
            ),
            (3, &["sofort", "Reputation", "auf anderem Weg", "andere Kontaktwege", "Liste der Domains"]),
            (
                4,
                &[
                    "Versanddatenbank",
                    "Bounce-Verarbeitung",
                    "Sperrliste",
                    "TLS-Versionen",
                    "gesperrt",
                    "protokollieren",
                    "Ports (587, 465)",
                ],
            ),
            (5, &["von Hand", "Firewall", "TLS", "25, 587, 465", "Blocklisten", "IT-Abteilung"]),
        ],
    );
}

#[test]
fn a_connection_that_broke_is_explained_as_the_guidance_wants() {
    let card = unwrapped(&printed(&["status", "4.4.2"]));
    for word in ["temporary failure", "soft bounce", "count ("] {
        assert!(card.contains(word), "{word}: {card}");
    }
    assert_topics(
        "4.4.2",
        "en",
        &[
            (
                2,
                &[
                    "overloaded",
                    "DNS",
                    "congested",
                    "firewall",
                    "Internet provider",
                    "sending limit",
                    "login details",
                    "relay",
                    "reputation",
                ],
            ),
            (
                3,
                &[
                    "clear up by themselves",
                    "one batch",
                    "Gmail, Microsoft, Yahoo",
                    "warm",
                    "SPF, DKIM and DMARC",
                    "which folder",
                ],
            ),
            (
                4,
                &[
                    "retry automatically",
                    "parallel connections",
                    "587",
                    "465",
                    "login",
                    "IP of your own",
                    "load balancing",
                    "second relay",
                    "campaign",
                ],
            ),
            (
                5,
                &[
                    "outage monitor",
                    "nslookup -type=mx",
                    "PTR",
                    "firewall",
                    "cloud",
                    "virus scanner",
                    "ping",
                    "traceroute",
                    "tracert",
                    "blocklists",
                ],
            ),
            (6, &["421 4.4.2 Bad connection", "timeout during transmission"]),
            (7, &["5.4.2", "421"]),
        ],
    );
    assert_topics(
        "4.4.2",
        "de",
        &[
            (
                2,
                &[
                    "überlastet",
                    "DNS",
                    "Firewall",
                    "Internetanbieter",
                    "Sendelimit",
                    "Zugangsdaten",
                    "Relay",
                    "Reputation",
                ],
            ),
            (
                3,
                &[
                    "vergehen von selbst",
                    "Gmail, Microsoft, Yahoo",
                    "aufwärmen",
                    "SPF, DKIM und DMARC",
                    "Ordner",
                ],
            ),
            (
                4,
                &[
                    "automatisch erneut",
                    "parallele Verbindungen",
                    "587",
                    "465",
                    "Anmeldung",
                    "eigenen IP",
                    "Lastverteilung",
                    "zweites Relay",
                    "Kampagne",
                ],
            ),
            (
                5,
                &[
                    "Störungsmelder",
                    "nslookup -type=mx",
                    "PTR",
                    "Firewall",
                    "Cloud",
                    "Virenscanner",
                    "ping",
                    "traceroute",
                    "tracert",
                    "Blocklisten",
                ],
            ),
        ],
    );
}
