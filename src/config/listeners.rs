//! `smtp.listen` and `[[listener]]`: where connections are taken, and what is particular about each place.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::reader::{Place, Reader};
use crate::smtp::Proxy;
use crate::smtp::settings::{ListenerProtocol, ListenerSettings};

/// Longest path of a Unix socket in octets: what Linux has room for, without its final zero.
const MAX_UNIX_PATH: usize = 107;

/// Mode of a Unix socket when none is said.
const DEFAULT_MODE: u32 = 0o660;

/// One place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// What is particular about it.
    pub settings: ListenerSettings,
    /// The key that names it: `smtp.listen` or `listener.address`.
    pub key: &'static str,
}

impl Listener {
    /// Whether only programs on this machine can reach it, and none of them is known to connect for others.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.address.is_private() && self.settings.proxy_from.is_empty()
    }
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket, which dsnd makes and removes.
    Unix(UnixAddress),
    /// Every socket that systemd passes under this name (`FileDescriptorName=`).
    Systemd(String),
}

impl ListenAddress {
    /// Whether only programs on this machine can reach it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
            // systemd knows what it is bound to; here nobody does.
            Self::Systemd(_) => false,
        }
    }
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixAddress {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its mode; writing is the right to connect.
    pub mode: u32,
    /// The group it is given to, by name or number.
    pub group: Option<String>,
}

impl fmt::Display for ListenAddress {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(unix) => write!(f, "unix:{}", unix.path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Everything to listen at: the short form first.
pub(super) fn listeners(reader: &mut Reader, has_certificate: bool) -> Vec<Listener> {
    let short = reader.texts("smtp.listen");
    let mut all = Vec::new();
    match &short {
        None => all.push(plain(SocketAddr::from(([127, 0, 0, 1], 2525)))),
        Some((at, texts)) => {
            for text in texts {
                match text.parse().map(plain) {
                    Ok(listener) if all.contains(&listener) => {
                        reader.wrong(at, format!("{text:?} stands twice"))
                    }
                    Ok(listener) => all.push(listener),
                    Err(_) => reader.wrong(
                        at,
                        format!(
                            "{text:?} is no address with a port, such as \"127.0.0.1:25\" or \"[::]:25\""
                        ),
                    ),
                }
            }
        }
    }
    let mut tables = 0;
    reader.tables("listener", |reader, at| {
        tables += 1;
        let listener = listener(reader, at)?;
        if listener.settings.require_tls && !has_certificate {
            reader.wrong(
                at,
                "require_tls = true takes no mail at all without a certificate: tls.certificate, tls.key",
            );
        }
        if all.iter().any(|other| same_place(&other.address, &listener.address)) {
            reader.wrong(at, format!("{} stands twice", listener.address));
        }
        all.push(listener);
        Some(())
    });
    if let Some((at, texts)) = &short
        && texts.is_empty()
        && tables == 0
    {
        reader.wrong(at, "name at least one address to listen on, here or in a [[listener]]");
    }
    all
}

const fn plain(address: SocketAddr) -> Listener {
    let settings =
        ListenerSettings { protocol: ListenerProtocol::Smtp, proxy_from: Vec::new(), require_tls: false };
    Listener { address: ListenAddress::Tcp(address), settings, key: "smtp.listen" }
}

/// Port 0 is any free one, so that it is never the same.
pub(super) fn same_place(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => one == other && one.port() != 0,
        (ListenAddress::Unix(one), ListenAddress::Unix(other)) => one.path == other.path,
        (ListenAddress::Systemd(one), ListenAddress::Systemd(other)) => one == other,
        _ => false,
    }
}

/// Notes addresses that two sections want, each with the key that names it.
pub(super) fn refuse_doubled(reader: &mut Reader, file: &str, all: &[(&'static str, &ListenAddress)]) {
    let in_smtp = |key: &str| matches!(key, "smtp.listen" | "listener.address");
    for (index, (key, address)) in all.iter().enumerate() {
        // The same in one section was said there.
        let said = |other: &&'static str, place: &ListenAddress| {
            (other == key || in_smtp(other) && in_smtp(key)) && same_place(place, address)
        };
        let before = all[..index].iter().find(|(_, other)| collide(other, address));
        if let Some((other_key, other)) = before.filter(|(other_key, other)| !said(other_key, other)) {
            let (at, what) = if reader.has(key) {
                (*key, format!("{address} is taken by {other_key} = {other}"))
            } else {
                (*other_key, format!("{other} is taken by {key} = {address}"))
            };
            reader.impossible(file, at, what);
        }
    }
}

/// Whether the second of two sockets could not be bound beside the first.
fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() == other.port()
                && one.port() != 0
                && (one.ip() == other.ip() || everywhere && one.is_ipv4() == other.is_ipv4())
        }
        _ => same_place(one, other),
    }
}

