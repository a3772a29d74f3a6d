//! Whether an open database is still the file that its path names.
//!
//! SQLite goes on writing to a file that was deleted or replaced under it, and reports success; what it writes
//! there is gone with the process. Such a commit is none that may be acknowledged (contract 1). The same holds for
//! a file that was cut short under it: what it read before stays in its memory, and hides that the rest is gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
    index: PathBuf,
    /// The octets that the file and its log had. Neither gets shorter while it is open, but by a `VACUUM` of another program;
    /// the log, when its index says that no more of it is needed (`dsnd erase` empties it).
    lengths: [u64; 2],
    /// One of them got shorter: that is not forgotten before the database is opened anew.
    cut: bool,
}

impl Place {
    /// The file that the path names now. To be taken before the database is opened: a file that is replaced
    /// in between is then noticed.
    pub(super) fn of(path: &Path) -> Self {
        let beside = |suffix| {
            let mut name = OsString::from(path);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self {
            path: path.to_owned(),
            log: beside("-wal"),
            index: beside("-shm"),
            file: identity(path),
            log_file: None,
            lengths: [0, 0],
            cut: false,
        }
    }

    /// How long the log is.
    pub(super) fn log_octets(&self) -> u64 {
        length(&self.log)
    }

    /// Whether nothing is left of the file.
    pub(super) fn is_empty(&self) -> bool {
        length(&self.path) == 0
    }

    /// Whether neither file ever got shorter. To be asked before a write as well: a checkpoint makes a file long again
    /// that was cut, without what stood there.
    pub(super) fn is_whole(&mut self) -> bool {
        let now = [length(&self.path), length(&self.log)];
        let log_is_whole =
            now[1] >= self.lengths[1] || needed(&self.index).is_some_and(|needed| now[1] >= needed);
        let whole = now[0] >= self.lengths[0] && now[0] > 0 && log_is_whole;
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

/// How long the log must be by its index, the file that all programs at the database share: the header of the log, and
/// each frame with its header (<https://sqlite.org/walformat.html>). `None` where the index cannot be read, or is just being
/// written.
pub(super) fn needed(index: &Path) -> Option<u64> {
    const HEADER: usize = 48;
    let mut octets = [0; 2 * HEADER];
    kept_open(index)?.read_exact_at(&mut octets, 0).ok()?;
    let (first, second) = octets.split_at(HEADER);
    let initialized = first[12] == 1;
    if first != second || !initialized {
        return None;
    }
    let page_size = match u16::from_ne_bytes([first[14], first[15]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let frames = u32::from_ne_bytes(first[16..20].try_into().ok()?);
    Some(if frames == 0 { 0 } else { 32 + u64::from(frames) * (24 + page_size) })
}

/// Files by device and inode.
type Kept = BTreeMap<(u64, u64), Vec<Arc<File>>>;

/// The index, opened once and never closed: when a process closes any descriptor of a file, it loses all its locks on that
/// file (POSIX), those of SQLite, too, and another program may then cut the index under it.
fn kept_open(index: &Path) -> Option<Arc<File>> {
    // Several where another index came to the name just before it was opened.
    static OPEN: Mutex<Kept> = Mutex::new(Kept::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = open.get(&identity(index)?).and_then(|files| files.last()) {
        return Some(Arc::clone(file));
    }
    let file = Arc::new(File::open(index).ok()?);
    let meta = file.metadata().ok()?;
    open.entry((meta.dev(), meta.ino())).or_default().push(Arc::clone(&file));
    Some(file)
}

fn identity(path: &Path) -> Identity {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
