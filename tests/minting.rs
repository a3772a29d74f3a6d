//! Return paths are minted outside of dsnd as the README says: its example, and its code in three languages.

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use dsnd::address::{ForwardPath, Mailbox, comparison_form};
use dsnd::returnpath::{Keys, Prefix, ReturnPath, ReturnPaths, Token, token};
use jiff::Timestamp;

const SECRET: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn keys(id: u8) -> Keys {
    Keys::parse(&format!("{id} {SECRET}")).unwrap()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn the_worked_example_of_the_readme_is_what_dsnd_mints() {
    let keys = keys(1);
    let key = keys.newest().unwrap();
    let recipient = "User@Bücher.example";
    let form = comparison_form(recipient);
    let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let minted = Token::mint(key, &form, 7, at).unwrap();
    let octets = minted.octets();
    let lines = [
        format!("key              {SECRET} (id 1)"),
        format!("recipient        {recipient}"),
        format!("comparison form  {form}"),
        format!("version, key id  {}", hex(&octets[..1])),
        format!("day              {}             {}, 2026-11-21", hex(&octets[1..3]), minted.day()),
        format!("stream           {}           7", hex(&octets[3..6])),
        format!(
            "recipient tag    {}     HMAC-SHA-256(key, \"dsnd-rcpt\" 00 \"{form}\")",
            hex(&octets[6..12])
        ),
        format!(
            "mac              {} HMAC-SHA-256(key, \"dsnd-token\" 00 {})",
            hex(&octets[12..]),
            hex(&octets[..12])
        ),
        format!("base32           {}", minted.encode()),
        format!("return path      {}@bounces.shop.example", Prefix::default().blind(&minted)),
    ];
    assert_eq!(hex(&token::tag(key, &form)), hex(&octets[6..12]));
    let example = lines.join("\n");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("```text\n{example}\n```")), "dsnd mints now:\n{example}");
}

/// Addresses of every kind, different on every run; what failed is in the message.
fn addresses() -> Vec<(String, u32)> {
    let mut state = u64::try_from(Timestamp::now().as_nanosecond() & i128::from(u64::MAX)).unwrap() | 1;
    let mut below = move |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).unwrap()
    };
    let plain: Vec<char> =
        ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("!#$%&'*+-/=?^_`{|}~.".chars()).collect();
    let wide: Vec<char> =
        "äÖüßéÉñЖлшΩλΣς日本語\u{03f4}\u{2126}\u{212a}\u{212b}".chars().chain('a'..='f').collect();
    let quoted: Vec<char> = "a bC(),:;<>@[]d".chars().collect();
    let hosts = [
        "example.com",
        "Example.ORG",
        "mail.x-y.example",
        "bücher.example",
        "BÜCHER.example",
        "xn--bcher-kva.example",
        "пример.example",
        "例え.example",
    ];
    let mut text = |letters: &[char], most: usize| -> String {
        (0..=below(most)).map(|_| letters[below(letters.len())]).collect()
    };
    let mut all = Vec::new();
    for round in 0..240_usize {
        let local = match round % 4 {
            0 => text(&wide, 20),
            1 => format!("\"{} {}\"", text(&quoted, 20), text(&quoted, 20)),
            2 => "X".repeat(64),
            _ => text(&plain, 63),
        };
        all.push((
            format!("{local}@{}", hosts[(round / 4) % hosts.len()]),
            u32::try_from(round * 69_905).unwrap(),
        ));
    }
    all.push((format!("User@{}example", "abc.".repeat(50)), token::MAX_STREAM));
    all
}

/// Hands the addresses to a program in `config/examples`; the return paths it writes, or `None` without it.
fn minted(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<String>> {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(root().join("config/examples"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        common::say(&format!("SKIPPED: minting with {program}, which is not installed"));
        return None;
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn assert_all_verify(program: &str, arguments: &[&str]) {
    let addresses = addresses();
    let input = serde_json::to_vec(&addresses).unwrap();
    let Some(minted) = minted(program, arguments, &input) else { return };
    assert_eq!(minted.len(), addresses.len());
    let keys = keys(5);
    let paths = ReturnPaths::new(&["bounces.example".to_owned()], Vec::new()).with_tokens(
        keys.clone(),
        Prefix::default(),
        1,
    );
    for ((address, stream), return_path) in addresses.iter().zip(&minted) {
        let path = ForwardPath::Mailbox(Mailbox::parse(return_path).unwrap());
        match paths.judge(&path, Timestamp::now()) {
            Ok(ReturnPath::Token { token, .. }) => {
                let recipient = Mailbox::parse(address).unwrap().comparison_form();
                assert!(token.names(&keys, &recipient), "{program} mints {return_path} for {address}");
                assert_eq!(token.stream(), *stream, "{program}, {address}");
            }
            other => panic!("{program} mints {return_path} for {address}: {other:?}"),
        }
    }
}

#[test]
fn python_mints_what_dsnd_verifies() {
    let code = format!(
        "import json, sys\nfrom mint import mint\nfor address, stream in json.loads(sys.stdin.buffer.read()):\n    \
         print(mint(5, '{SECRET}', address, 'bounces.example', stream))"
    );
    assert_all_verify("python3", &["-c", &format!("import sys; sys.path.insert(0, '.')\n{code}")]);
}

#[test]
fn javascript_mints_what_dsnd_verifies() {
    let code = format!(
        "const {{ mint }} = require('./mint.js');\n\
         for (const [address, stream] of JSON.parse(require('fs').readFileSync(0, 'utf8')))\n  \
         console.log(mint(5, '{SECRET}', address, 'bounces.example', stream));"
    );
    assert_all_verify("node", &["-e", &code]);
}

#[test]
fn php_mints_what_dsnd_verifies() {
    let has = "exit(extension_loaded('intl') ? 0 : 1);";
    let extensions = Command::new("php").args(["-r", has]).status();
    if extensions.is_ok_and(|status| !status.success()) {
        common::say("SKIPPED: minting with php, which has no intl here");
        return;
    }
    let code = format!(
        "require 'mint.php';\n\
         foreach (json_decode(stream_get_contents(STDIN)) as [$address, $stream])\n  \
         echo mint(5, '{SECRET}', $address, 'bounces.example', $stream), \"\\n\";"
    );
    assert_all_verify("php", &["-r", &code]);
}

#[test]
fn the_readme_shows_the_files_that_are_tested() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (file, language) in [("mint.py", "python"), ("mint.js", "js"), ("mint.php", "php")] {
        let code = fs::read_to_string(root().join("config/examples").join(file)).unwrap();
        assert!(code.lines().count() <= 25, "{file} is short");
        assert!(
            readme.contains(&format!("```{language}\n{code}```")),
            "{file} stands in the README as it is"
        );
    }
}