fn listener(reader: &mut Reader, at: &Place) -> Option<Listener> {
    let named = reader.text("listener.address");
    let settings = ListenerSettings {
        protocol: reader.choice(
            "listener.protocol",
            ListenerProtocol::default(),
            &[("smtp", ListenerProtocol::Smtp), ("lmtp", ListenerProtocol::Lmtp)],
        ),
        proxy_from: Vec::new(),
        require_tls: reader.boolean("listener.require_tls").is_some_and(|(_, value)| value),
    };
    let proxies = reader.texts("listener.proxy_from");
    let mode = mode(reader, "listener.mode");
    let group = reader.text("listener.group").filter(|(_, group)| !group.is_empty());
    let Some((place, text)) = named else {
        reader.wrong(at, "a listener needs an address = \"…\"");
        return None;
    };
    let mut address = match parse(&text, "\"0.0.0.0:25\", \"[::]:25\"", "lmtp") {
        Ok(address) => address,
        Err(what) => {
            reader.wrong(&place, what);
            return None;
        }
    };
    if let ListenAddress::Unix(unix) = &mut address {
        unix.mode = mode.map_or(DEFAULT_MODE, |(_, mode)| mode);
        unix.group = group.map(|(_, group)| group);
    } else {
        for at in mode.map(|(at, _)| at).into_iter().chain(group.map(|(at, _)| at)) {
            reader.wrong(&at, "only a Unix socket of dsnd's own has it (address = \"unix:/…\")");
        }
    }
    let proxy_from = proxies.map(|(at, texts)| proxies_of(reader, &at, &texts, &address)).unwrap_or_default();
    Some(Listener { address, settings: ListenerSettings { proxy_from, ..settings }, key: "listener.address" })
}

/// What an address stands for. Examples in an error are of an `ip` address, and of sockets with this `name`.
pub(super) fn parse(text: &str, ip: &str, name: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if !path.starts_with('/') || path.ends_with('/') || path.len() > MAX_UNIX_PATH || path.contains('\0')
        {
            return Err(format!(
                "{text:?} names no socket: an absolute path of at most {MAX_UNIX_PATH} octets, such as \
                 \"unix:/run/dsnd/{name}.sock\""
            ));
        }
        return Ok(ListenAddress::Unix(UnixAddress { path: path.into(), mode: DEFAULT_MODE, group: None }));
    }
    if let Some(passed) = text.strip_prefix("systemd:") {
        // systemd.socket(5), FileDescriptorName=: no colons, no control characters
        if passed.is_empty()
            || passed.len() > 255
            || passed.contains(|c: char| c == ':' || !c.is_ascii_graphic())
        {
            return Err(format!("{text:?} names no socket: a FileDescriptorName, such as \"systemd:smtp\""));
        }
        return Ok(ListenAddress::Systemd(passed.to_owned()));
    }
    text.parse().map(ListenAddress::Tcp).map_err(|_| {
        format!("{text:?} is no address: {ip}, \"unix:/run/dsnd/{name}.sock\" or \"systemd:NAME\"")
    })
}

/// Permission bits in octal digits, as chmod takes them.
pub(super) fn mode(reader: &mut Reader, key: &'static str) -> Option<(Place, u32)> {
    let (at, text) = reader.text(key)?;
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    match u32::from_str_radix(&text, 8) {
        Ok(mode) if digits && mode <= 0o777 => Some((at, mode)),
        _ => {
            reader.wrong(&at, format!("{text:?} is no mode, such as \"0660\" or \"0666\""));
            None
        }
    }
}

