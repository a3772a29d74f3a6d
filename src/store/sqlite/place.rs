//! Whether an open database is still the file that its path names.
//!
//! SQLite goes on writing to a file that was deleted or replaced under it, and reports success; what it writes
//! there is gone with the process. Such a commit is none that may be acknowledged (contract 1).

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode of a file; `None` where the path names nothing.
type Identity = Option<(u64, u64)>;

/// The files of an open database, as they were when it was opened.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    log: PathBuf,
    file: Identity,
    /// The write-ahead log exists from the first write on.
    log_file: Identity,
}

impl Place {
    /// The file that the path names now. To be taken before the database is opened: a file that is replaced
    /// in between is then noticed.
    pub(super) fn of(path: &Path) -> Self {
        let mut log = OsString::from(path);
        log.push("-wal");
        Self { path: path.to_owned(), log: log.into(), file: identity(path), log_file: None }
    }

    /// Whether the path still names the file that was opened, with the log that was written. To be asked after
    /// a commit, before it is told to anybody.
    pub(super) fn holds(&mut self) -> bool {
        let log_file = identity(&self.log);
        self.log_file = self.log_file.or(log_file);
        self.file.is_some() && identity(&self.path) == self.file && log_file == self.log_file
    }
}

fn identity(path: &Path) -> Identity {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}
