//! What is accepted, what is refused, and how it is said.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("t.toml", text, std::iter::empty())
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Err(ConfigError::Wrong(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("accepted: {other:?}"),
    }
}

#[test]
fn the_file_that_explains_every_key_holds_the_defaults() {
    let text = include_str!("../../config/dsnd.toml");
    let (shown, built_in) = (parse(text).unwrap(), parse("").unwrap());
    assert_eq!(format!("{shown:?}"), format!("{built_in:?}"));
    let mut reader = Reader::new("dsnd.toml", "[[listener]]\n", std::iter::empty());
    let _ = limits::limits(&mut reader, "", 0);
    let _ = (
        listeners(&mut reader, false),
        smtp(&mut reader),
        return_paths(&mut reader, ""),
        store::store(&mut reader, "", 0),
    );
    let _ = (
        rules(&mut reader),
        policy(&mut reader, ""),
        log(&mut reader),
        breaker::breaker(&mut reader),
        tls::tls(&mut reader),
        http::http(&mut reader),
        unsigned_trust(&mut reader, &[]),
    );
    for key in reader.known() {
        let (section, name) = key.split_once('.').unwrap();
        let after = text.split_once(&format!("[{section}]")).unwrap().1;
        let body = after.split("\n[").next().unwrap();
        assert!(
            body.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = "))),
            "{key} is not explained"
        );
    }
}

#[test]
fn everything_wrong_is_named_at_once_with_its_line() {
    let said = problems(
        "[smtp]\nlisten = [\"nowhere\"]\nmax_recipient = 5\nmax_connections = \"many\"\nidle_timeout = 0\n\n[store]\npath = \"\"\n[log]\nlevel = \"loud\"\n[nonsense]\nx = 1\n",
    );
    assert_eq!(
        said,
        [
            "t.toml:2: smtp.listen: \"nowhere\" is no address with a port, such as \"127.0.0.1:25\" or \"[::]:25\"",
            "t.toml:3: smtp.max_recipient: unknown key; did you mean smtp.max_recipients?",
            "t.toml:4: smtp.max_connections: this must be an integer, not a string",
            "t.toml:5: smtp.idle_timeout: 0 is out of range; 1 to 3600 is possible",
            "t.toml:8: store.path: name a file, such as \"/var/lib/dsnd/dsnd.db\"",
            "t.toml:10: log.level: \"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
            "t.toml:11: nonsense: unknown section; config/dsnd.toml shows them all",
        ]
    );
}

#[test]
fn a_wrong_word_gets_the_nearest_right_one() {
    for (text, told) in [
        ("[smpt]\n", "t.toml:1: smpt: unknown section; did you mean [smtp]?"),
        ("[polcy]\nhard_days = 1\n", "t.toml:1: polcy: unknown section; did you mean [policy]?"),
        (
            "[[listeners]]\naddress = \"127.0.0.1:1\"\n",
            "t.toml:1: listeners: unknown section; did you mean [[listener]]?",
        ),
        ("[webhooks]\n", "t.toml:1: webhooks: unknown section; did you mean [[webhook]]?"),
        (
            "[listener]\naddress = \"127.0.0.1:1\"\n",
            "t.toml:2: listener: each listener is a table of its own; write [[listener]] instead of [listener]",
        ),
        (
            "[smtp]\nbare_newline = \"rejct\"\n",
            "t.toml:2: smtp.bare_newline: \"rejct\" is not one of \"accept\", \"reject\"; did you mean \"reject\"?",
        ),
    ] {
        assert_eq!(problems(text), [told]);
    }
}

