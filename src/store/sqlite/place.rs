//! Whether an open database is still the file that its path names.
//!
//! SQLite goes on writing to a file that was deleted or replaced under it, and reports success; what it writes
//! there is gone with the process. Such a commit is none that may be acknowledged (contract 1). The same holds for
//! a file that was cut short under it: what it read before stays in its memory, and hides that the rest is gone.

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
    /// The octets that the file and its log had. Neither gets shorter while it is open, but by a `VACUUM` or a
    /// checkpoint of another program.
    lengths: [u64; 2],
    /// One of them got shorter: that is not forgotten before the database is opened anew.
    cut: bool,
}

impl Place {
    /// The file that the path names now. To be taken before the database is opened: a file that is replaced
    /// in between is then noticed.
    pub(super) fn of(path: &Path) -> Self {
        let mut log = OsString::from(path);
        log.push("-wal");
        Self {
            path: path.to_owned(),
            log: log.into(),
            file: identity(path),
            log_file: None,
            lengths: [0, 0],
            cut: false,
        }
    }

    /// Whether nothing is left of the file.
    pub(super) fn is_empty(&self) -> bool {
        length(&self.path) == 0
    }

    /// Whether neither file ever got shorter. To be asked before a write as well: a checkpoint makes a file long again
    /// that was cut, without what stood there.
    pub(super) fn is_whole(&mut self) -> bool {
        let now = [length(&self.path), length(&self.log)];
        let whole = now.iter().zip(&self.lengths).all(|(now, before)| now >= before) && now[0] > 0;
        self.lengths = now;
        self.cut |= !whole;
        !self.cut
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

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
