//! Files with personal data that get their name when they are whole: backups and exports.
//!
//! Until then such a file is `.NAME.PID.dsnd-part`, locked by the process that writes it; no other program calls its
//! files so. What was ended in the middle is removed by the next one for the same name, and by `dsnd erase` in every
//! folder that files were written to.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the name of every part ends.
const ENDING: &str = ".dsnd-part";

/// A file that is not whole yet; it is removed unless it gets its name.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    file: Option<File>,
}

impl Part {
    /// An empty file, for its owner alone, in the folder of `target`; a part of the same target that no process
    /// writes any more is removed. The folder is noted beside the database, for [`clear`].
    pub(super) fn create(target: &Path, database: &Path) -> anyhow::Result<Self> {
        let target = std::path::absolute(target)?;
        let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
            anyhow::bail!("name a file, such as /var/backups/dsnd.db");
        };
        remove_parts(folder, |part| is_part(part, Some(name)));
        // Without the note the parts in that folder are still removed by the next run there.
        let _ = note(database, folder);
        let mut part = OsString::from(".");
        part.push(name);
        part.push(format!(".{}{ENDING}", std::process::id()));
        let path = folder.join(part);
        let cannot = || format!("cannot write {}", path.display());
        let file = loop {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(cannot)?;
            file.lock().with_context(cannot)?;
            // Before it was locked another process may have taken it for one that was left.
            if file.metadata()?.nlink() > 0 {
                break file;
            }
        };
        Ok(Self { path, target, file: Some(file) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is written to it.
    pub(super) fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives it its name, in place of a file there or, without `replace`, only where there is none.
    pub(super) fn place(mut self, replace: bool) -> anyhow::Result<()> {
        let named = if replace {
            std::fs::rename(&self.path, &self.target)
        } else {
            std::fs::hard_link(&self.path, &self.target)
        };
        named.with_context(|| format!("cannot name the file {}", self.target.display()))?;
        if replace {
            self.file = None;
        }
        // So that the name is there after a power cut, too.
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path); // the next run tries again
        }
    }
}

/// Waits for a signal that ends a command, so that it can clean up first. Signals are caught from the call on, and not
/// only from when it is waited for: call it before there is anything to clean up, within a runtime.
pub(super) fn ended() -> impl Future<Output = anyhow::Error> {
    let [mut interrupt, mut terminate, mut hangup] =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(|kind| signal(kind).ok());
    let wait = async |signal: &mut Option<Signal>| match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    };
    async move {
        tokio::select! {
            _ = wait(&mut interrupt) => {}
            _ = wait(&mut terminate) => {}
            _ = wait(&mut hangup) => {}
        }
        anyhow::anyhow!("ended by a signal; nothing was written")
    }
}

/// Removes the parts that were left beside the database and in every folder that files were written to; how many.
pub(super) fn clear(database: &Path) -> usize {
    let mut folders = noted(database);
    folders.extend(database.parent().map(Path::to_owned));
    folders.iter().map(|folder| remove_parts(folder, |name| is_part(name, None))).sum()
}

/// The file that notes the folders, one a line.
fn notes(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-copies");
    name.into()
}

fn noted(database: &Path) -> BTreeSet<PathBuf> {
    let text = std::fs::read_to_string(notes(database)).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
}

fn note(database: &Path, folder: &Path) -> io::Result<()> {
    let Some(name) = folder.to_str().filter(|name| !name.contains('\n')) else { return Ok(()) };
    if noted(database).contains(folder) {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(notes(database))?;
    writeln!(file, "{name}")
}

/// Whether a name is that of a part: of this target, or of any.
fn is_part(name: &OsStr, target: Option<&OsStr>) -> bool {
    let Some(inner) = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(ENDING)) else {
        return false;
    };
    inner.rsplit_once('.').is_some_and(|(stem, process)| {
        let is_number = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
        is_number && !stem.is_empty() && target.is_none_or(|target| target == stem)
    })
}

/// Removes the parts of a folder that no process writes; how many.
fn remove_parts(folder: &Path, wanted: impl Fn(&OsStr) -> bool) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let left = |path: &Path| {
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
        is_file && File::open(path).is_ok_and(|file| file.try_lock().is_ok())
    };
    let parts = entries.flatten().filter(|entry| wanted(&entry.file_name())).map(|entry| entry.path());
    parts.filter(|path| left(path) && std::fs::remove_file(path).is_ok()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_by_its_whole_name() {
        for (name, of_copy, any) in [
            (".copy.db.17.dsnd-part", true, true),
            (".other.db.17.dsnd-part", false, true),
            (".copy.db.dsnd-part", false, false),
            ("copy.db.17.dsnd-part", false, false),
            (".copy.db.17.dsnd-parts", false, false),
            (".copy.db.17.part", false, false),
            ("..17.dsnd-part", false, false),
        ] {
            let copy = OsStr::new("copy.db");
            assert_eq!(
                (is_part(OsStr::new(name), Some(copy)), is_part(OsStr::new(name), None)),
                (of_copy, any),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn a_signal_that_comes_before_it_is_waited_for_ends_no_process_and_is_heard() {
        let ended = ended();
        let own = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-HUP", &own]).status().unwrap();
        assert!(sent.success());
        assert!(ended.await.to_string().starts_with("ended by a signal"));
    }

    #[test]
    fn what_another_process_writes_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, database) = (folder.path().join("copy.db"), folder.path().join("dsnd.db"));
        let left = folder.path().join(".copy.db.1.dsnd-part");
        let busy = folder.path().join(".copy.db.2.dsnd-part");
        std::fs::write(&left, "jane@example.org").unwrap();
        let lock = File::create(&busy).unwrap();
        lock.lock().unwrap();
        let part = Part::create(&target, &database).unwrap();
        assert!(!left.exists() && busy.exists() && part.path().exists());
        part.place(false).unwrap();
        assert!(
            Part::create(&target, &database).unwrap().place(false).is_err(),
            "what is there is not replaced"
        );
        Part::create(&target, &database).unwrap().place(true).unwrap();
        drop(lock);
        let download = folder.path().join(".film.mkv.7.part");
        std::fs::write(&download, "of another program").unwrap();
        assert_eq!(clear(&database), 1);
        assert!(!busy.exists() && target.exists() && download.exists());
    }
}