#[test]
fn an_address_that_two_sections_want_is_named_before_the_start() {
    for (text, told) in [
        (
            "[smtp]\nlisten = [\"127.0.0.1:8025\"]\n",
            "t.toml:2: smtp.listen: 127.0.0.1:8025 is taken by http.listen = 127.0.0.1:8025",
        ),
        (
            "[lookup]\nlisten = [\"0.0.0.0:2525\"]\n",
            "t.toml:2: lookup.listen: 0.0.0.0:2525 is taken by smtp.listen = 127.0.0.1:2525",
        ),
        (
            "[[listener]]\naddress = \"unix:/run/d.sock\"\n[lookup]\nlisten = [\"unix:/run/d.sock\"]\n",
            "t.toml:4: lookup.listen: unix:/run/d.sock is taken by listener.address = unix:/run/d.sock",
        ),
        (
            "[[listener]]\naddress = \"0.0.0.0:2525\"\n",
            "t.toml:2: listener.address: 0.0.0.0:2525 is taken by smtp.listen = 127.0.0.1:2525",
        ),
    ] {
        assert_eq!(problems(text), [told]);
    }
    assert_eq!(
        problems("[smtp]\nlisten = [\"127.0.0.1:25\", \"127.0.0.1:25\"]\n").len(),
        1,
        "once is enough"
    );
    assert!(
        parse("[smtp]\nlisten = [\"0.0.0.0:25\", \"[::]:25\"]\n[http]\nlisten = [\"127.0.0.2:8025\"]\n")
            .is_ok()
    );
    assert!(parse("[smtp]\nlisten = [\"127.0.0.1:0\"]\n[http]\nlisten = [\"127.0.0.1:0\"]\n").is_ok());
}

#[test]
fn what_is_no_toml_is_named_with_its_line() {
    let said = problems("[smtp]\nlisten = [\n[store]\npath = \"x\"\n");
    assert!(said[0].starts_with("t.toml:"), "{said:?}");
    assert!(problems("listen = 1\n")[0].contains("sections"));
    assert!(!problems("[smtp]\nmax_recipients = 1\nmax_recipients = 2\n").is_empty(), "a key twice");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    assert!(problems("[policy]\nsoft_count = 40\n")[0].starts_with("t.toml:2: policy.soft_count"));
    assert!(problems("[breaker]\nfactor = 0\n")[0].starts_with("t.toml:2: breaker.factor"));
    assert!(problems("[policy]\nsoft_days = 200\n")[0].contains("soft_max_days"));
    assert!(problems("[policy]\nmailbox_full_span_days = 90\n")[0].contains("mailbox_full_window_days"));
    assert!(problems("[store]\nraw_days = 91\n")[0].starts_with("t.toml:2: store.raw_days"));
    assert!(problems("[store]\nwaiting_days = 89\n")[0].starts_with("t.toml:2: store.waiting_days"));
}

#[test]
fn events_are_kept_for_as_long_as_a_report_can_come_again_with_proof() {
    let of = |events: u32, age: u32| {
        format!("[store]\nraw_days = 0\nevents_days = {events}\n[return_path]\nmax_age_days = {age}\n")
    };
    let refused = problems(&of(15, 14));
    assert!(
        refused[0].starts_with("t.toml:3: store.events_days: 15 is too few")
            && refused[0].contains("make it 16 or more"),
        "{refused:?}"
    );
    assert_eq!(parse(&of(16, 14)).unwrap().store.events_days, 16);
    assert_eq!(problems(&of(90, 365)).len(), 1);
    // For ever is long enough, for raw messages and for what waits as well.
    let for_ever = parse(
        &format!("{}[policy]\n", of(0, 365)).replace("raw_days = 0", "raw_days = 3650\nwaiting_days = 1"),
    );
    assert_eq!(for_ever.unwrap().store.events_days, 0);
}

