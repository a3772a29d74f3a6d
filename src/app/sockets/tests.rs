use std::os::unix::net::UnixListener as StdUnixListener;

use super::*;
use crate::config::Config;

fn address(path: &Path) -> UnixAddress {
    UnixAddress { path: path.to_owned(), mode: 0o620, group: None }
}

fn said(result: io::Result<(UnixListener, SocketFile)>) -> String {
    result.map(|_| ()).expect_err("it is refused").to_string()
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    let (listener, file) = unix(&address(&path)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    drop((file, listener));
    assert!(!path.exists());
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    drop(StdUnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file");
    let (_listener, _file) = unix(&address(&path)).unwrap();
    let second = said(unix(&address(&path)));
    assert!(second.contains("another program listens there"), "{second}");
    assert!(path.exists());

    let other = folder.path().join("important");
    fs::write(&other, "text").unwrap();
    let refused = said(unix(&address(&other)));
    assert!(refused.contains("no socket"), "{refused}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "text");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(said(unix(&address(&link))).contains("no socket"), "a link is not followed");
}

#[tokio::test]
async fn the_file_of_somebody_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    let (_listener, file) = unix(&address(&path)).unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    let (_other, _others_file) = unix(&address(&path)).unwrap();
    drop(file);
    assert!(path.exists(), "it belongs to the other one");
}

#[tokio::test]
async fn an_unknown_group_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    let address = UnixAddress { group: Some("no-such-group".to_owned()), ..address(&path) };
    assert!(said(unix(&address)).contains("\"no-such-group\""));
    assert!(!path.exists());
}

#[tokio::test]
async fn all_sockets_are_bound_or_none_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp.sock");
    let text = format!(
        "[smtp]\nlisten = [\"127.0.0.1:0\"]\n[http]\nlisten = []\n[return_path]\ntrust_unsigned = false\n\
         [[listener]]\naddress = \"unix:{}\"\n[[listener]]\naddress = \"systemd:smtp\"\n",
        path.display()
    );
    let config = Config::parse("t.toml", &text, std::iter::empty()).unwrap();
    let nothing = Passed { sockets: listenfd::ListenFd::empty(), names: Vec::new() };
    let error = Sockets::bind(&config.listeners, &config.http.listen, &[], nothing).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot listen on systemd:smtp (listener.address): systemd passed no socket of this name; it passed none at all"
    );
    assert!(!path.exists());
}
