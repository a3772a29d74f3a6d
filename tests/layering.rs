//! The house's order: layers, sizes of files, who may touch the MIME crate, and what lies at the top level.

#[path = "layering/layers.rs"]
mod layers;
#[path = "layering/scan.rs"]
mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines a file may have, and that half of all files may have.
const LONGEST: usize = 500;
const MEDIAN: usize = 200;

/// What may lie at the top level, dotfiles aside.
const TOP_LEVEL: &[&str] = &["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "config", "src", "tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What a build left behind is none of ours.
        if path.is_dir() && path.file_name() != Some("target".as_ref()) {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files of a folder at the top level: (path below it, content), in order.
fn sources(folder: &str) -> Vec<(String, String)> {
    let folder = root().join(folder);
    let mut paths = Vec::new();
    rust_files(&folder, &mut paths);
    paths.sort();
    let named = |path: &PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    paths.iter().map(named).collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn modules_name_lower_layers_only() {
    let sources = sources("src");
    assert!(sources.len() > 40, "the sources are in src/");
    assert_none(&layers::problems(&sources));
}

#[test]
fn the_mime_crate_is_known_to_one_file() {
    let users: Vec<_> = sources("src")
        .into_iter()
        .filter(|(_, source)| {
            scan::tokens(&scan::strip(source)).contains(&scan::Token::Word("mail_parser".to_owned()))
        })
        .map(|(file, _)| file)
        .collect();
    assert_eq!(users, ["report/mime.rs"]);
}

#[test]
fn files_are_short() {
    let lengths = |folder| -> Vec<(usize, String)> {
        let count = |(file, source): (String, String)| (source.lines().count(), format!("{folder}/{file}"));
        sources(folder).into_iter().map(count).collect()
    };
    let mut program = lengths("src");
    let too_long: Vec<_> = program
        .iter()
        .cloned()
        .chain(lengths("tests"))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{file}: {lines} lines, {LONGEST} are allowed"))
        .collect();
    assert_none(&too_long);
    program.sort();
    let median = program[program.len() / 2].0;
    assert!(median <= MEDIAN, "half of all files in src/ are longer than {median} lines");
    let main = program.iter().find(|(_, file)| file == "src/main.rs").unwrap().0;
    assert!(main <= 40, "src/main.rs has {main} lines");
}

#[test]
fn the_top_level_is_tidy() {
    let git = Command::new("git").args(["ls-files"]).current_dir(root()).output();
    let names: Vec<String> = match git {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        }
        // Not a clone: everything there is, without what running dsnd and cargo leaves behind.
        _ => fs::read_dir(root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "target" && !name.contains(".db"))
            .collect(),
    };
    let stray = stray(&names);
    assert!(stray.is_empty(), "at the top level: {stray:?}");
}

fn stray(files: &[String]) -> Vec<&str> {
    let top = |file: &'_ String| file.split('/').next().map(str::len);
    let mut stray: Vec<&str> = files
        .iter()
        .filter_map(|file| Some(&file[..top(file)?]))
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name))
        .collect();
    stray.dedup();
    stray
}

mod the_checker {
    use super::{layers, scan, stray};