#[test]
fn addresses_are_hashed_with_a_key_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("hash.key");
    let (name, digits) = (path.display().to_string(), "0f".repeat(32));
    let with = |more: &str| format!("[store]\nhash_key_file = {name:?}\n{more}");
    assert!(problems(&with(""))[0].contains("`dsnd store keygen --output FILE` makes one"));
    std::fs::write(&path, &digits).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(problems(&with(""))[0].contains("its mode is 0644"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let store = parse(&with("")).unwrap().store;
    assert_eq!(
        (store.addresses.key().is_some(), store.addresses.all_hashed(), store.raw_days),
        (true, false, 14)
    );
    let store = parse(&with("hash_addresses = true\n")).unwrap().store;
    assert_eq!((store.addresses.all_hashed(), store.raw_days), (true, 0), "raw messages hold addresses");

    let said = problems(&with("hash_addresses = true\nraw_days = 3\n"));
    assert!(
        said.len() == 1 && said[0].starts_with("t.toml:4: store.raw_days: raw messages hold addresses"),
        "{said:?}"
    );
    let said = problems("[store]\nhash_addresses = true\n");
    assert!(said.len() == 1 && said[0].starts_with("t.toml:2: store.hash_addresses: "), "{said:?}");
    std::fs::write(&path, &digits[1..]).unwrap();
    let said = problems(&with("")).join("\n");
    assert!(said.contains("64 hexadecimal digits") && !said.contains("0f0f"), "{said}");

    let variable = |value: &str| std::iter::once(("DSND_STORE_HASH_KEY".to_owned(), value.to_owned()));
    assert!(Config::parse("t", "", variable(&digits)).unwrap().store.addresses.key().is_some());
    assert!(Config::parse("t", "", variable("x")).is_err());
    assert!(problems("[store]\nhash_key = \"x\"\n")[0].contains("unknown key"), "no key stands in the file");
}

#[test]
fn a_scope_is_one_of_two_words() {
    use crate::policy::Scope;
    let policy = parse("[policy]\nhard_scope = \"stream\"\nsoft_scope = \"global\"\n").unwrap().policy;
    assert_eq!(
        (policy.hard_scope, policy.complaint_scope, policy.soft_scope),
        (Scope::Stream, Scope::Global, Scope::Global)
    );
    let said = problems("[policy]\ncomplaint_scope = \"all\"\n");
    assert_eq!(said, ["t.toml:2: policy.complaint_scope: \"all\" is not one of \"global\", \"stream\""]);
}

#[test]
fn unsigned_reports_count_only_where_the_operator_says_so() {
    let read = |keys: &str| {
        parse(&format!("[return_path]\ndomains = [\"b.example\"]\n{keys}")).unwrap().unsigned_trust
    };
    for listen in ["127.0.0.1:2525", "0.0.0.0:25"] {
        let config = parse(&format!("[smtp]\nlisten = [{listen:?}]\n")).unwrap();
        assert_eq!(config.unsigned_trust, UnsignedTrust::default(), "{listen}");
    }
    assert!(read("trust_unsigned = true\n").generally);
    assert_eq!(read("trust_unsigned_domains = [\"B.Example\"]\n").domains, ["b.example"]);
    let networks = read("trust_unsigned_networks = [\"10.0.0.0/8\", \"::1\"]\n").networks;
    assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    let said = problems(
        "[return_path]\ntrust_unsigned = \"yes\"\ntrust_unsigned_domains = [\"c.example\"]\ntrust_unsigned_networks = [\"10/8\"]\n",
    );
    assert_eq!(
        said,
        [
            "t.toml:2: return_path.trust_unsigned: this must be true or false, not a string",
            "t.toml:3: return_path.trust_unsigned_domains: \"c.example\" is not among return_path.domains",
            "t.toml:4: return_path.trust_unsigned_networks: \"10/8\" is no network, such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"",
        ]
    );
}

const KEY: &str = "1 000102030405060708090a0b0c0d0e0f";

#[test]
fn keys_come_from_a_file_that_nobody_else_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let text = format!("[return_path]\nkeys_file = {file:?}\n");
    for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o700, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let parsed = parse(&text);
        assert_eq!(parsed.is_ok(), fine, "{mode:o}: {parsed:?}");
        if let Ok(config) = parsed {
            assert_eq!(config.return_paths.keys().newest().unwrap().id(), 1);
        } else {
            assert!(problems(&text)[0].contains("chmod 600"));
        }
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, format!("{KEY}\n1 0203\n")).unwrap();
    assert!(problems(&text)[0].contains("entry 2"));
    let missing = format!("[return_path]\nkeys_file = {:?}\n", folder.path());
    assert!(problems(&missing)[0].contains("no key file"));
    std::fs::remove_file(&file).unwrap();
    assert!(problems(&text)[0].contains("keygen"));
}

