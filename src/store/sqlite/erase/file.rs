//! Looking for an address in the files of a database, octet by octet.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::store::sqlite::mask::Person;

/// Octets that are read at once.
const CHUNK: usize = 1 << 20;

/// How often an address stands in the octets of a database file and those beside it: more than nothing where pages that
/// are not used any more hold it, or addresses of others that end in the same way.
///
/// Not for a process that has the database open: a file that is closed takes all POSIX locks of the process on it along.
///
/// # Errors
/// What the system says when a file cannot be read.
pub fn occurrences(database: &Path, address: &str) -> std::io::Result<u64> {
    let finder = Person::of(address).finder();
    let mut found = 0;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = OsString::from(database);
        name.push(suffix);
        let mut file = match File::open(name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => continue,
            opened => opened?,
        };
        let mut window: Vec<u8> = Vec::with_capacity(2 * CHUNK);
        loop {
            let kept = window.len();
            let read = (&mut file).take(CHUNK as u64).read_to_end(&mut window)?;
            if read == 0 {
                break;
            }
            // What ends in the part that was there before was counted before.
            found += finder.ends_after(&window, kept);
            let longest = finder.longest().min(window.len());
            window.drain(..window.len() - longest);
        }
    }
    Ok(found)
}
