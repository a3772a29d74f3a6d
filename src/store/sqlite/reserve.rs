//! Room on the disk: how much there is, and a file that keeps some for what makes room.
//!
//! Whoever deletes in SQLite writes first, to the log. On a full disk nothing could be deleted; so a file beside the
//! database holds some octets, which are given back before something is deleted, and taken again when there is room.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// Octets that a file system has, and has free for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// All of them.
    pub size: u64,
    /// Those that are free.
    pub free: u64,
}

/// The file beside a database.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    file: PathBuf,
    directory: PathBuf,
}

impl Reserve {
    pub(super) fn beside(database: &Path) -> Self {
        let mut file = OsString::from(database);
        file.push("-reserve");
        let directory = match database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Self { file: PathBuf::from(file), directory }
    }

    /// What the disk has.
    pub(super) fn disk(&self) -> std::io::Result<Disk> {
        let found = statvfs(&self.directory)?;
        let octets = |blocks: u64| blocks.saturating_mul(found.fragment_size());
        Ok(Disk { size: octets(found.blocks()), free: octets(found.blocks_available()) })
    }

    /// Makes a file of so many octets, of a small disk 1 part of 50 at most, where there is room for some of them.
    pub(super) fn keep(&self, octets: u64) -> std::io::Result<()> {
        let disk = self.disk()?;
        let octets = octets.min(disk.size / 50);
        if octets == 0 {
            return match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let there = std::fs::metadata(&self.file).is_ok_and(|found| found.len() == octets);
        if there || disk.free < 4 * octets {
            return Ok(());
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.file)?;
        let written =
            std::io::copy(&mut std::io::repeat(0).take(octets), &mut file).and_then(|_| file.flush());
        written.inspect_err(|_| {
            let _ = std::fs::remove_file(&self.file);
        })
    }

    /// Gives the octets back, where the disk has fewer than these.
    pub(super) fn spend(&self) {
        let Ok(found) = std::fs::metadata(&self.file) else { return };
        if self.disk().is_ok_and(|disk| disk.free < found.len()) && std::fs::remove_file(&self.file).is_ok() {
            tracing::warn!(
                octets = found.len(),
                "the disk is full: the octets that were reserved for deleting are given back"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_while_there_is_room_and_stays_while_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&dir.path().join("dsnd.db"));
        let length = || std::fs::metadata(dir.path().join("dsnd.db-reserve")).map(|found| found.len()).ok();
        reserve.spend();
        reserve.keep(5_000).unwrap();
        assert_eq!(length(), Some(5_000));
        reserve.spend();
        assert_eq!(length(), Some(5_000), "the disk has more than that");
        reserve.keep(7_000).unwrap();
        assert_eq!(length(), Some(7_000));
        reserve.keep(0).unwrap();
        assert_eq!(length(), None);
        reserve.keep(0).unwrap();
    }
}