#[test]
fn a_certificate_and_its_key_come_together() {
    let said = problems("[tls]\ncertificate = \"/nowhere/cert.pem\"\nmin_version = \"1.1\"\n");
    assert_eq!(
        said,
        [
            "t.toml:2: tls.certificate: a certificate needs its key: set tls.key, too",
            "t.toml:3: tls.min_version: \"1.1\" is not one of \"1.2\", \"1.3\"",
        ]
    );
    assert!(problems("[tls]\nkey = \"/nowhere/key.pem\"\n")[0].starts_with("t.toml:2: tls.key: a key needs"));
    // What is in the files is a matter of the daemon and of check-config.
    let both = parse("[tls]\ncertificate = \"/nowhere/cert.pem\"\nkey = \"/nowhere/key.pem\"\n").unwrap();
    assert_eq!(both.tls.unwrap().key, PathBuf::from("/nowhere/key.pem"));
    assert!(parse("").unwrap().tls.is_none());
}

#[test]
fn keys_come_from_the_environment_and_stand_in_no_message() {
    let with = |value: &str| {
        let variable = ("DSND_RETURN_PATH_KEYS".to_owned(), value.to_owned());
        Config::parse("t.toml", "[return_path]\nunsigned = \"refuse\"\n", std::iter::once(variable))
    };
    let config = with(&format!("{KEY}, {}", KEY.replacen('1', "2", 1))).unwrap();
    assert_eq!(config.return_paths.keys().newest().unwrap().id(), 2);
    assert!(!format!("{config:?}").contains("0001"), "no secret is shown");
    let error = with("1 abcxyz").unwrap_err().to_string();
    assert!(
        error.starts_with("DSND_RETURN_PATH_KEYS: return_path.keys: entry 1") && !error.contains("abcxyz")
    );
    let said = problems("[return_path]\nkeys = \"1 abcdef\"\nunsigned = \"refuse\"\nprefix = \"a=\"\n");
    assert!(said[0].contains("t.toml:2: return_path.keys: unknown key"), "keys have no place here: {said:?}");
    assert!(said[1].contains("every bounce would be refused") && said[2].contains("no prefix"), "{said:?}");
}

#[test]
fn the_environment_overrides_the_file() {
    let variables = [
        ("DSND_STORE_PATH", "/elsewhere.db"),
        ("DSND_SMTP_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("DSND_SMTP_MAX_RECIPIENTS", "7"),
        ("DSND_RETURN_PATH_TRUST_UNSIGNED", "true"),
        ("DSND_RETURN_PATH_TRUST_UNSIGNED_NETWORKS", "10.0.0.0/8, ::1"),
        ("DSND_CONFIG", "ignored"),
        ("PATH", "/bin"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::parse("t.toml", "[store]\npath = \"here.db\"\n", variables.into_iter()).unwrap();
    assert_eq!(config.store.path, PathBuf::from("/elsewhere.db"));
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.smtp.max_recipients, 7);
    assert!(config.unsigned_trust.generally);
    assert_eq!(config.unsigned_trust.networks.len(), 2);
    let with = |name: &str, value: &str| {
        Config::parse("t.toml", "", std::iter::once((name.to_owned(), value.to_owned())))
    };
    let error = with("DSND_SMTP_MAX_RECIPIENTS", "few").unwrap_err().to_string();
    assert!(error.starts_with("DSND_SMTP_MAX_RECIPIENTS: "), "{error}");
    let unknown = |name: &str| with(name, "x").unwrap().unknown_variables.remove(0);
    assert_eq!(unknown("DSND_STORE_PAHT").nearest.as_deref(), Some("DSND_STORE_PATH"));
    assert_eq!(unknown("DSND_PORT").nearest, None);
}

proptest::proptest! {
    #[test]
    fn any_text_is_accepted_or_refused(text in "(\\[(smtp|store|log)\\]\n)?([a-z_]{1,12} ?= ?\\PC{0,20}\n){0,5}") {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(error.to_string().contains("t.toml"));
        }
    }
}

#[test]
fn a_rule_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("[rules]\ndir = {:?}\n", dir.path());
    std::fs::write(dir.path().join("a.toml"), b"# \xff").unwrap();
    assert!(problems(&text)[0].contains("a.toml: "), "{:?}", problems(&text));
    std::fs::remove_file(dir.path().join("a.toml")).unwrap();
    std::fs::create_dir(dir.path().join("b.toml")).unwrap();
    assert!(problems(&text)[0].contains("b.toml: it is no file"), "{:?}", problems(&text));
}
