//! A small disk, which can be filled.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statvfs::statvfs;
use tempfile::TempDir;

use super::say;

/// A file system of its own, gone when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, and a message, where this process may not mount. `size` as mount takes it: `2m`.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let at = tempfile::tempdir().expect("a temporary directory");
        let options = format!("size={size},mode=0700");
        let mount = ["-t", "tmpfs", "-o", &options, "dsnd-test"];
        let why = match Command::new("mount").args(mount).arg(at.path()).output() {
            Ok(output) if output.status.success() => return Some(Self(at)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        say(&format!("SKIPPED: a full disk, since no small one can be mounted here: {why}"));
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Octets that are free.
    pub(crate) fn free(&self) -> u64 {
        let found = statvfs(self.path()).expect("a file system");
        found.blocks_available() * found.fragment_size()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Writes a file until no more than so many octets are free.
    pub(crate) fn fill_up_to(&self, free: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a file");
        let too_many = |free: u64, now: u64| usize::try_from(now.saturating_sub(free)).expect("few octets");
        while self.free() > free {
            let octets = too_many(free, self.free()).min(64 * 1024);
            if ballast.write_all(&vec![1; octets]).is_err() {
                return; // it is full
            }
        }
    }

    /// Takes the file away.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
