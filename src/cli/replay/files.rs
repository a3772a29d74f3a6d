//! Which files there are to be replayed, and the messages in them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::report::mbox::{Piece, Splitter, begins_with_field};

/// Octets of a file read at once.
const OCTETS: usize = 64 * 1024;

/// Messages that go on together.
const MESSAGES: usize = 256;

/// And how many octets of them.
const MOST: usize = 16 * 1024 * 1024;

/// What lies below the paths of a command.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Files in the order of their names.
    pub(super) paths: Vec<PathBuf>,
    /// How long they are together, in octets.
    pub(super) octets: u64,
    /// What cannot be read, and why.
    pub(super) unreadable: Vec<String>,
}

impl Files {
    /// Every file below a path: of a Maildir what is in `cur` and `new`, and the Maildirs in it (Maildir++ keeps them
    /// in folders that begin with a dot).
    pub(super) fn collect(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => self.folder(path),
            Ok(meta) => {
                self.octets += meta.len();
                self.paths.push(path.to_owned());
            }
            Err(error) => self.unreadable.push(unreadable(path, &error)),
        }
    }

    fn folder(&mut self, path: &Path) {
        let entries = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push(unreadable(path, &error)),
        };
        entries.sort();
        let maildir = is_maildir(path);
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().as_encoded_bytes();
            let hidden = name.starts_with(b".");
            let wanted = match maildir {
                true => matches!(name, b"cur" | b"new") || (hidden && is_maildir(&entry)),
                false => !hidden || is_maildir(&entry),
            };
            // A link could lead in a circle; mail is not kept behind one.
            if wanted && !(entry.is_symlink() && entry.is_dir()) {
                self.collect(&entry);
            }
        }
    }
}

fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() && path.join("new").is_dir()
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// Messages on their way from files, some at a time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each with the name of its file and, from the second of a file on, its number there.
    pub(super) messages: Vec<(String, Vec<u8>)>,
    /// What could not be read, is no message, or is too large.
    pub(super) unreadable: Vec<String>,
    /// How much was read so far of all files, in octets.
    pub(super) read: u64,
}

/// Reads every message of every file, and hands them on in their order; no more of them is kept than two batches.
pub(super) fn read(paths: Vec<PathBuf>, limit: usize, to: &mpsc::Sender<Batch>) {
    let mut reader = Reader { limit, to, batch: Batch::default(), octets: 0, piece: vec![0; OCTETS] };
    for path in paths {
        if !reader.file(&path) {
            return; // nobody takes them any more
        }
    }
    reader.hand_on();
}

struct Reader<'t> {
    limit: usize,
    to: &'t mpsc::Sender<Batch>,
    batch: Batch,
    /// Octets of the messages in the batch.
    octets: usize,
    piece: Vec<u8>,
}

impl Reader<'_> {
    /// Reads a file; false when nobody takes what is in it.
    fn file(&mut self, path: &Path) -> bool {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.batch.unreadable.push(unreadable(path, &error));
                return true;
            }
        };
        let mut splitter = Splitter::new(self.limit);
        let mut number = 0;
        loop {
            match file.read(&mut self.piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.batch.unreadable.push(unreadable(path, &error));
                    return true;
                }
                Ok(0) => splitter.end(),
                Ok(octets) => {
                    self.batch.read += octets as u64;
                    splitter.feed(&self.piece[..octets]);
                    number = match self.messages(path, &mut splitter, number) {
                        Some(number) => number,
                        None => return false,
                    };
                    continue;
                }
            }
            return self.messages(path, &mut splitter, number).is_some();
        }
    }

    /// Takes the messages that are whole; how many there were in the file so far.
    fn messages(&mut self, path: &Path, splitter: &mut Splitter, mut number: usize) -> Option<usize> {
        while let Some(piece) = splitter.next_message() {
            number += 1;
            let name = path.display();
            let source = if number == 1 { name.to_string() } else { format!("{name}#{number}") };
            match piece {
                Piece::TooLarge => {
                    let most = self.limit;
                    self.batch.unreadable.push(format!(
                        "{source} is left out: larger than smtp.max_message_size ({most} octets)"
                    ));
                }
                Piece::Message(message) if !begins_with_field(&message) => {
                    let what = "is no message: it does not begin with a header field";
                    self.batch.unreadable.push(format!("{source} {what}"));
                }
                Piece::Message(message) => {
                    self.octets += message.len();
                    self.batch.messages.push((source, message));
                }
            }
            if (self.batch.messages.len() >= MESSAGES || self.octets >= MOST) && !self.hand_on() {
                return None;
            }
        }
        Some(number)
    }

    fn hand_on(&mut self) -> bool {
        self.octets = 0;
        let next = Batch { read: self.batch.read, ..Batch::default() };
        self.to.blocking_send(std::mem::replace(&mut self.batch, next)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_maildir_gives_what_was_delivered_in_all_its_folders() {
        let home = tempfile::tempdir().unwrap();
        for folder in
            ["cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp", ".notes", "courierimapkeywords"]
        {
            fs::create_dir_all(home.path().join(folder)).unwrap();
            fs::write(home.path().join(folder).join("1"), folder).unwrap();
        }
        fs::write(home.path().join("dovecot-uidlist"), "x").unwrap();
        std::os::unix::fs::symlink(home.path(), home.path().join(".Loop")).unwrap();
        let mut files = Files::default();
        files.collect(home.path());
        files.collect(&home.path().join("nowhere"));
        let found: Vec<_> = files.paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(found, [".Sent/cur", ".Sent/new", "cur", "new"]);
        assert_eq!((files.octets, files.unreadable.len()), (24, 1));
    }
}
