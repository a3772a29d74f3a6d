//! Listening sockets: TCP, Unix, and those that systemd passes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use super::AppError;
use crate::config::{ListenAddress, Listener, UnixAddress};
use crate::smtp::settings::ListenerSettings;

/// Connections that the system keeps waiting until they are accepted.
const BACKLOG: i32 = 1_024;

/// The sockets that systemd passed to this process, with their names (systemd.socket(5), `FileDescriptorName=`).
pub struct Passed {
    sockets: listenfd::ListenFd,
    names: Vec<String>,
}

impl std::fmt::Debug for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passed").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Passed {
    /// Takes what was passed; a second call finds nothing. Before any thread is started, since it removes the
    /// variables that say so from the environment.
    #[must_use]
    pub fn take() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = listenfd::ListenFd::from_env();
        let mut names: Vec<String> = names.split(':').map(str::to_owned).collect();
        names.resize(sockets.len(), String::new());
        Self { sockets, names }
    }

    /// Every socket of a name.
    fn named(&mut self, name: &str) -> io::Result<Vec<Bound>> {
        let mut all = Vec::new();
        for index in (0..self.names.len()).filter(|index| self.names[*index] == name) {
            let bound = match self.sockets.take_tcp_listener(index) {
                Ok(Some(socket)) => Bound::Tcp(ready(socket, TcpListener::from_std)?),
                Ok(None) => continue,
                Err(_) => match self.sockets.take_unix_listener(index)? {
                    Some(socket) => Bound::Unix(ready(socket, UnixListener::from_std)?),
                    None => continue,
                },
            };
            all.push(bound);
        }
        if all.is_empty() {
            let passed: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
            let passed = match passed.len() {
                0 => "none at all".to_owned(),
                _ => passed.into_iter().collect::<Vec<_>>().join(", "),
            };
            return Err(io::Error::other(format!(
                "systemd passed no socket of this name; it passed {passed}"
            )));
        }
        Ok(all)
    }
}

/// Makes a passed socket what tokio wants, if it is one that connections can be accepted on.
fn ready<S, T>(socket: S, make: impl FnOnce(S) -> io::Result<T>) -> io::Result<T>
where
    S: std::os::fd::AsFd,
{
    let known = SockRef::from(&socket);
    if !known.is_listener()? {
        return Err(io::Error::other(
            "the socket that systemd passed does not listen; its unit needs Accept=no",
        ));
    }
    known.set_nonblocking(true)?;
    make(socket)
}

/// A socket that connections can be accepted on.
#[derive(Debug)]
pub(super) enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

/// All sockets of the configuration, and the files that go with them.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) listening: Vec<(Bound, ListenerSettings)>,
    /// Those of the HTTP API.
    pub(super) http: Vec<Bound>,
    /// Those of lookups.
    pub(super) lookup: Vec<Bound>,
    pub(super) files: Vec<SocketFile>,
}

impl Sockets {
    /// Binds everything, or nothing.
    pub(super) fn bind(
        listeners: &[Listener],
        http: &[ListenAddress],
        lookup: &[ListenAddress],
        mut passed: Passed,
    ) -> Result<Self, AppError> {
        let mut all = Self::default();
        for Listener { address, settings, key } in listeners {
            let bound = all.add(address, key, &mut passed)?;
            all.listening.extend(bound.into_iter().map(|bound| (bound, settings.clone())));
        }
        for address in http {
            let bound = all.add(address, "http.listen", &mut passed)?;
            all.http.extend(bound);
        }
        for address in lookup {
            let bound = all.add(address, "lookup.listen", &mut passed)?;
            all.lookup.extend(bound);
        }
        let wanted = listeners.iter().map(|listener| &listener.address).chain(http).chain(lookup);
        let named = |name: &String| {
            wanted.clone().any(|address| matches!(address, ListenAddress::Systemd(ours) if ours == name))
        };
        for name in passed.names.iter().filter(|name| !named(name)) {
            warn!(name, "systemd passed a socket that no listener names; nobody accepts connections on it");
        }
        Ok(all)
    }

    fn add(
        &mut self,
        address: &ListenAddress,
        key: &'static str,
        passed: &mut Passed,
    ) -> Result<Vec<Bound>, AppError> {
        let bound = match address {
            ListenAddress::Tcp(address) => tcp(*address).map(|socket| vec![Bound::Tcp(socket)]),
            ListenAddress::Unix(address) => unix(address).map(|(socket, file)| {
                self.files.push(file);
                vec![Bound::Unix(socket)]
            }),
            ListenAddress::Systemd(name) => passed.named(name),
        };
        bound.map_err(|cause| AppError::Bind {
            address: address.to_string(),
            key,
            hint: hint(address, &cause),
            cause,
        })
    }
}

fn hint(address: &ListenAddress, cause: &io::Error) -> &'static str {
    match (address, cause.kind()) {
        (ListenAddress::Tcp(address), io::ErrorKind::PermissionDenied) if address.port() < 1024 => {
            "; ports below 1024 need the right to bind them: `setcap cap_net_bind_service=+ep` on the program, \
             or AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit"
        }
        (ListenAddress::Tcp(_), io::ErrorKind::AddrInUse) => {
            "; another program has it, perhaps another dsnd or an MTA"
        }
        (ListenAddress::Unix(_), io::ErrorKind::NotFound) => {
            "; its folder has to be there, writable for dsnd"
        }
        _ => "",
    }
}

/// A listening socket. An IPv6 one takes IPv6 alone, so that `0.0.0.0:25` and `[::]:25` can stand side by side.
fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A Unix socket. Nobody can connect before `listen`, and by then it has its mode and group.
fn unix(address: &UnixAddress) -> io::Result<(UnixListener, SocketFile)> {
    let group = address.group.as_deref().map(group_id).transpose()?;
    remove_stale(&address.path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&address.path)?)?;
    let file = SocketFile::new(&address.path)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(&address.path, None, Some(group)).map_err(|cause| {
            io::Error::other(format!(
                "the socket cannot be given to its group: {cause}; dsnd's user has to be in it"
            ))
        })?;
    }
    fs::set_permissions(&address.path, fs::Permissions::from_mode(address.mode))?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

fn group_id(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let known = Group::from_name(group)?;
    known
        .map(|known| known.gid.as_raw())
        .ok_or_else(|| io::Error::other(format!("there is no group {group:?}")))
}

/// Removes the socket that a dead process left; whatever else is there stays and is an error.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::other("there is something else of that name, which is no socket"));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Where the other side is so busy that it would have to be waited for, it is alive as well.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(taken()),
        Ok(()) => Err(taken()),
        Err(error) => Err(error),
    }
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another program listens there, perhaps another dsnd")
}

/// The file of a Unix socket of ours; dropping it removes it, unless it is another's by now.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(%error, path = %self.path.display(), "the socket's file stays; the next start removes it");
        }
    }
}

#[cfg(test)]
mod tests;
