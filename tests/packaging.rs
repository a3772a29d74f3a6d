//! What packages ship: the unit says what systemd understands, and every file that is named is there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::str::FromStr;

use regex::Regex;
use toml::Table;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Runs systemd-analyze on copies of the units that name the program under test; `None` where it is not installed.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let unit = |name: &str| -> PathBuf {
        let text = read(&format!("config/systemd/{name}"));
        let path = folder.path().join(name);
        fs::write(&path, text.replace("/usr/bin/dsnd", env!("CARGO_BIN_EXE_dsnd"))).unwrap();
        path
    };
    let units = [unit("dsnd.service"), unit("dsnd.socket")];
    let output = Command::new("systemd-analyze").args(arguments).args(units).env("LC_ALL", "C").output();
    if output.is_err() {
        let _ = writeln!(std::io::stderr(), "skipped: systemd-analyze is not installed");
    }
    output.ok()
}

#[test]
fn systemd_understands_the_units() {
    let Some(output) = analyze(&["verify", "--man=no"]) else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Without privileges, or where systemd does not run, it may not be able to look; what it says about others' units
    // is theirs.
    let ours: Vec<_> = said.lines().filter(|line| line.contains("dsnd")).collect();
    assert_eq!(ours, [""; 0], "{said}");
}

#[test]
fn the_unit_does_what_it_promises() {
    let unit = read("config/systemd/dsnd.service");
    for line in [
        "Type=notify",
        "User=dsnd",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "MemoryDenyWriteExecute=yes",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "StateDirectory=dsnd",
        // What `dsnd serve` ends with where starting it again does not help.
        "RestartPreventExitStatus=78",
        "SystemCallFilter=@system-service",
    ] {
        assert!(unit.lines().any(|there| there == line), "{line}");
    }
    let number = |key: &str| -> u64 {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap().parse().unwrap()
    };
    let defaults = dsnd::smtp::settings::Settings::default();
    assert!(number("TimeoutStopSec") > defaults.shutdown_grace.as_secs(), "messages on their way may finish");
    assert!(number("LimitNOFILE") > defaults.max_connections as u64, "every connection has a descriptor");
}

/// The name under which the socket unit passes its sockets is one that the configuration it shows asks for.
#[test]
fn the_configuration_that_the_socket_unit_shows_takes_its_sockets() {
    let unit = read("config/systemd/dsnd.socket");
    let name = unit.lines().find_map(|line| line.strip_prefix("FileDescriptorName=")).unwrap();
    let shown: String =
        unit.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| format!("{line}\n")).collect();
    let config = dsnd::config::Config::parse("dsnd.socket", &shown, std::iter::empty()).unwrap();
    let places: Vec<_> = config.listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(places, [format!("systemd:{name}")]);
}

/// Files that a package takes from the source are there, and those that it makes are made by its script.
#[test]
fn every_file_of_the_package_comes_from_somewhere() {
    let manifest = Table::from_str(&read("Cargo.toml")).unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let build = read("config/debian/build");
    let mut targets = BTreeSet::new();
    for asset in package["assets"].as_array().unwrap() {
        let (source, target) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        targets.insert(target.to_owned());
        let folder = source.split('*').next().unwrap();
        if let Some(made) = source.strip_prefix("target/release/package/") {
            let made = made.split("/*").next().unwrap();
            assert!(
                build.contains(&format!("\"$files/{made}\"")),
                "{source} is not made by config/debian/build"
            );
        } else if source != "target/release/dsnd" {
            assert!(root().join(folder).exists(), "{source}");
        }
    }
    for kept in package["conf-files"].as_array().unwrap() {
        assert!(targets.contains(kept.as_str().unwrap().trim_start_matches('/')), "{kept:?}");
    }
    for folder in ["maintainer-scripts", "systemd-units"] {
        let value = &package[folder];
        let folder = value.as_str().unwrap_or_else(|| value["unit-scripts"].as_str().unwrap());
        assert!(root().join(folder).is_dir(), "{folder}");
    }
}

#[test]
fn the_scripts_can_be_read_by_their_shells() {
    for (shell, script) in
        [("bash", "config/debian/build"), ("sh", "config/debian/postinst"), ("sh", "config/debian/postrm")]
    {
        let output = Command::new(shell).arg("-n").arg(root().join(script)).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{script}: {output:?}");
    }
}

/// The configurations that packages make from config/dsnd.toml are fine, and every substitution hits.
#[test]
fn the_configurations_of_the_packages_are_fine() {
    let substitution = Regex::new(r"s\|([^|]+)\|([^|]+)\|").unwrap();
    for file in ["config/debian/build", "config/Dockerfile"] {
        let mut text = read("config/dsnd.toml");
        let script = read(file);
        let all: Vec<_> = substitution.captures_iter(&script).collect();
        assert!(!all.is_empty(), "{file}");
        for found in all {
            let from = Regex::new(&format!("(?m){}", &found[1])).unwrap();
            assert!(from.is_match(&text), "{file}: {} is nowhere in config/dsnd.toml", &found[1]);
            text = from.replace_all(&text, regex::NoExpand(&found[2])).into_owned();
        }
        let config = dsnd::config::Config::parse(file, &text, std::iter::empty()).unwrap();
        assert_eq!(config.store.path, Path::new("/var/lib/dsnd/dsnd.db"), "{file}");
        assert!(config.lookup.listen.is_empty(), "{file}: nobody asks until the operator wants it");
        let private = config.listeners.iter().all(dsnd::config::Listener::is_private);
        assert!(private || !config.unsigned_trust.covers_everybody(), "{file}: strangers suppress nothing");
    }
}

#[test]
fn the_image_is_built_from_what_is_there_and_runs_without_rights() {
    let dockerfile = read("config/Dockerfile");
    let manifest = Table::from_str(&read("Cargo.toml")).unwrap();
    let rust = manifest["package"]["rust-version"].as_str().unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{rust}-")), "the Rust that is needed");
    let user = dockerfile.lines().rfind(|line| line.starts_with("USER ")).unwrap();
    assert_eq!(user, "USER dsnd");
    // What the package ships, the image does as well.
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let shipped = assets.iter().filter_map(|asset| asset[1].as_str()?.strip_prefix("usr/share/dsnd/"));
    for folder in shipped.map(|target| target.trim_end_matches('/')) {
        assert!(dockerfile.contains(&format!("config/{folder} ")), "{folder}");
    }
    for line in ["VOLUME /var/lib/dsnd", "ENTRYPOINT [\"dsnd\"]"] {
        assert!(dockerfile.lines().any(|there| there == line), "{line}");
    }
}