    fn references(file: &str, source: &str) -> Vec<String> {
        scan::references(&layers::module_of(file), source).iter().map(|path| path.join("::")).collect()
    }

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> =
            files.iter().map(|(file, source)| ((*file).to_owned(), (*source).to_owned())).collect();
        layers::problems(&files)
    }

    #[test]
    fn finds_every_way_to_name_a_module() {
        for (file, source, found) in [
            ("a.rs", "use crate::store::Store;", vec!["store::Store"]),
            (
                "a.rs",
                "pub(crate) use crate::{store, smtp::{self, reply::*}};",
                vec!["smtp", "smtp::reply", "store"],
            ),
            ("a.rs", "fn f(x: &crate::store::Store) {}", vec!["store::Store"]),
            ("a.rs", "let x = crate :: store\n ::open::<u8>();", vec!["store::open"]),
            ("a/b.rs", "use super::c;", vec!["a::c"]),
            ("a/b.rs", "use super::super::store;", vec!["store"]),
            ("a/b.rs", "use super::{c::{d as e, f}, g};", vec!["a::c::d", "a::c::f", "a::g"]),
            (
                "a/b.rs",
                "mod tests { use super::super::c; } fn f() { super::d::g() }",
                vec!["a::c", "a::d::g"],
            ),
            ("a/mod.rs", "use self::b::c;", vec!["a::b::c"]),
            ("a/mod.rs", "mod b; use b::c;", vec!["a::b::c"]),
            ("a/mod.rs", "fn f() { b::c() } mod b { }", vec!["a::b::c"]),
            (
                "a.rs",
                "use crate::smtp as s; fn f() { s::listener::serve() }",
                vec!["smtp", "smtp::listener::serve"],
            ),
            ("main.rs", "fn main() { dsnd::cli::main() }", vec!["cli::main"]),
            ("a.rs", "macro_rules! m { () => { $crate::store::x() } }", vec!["store::x"]),
        ] {
            assert_eq!(references(file, source), found, "{file}: {source}");
        }
    }

    #[test]
    fn leaves_alone_what_is_no_path_of_the_crate() {
        for source in [
            "// use crate::store;",
            "/* use crate::store; /* crate::store */ crate::store */",
            "/// [`crate::store::Store`]\nfn f() {}",
            r####"const A: &str = "crate::store"; const B: &[u8] = br##"\"# crate::store"##;"####,
            r#"const C: char = '"'; const D: char = '\''; const E: &str = "crate::store";"#,
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            "use std::{fs::{self, File}, io}; use ::tokio::net;",
            "pub(crate) fn f(r#type: u8) -> impl Sized + use<> {}",
            "fn f(x: X) { x.store::<u8>(); other::store::y() }",
        ] {
            assert_eq!(references("a.rs", source), [""; 0], "{source}");
        }
    }

    #[test]
    fn refuses_an_upward_edge() {
        for (file, source) in [
            ("report/mod.rs", "use crate::classify::Class;"),
            ("report/parse.rs", "use super::super::store::Store;"),
            ("address.rs", "use crate::{status, report::Report};"),
            ("store/types.rs", "fn f() { crate::ingest::f() }"),
            ("smtp/mod.rs", "pub mod listener; pub use listener::serve;"),
            ("smtp/session.rs", "use super::connection::Connection;"),
            ("policy.rs", "#[cfg(test)] mod tests { use crate::store::Store; }"),
        ] {
            assert_eq!(problems(&[(file, source)]).len(), 1, "{file}: {source}");
        }
    }

    #[test]
    fn refuses_siblings_in_the_layer_of_formats() {
        assert_eq!(problems(&[("report/mod.rs", "use crate::smtp::Envelope;")]).len(), 1);
        assert_eq!(problems(&[("returnpath/mod.rs", "use crate::report::Report;")]).len(), 1);
        assert_eq!(problems(&[("smtp/reply.rs", "use crate::returnpath::Trust;")]).len(), 1);
    }

    #[test]
    fn keeps_the_listener_from_knowing_what_messages_mean() {
        assert_eq!(problems(&[("smtp/listener.rs", "use crate::report::Report;")]).len(), 1);
        assert_eq!(problems(&[("smtp/listener.rs", "use crate::store::Store;")]).len(), 1);
        assert_eq!(problems(&[("smtp/connection/mod.rs", "use crate::ingest::Ingest;")]).len(), 1);
        assert_eq!(
            problems(&[(
                "smtp/listener.rs",
                "use super::{Sink, connection::Connection}; use crate::address;"
            )]),
            [""; 0]
        );
    }

    #[test]
    fn refuses_modules_that_name_each_other() {
        let there = ("policy/mod.rs", "use crate::classify::Class;");
        assert_eq!(problems(&[there]), [""; 0]);
        assert_eq!(problems(&[there, ("classify/mod.rs", "use crate::policy::Policy;")]).len(), 1);
    }

    #[test]
    fn refuses_what_has_no_place() {
        assert_eq!(problems(&[("telemetry.rs", "")]).len(), 1);
        assert_eq!(problems(&[("app.rs", "use crate::Thing;")]).len(), 1);
        assert_eq!(problems(&[("app.rs", "use super::*;")]).len(), 1);
    }

    #[test]
    fn takes_downward_edges() {
        let files = [
            ("lib.rs", "pub mod app; pub mod store;"),
            ("app.rs", "use crate::{config::Config, smtp::listener::Server, store::Store};"),
            ("ingest/mod.rs", "use crate::{report, returnpath, smtp, store, classify, policy, address};"),
            ("store/mod.rs", "use crate::classify::Classification;"),
        ];
        assert_eq!(problems(&files), [""; 0]);
    }

    #[test]
    fn sees_what_lies_about() {
        let files = ["src/main.rs", ".ci/run", ".gitignore", "notes.txt", "docs/a.md", "README.md"];
        assert_eq!(stray(&files.map(str::to_owned)), ["notes.txt", "docs"]);
    }
}
