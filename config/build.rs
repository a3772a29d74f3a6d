//! Reads what the program embeds of this folder, and works out what every pattern of a rule needs, so that no start of
//! the program has to. Rules are read with the program's own sources: what a file means stands once.

#![allow(dead_code, unreachable_pub, reason = "the program uses the rest")]
#![allow(clippy::print_stdout, reason = "that is how cargo is spoken to")]

#[path = "../src/classify/rules/lists.rs"]
mod lists;
#[path = "../src/nearest.rs"]
mod nearest;
#[path = "../src/classify/rules/needs.rs"]
mod needs;
#[path = "../src/classify/rules/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::{env, fs};

use source::Reader;

/// The lists of words that every rule file may use.
const WORDS: &str = "words.toml";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    fs::write(out.join("rules.json"), rules()).expect("the folder for it is there");
    for (name, text) in files("status-codes") {
        let table: toml::Table = toml::from_str(&text).unwrap_or_else(|cause| panic!("{name}: {cause}"));
        let json = serde_json::to_string(&table).expect("TOML without dates is JSON");
        fs::write(out.join(name).with_extension("json"), json).expect("the folder for it is there");
    }
}

fn rules() -> String {
    let mut reader = Reader::default();
    let (words, rules): (Vec<_>, Vec<_>) = files("rules").into_iter().partition(|(name, _)| name == WORDS);
    words.iter().for_each(|(name, text)| reader.read_words(name, text));
    rules.iter().for_each(|(name, text)| reader.read_rules(name, text));
    let flaws: Vec<String> = reader.flaws.iter().map(ToString::to_string).collect();
    assert!(flaws.is_empty(), "\n{}", flaws.join("\n"));
    serde_json::to_string(&reader.rules).expect("texts and numbers are JSON")
}

/// The TOML files of a folder beside this one, in the order of their names, which is that in which rules are tried.
fn files(folder: &str) -> Vec<(String, String)> {
    println!("cargo::rerun-if-changed=config/{folder}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(folder);
    let paths = fs::read_dir(folder)
        .expect("it comes with the source")
        .map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    paths.sort();
    let file = |path: &PathBuf| {
        let name = path.file_name().expect("it is a file").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display())))
    };
    paths.iter().map(file).collect()
}