fn proxies_of(reader: &mut Reader, at: &Place, texts: &[String], address: &ListenAddress) -> Vec<Proxy> {
    let proxies: Vec<Proxy> = reader.all_parsed(at, texts);
    for proxy in &proxies {
        let what = match (proxy, address) {
            (Proxy::Unix, ListenAddress::Tcp(_)) => "\"unix\" is for Unix sockets; name the proxy's network",
            (Proxy::Network(_), ListenAddress::Unix(_)) => {
                "nobody on a Unix socket has a network; \"unix\" takes the proxy that may open it"
            }
            _ => continue,
        };
        reader.wrong(at, what);
        break;
    }
    proxies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Listener>, Vec<String>) {
        let mut reader = Reader::new("f", text, std::iter::empty());
        let listeners = listeners(&mut reader, text.contains("require_tls"));
        (listeners, reader.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn listeners_stand_beside_the_short_form() {
        let (all, problems) = read(
            "[smtp]\nlisten = [\"127.0.0.1:2525\"]\n\
             [[listener]]\naddress = \"[::]:25\"\nproxy_from = [\"10.0.0.0/8\", \"2001:db8::1\"]\nrequire_tls = true\n\
             [[listener]]\naddress = \"unix:/run/d/l.sock\"\nprotocol = \"lmtp\"\nmode = \"600\"\ngroup = \"mail\"\n\
             [[listener]]\naddress = \"systemd:smtp\"\nproxy_from = [\"unix\", \"::1\"]\n\
             [[listener]]\naddress = \"unix:/run/d/p.sock\"\nproxy_from = [\"unix\"]\n",
        );
        assert_eq!(problems, [""; 0]);
        let shown: Vec<_> = all.iter().map(|listener| listener.address.to_string()).collect();
        let wanted =
            ["127.0.0.1:2525", "[::]:25", "unix:/run/d/l.sock", "systemd:smtp", "unix:/run/d/p.sock"];
        assert_eq!(shown, wanted);
        assert_eq!(all[1].settings.proxy_from.len(), 2);
        assert!(all[1].settings.require_tls && !all[2].settings.require_tls);
        assert_eq!(all[2].settings.protocol, ListenerProtocol::Lmtp);
        let ListenAddress::Unix(unix) = &all[2].address else { panic!("{all:?}") };
        assert_eq!((unix.mode, unix.group.as_deref()), (0o600, Some("mail")));
        let private: Vec<_> = all.iter().map(Listener::is_private).collect();
        assert_eq!(private, [true, false, true, false, false], "a proxy connects for strangers");
    }

    #[test]
    fn the_short_form_may_be_empty_where_there_are_listeners() {
        let (all, problems) = read("[smtp]\nlisten = []\n[[listener]]\naddress = \"127.0.0.1:0\"\n");
        assert_eq!((all.len(), problems.len()), (1, 0));
        assert_eq!(read("[[listener]]\naddress = \"127.0.0.1:0\"\n").0.len(), 2, "and its default stays");
        let (_, problems) = read("[smtp]\nlisten = []\n");
        assert_eq!(
            problems,
            ["f:2: smtp.listen: name at least one address to listen on, here or in a [[listener]]"]
        );
    }

    #[test]
    fn everything_wrong_with_listeners_is_named_at_once() {
        let (_, problems) = read(
            "[[listener]]\nprotocol = \"http\"\n\
             [[listener]]\naddress = \"nowhere\"\nport = 5\n\
             [[listener]]\naddress = \"unix:run/x\"\nmode = \"8\"\n\
             [[listener]]\naddress = \"127.0.0.1:2525\"\nmode = \"0660\"\ngroup = \"mail\"\n\
             [[listener]]\naddress = \"unix:/x\"\nproxy_from = [\"10.0.0.0/8\"]\n\
             [[listener]]\naddress = \"[::1]:25\"\nproxy_from = [\"unix\", \"10.0.0.0/40\"]\n\
             [[listener]]\naddress = \"systemd:a:b\"\n",
        );
        let wanted = [
            "f:1: listener: a listener needs an address",
            "f:2: listener.protocol: \"http\" is not one of",
            "f:4: listener.address: \"nowhere\" is no address: \"0.0.0.0:25\"",
            "f:5: listener.port: unknown key",
            "f:7: listener.address: \"unix:run/x\" names no socket",
            "f:8: listener.mode: \"8\" is no mode",
            "f:9: listener: 127.0.0.1:2525 stands twice",
            "f:11: listener.mode: only a Unix socket",
            "f:12: listener.group: only a Unix socket",
            "f:15: listener.proxy_from: nobody on a Unix socket has a network",
            "f:18: listener.proxy_from: \"10.0.0.0/40\" is no network",
            "f:18: listener.proxy_from: \"unix\" is for Unix sockets",
            "f:20: listener.address: \"systemd:a:b\" names no socket",
        ];
        let fine = problems.len() == wanted.len()
            && wanted.iter().all(|wanted| problems.iter().any(|problem| problem.starts_with(wanted)));
        assert!(fine, "{problems:#?}");
    }

    #[test]
    fn tls_is_required_only_where_there_is_a_certificate() {
        let text = "[[listener]]\naddress = \"127.0.0.1:0\"\nrequire_tls = true\n";
        let mut reader = Reader::new("f", text, std::iter::empty());
        let _ = listeners(&mut reader, false);
        let problems: Vec<String> = reader.finish().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("f:1: listener") && problems[0].contains("tls.certificate"),
            "{problems:?}"
        );
    }
}
