//! The real program, in a directory of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use super::{Client, DSND, Http, OUR_DOMAIN, PATIENCE};

/// A directory with a configuration, in which commands run and daemons start.
pub(crate) struct Home {
    directory: TempDir,
    settings: BTreeMap<String, String>,
}

impl Home {
    /// A configuration for tests: any free port, a database here, log lines as JSON. Unsigned reports count, since
    /// most tests are not about whom to believe.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = Self { directory, settings: BTreeMap::new() };
        let database = home.database();
        home.with("SMTP_LISTEN", "127.0.0.1:0")
            .with("HTTP_LISTEN", "127.0.0.1:0")
            .with("SMTP_HOSTNAME", "mx.bounces.example.com")
            .with("RETURN_PATH_DOMAINS", OUR_DOMAIN)
            .with("RETURN_PATH_TRUST_UNSIGNED", "true")
            .with("STORE_PATH", &database.display().to_string())
            .with("STORE_RESERVE_FILE", "0") // there are many homes
            .with("LOG_FORMAT", "json")
    }

    /// Sets a key: `STORE_BUSY_TIMEOUT` is `store.busy_timeout`.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.insert(format!("DSND_{key}"), value.to_owned());
        self
    }

    /// Leaves a key to the configuration file or its default.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.settings.remove(&format!("DSND_{key}"));
        self
    }

    /// Where everything is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the database is, or will be.
    pub(crate) fn database(&self) -> PathBuf {
        match self.settings.get("DSND_STORE_PATH") {
            Some(path) => PathBuf::from(path),
            None => self.path().join("dsnd.db"),
        }
    }

    /// Writes a file here and returns its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file in the temporary directory");
        path
    }

    /// The program with arguments, ready to run here. Variables of whoever runs the tests do not reach it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.wrapped(&[DSND], arguments)
    }

    /// A program that runs dsnd with the settings of this home, for an MTA that starts it under another user with an
    /// environment of its own.
    pub(crate) fn script(&self, user: u32, group: u32) -> PathBuf {
        let executable = |path: &Path, bits: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("permissions");
        };
        let program = self.path().join("dsnd");
        std::fs::copy(DSND, &program).expect("a copy that the user can reach");
        executable(&program, 0o755);
        let settings =
            self.settings.iter().map(|(name, value)| format!("{name}='{value}' ")).collect::<String>();
        let script = self.path().join("run-dsnd");
        let text = format!("#!/bin/sh\n{settings}exec '{}' \"$@\"\n", program.display());
        std::fs::write(&script, text).expect("a script");
        executable(&script, 0o755);
        executable(self.path(), 0o755);
        chown(self.path(), Some(user), Some(group)).expect("the directory is the user's");
        script
    }

    /// The same through another program, which ends by becoming dsnd.
    pub(crate) fn wrapped(&self, program: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DSND_") {
                command.env_remove(name);
            }
        }
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env("TERM", "xterm").envs(&self.settings);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs a command that must end with status 0, and reads its NDJSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        json_lines(&output.stdout)
    }

    /// Starts the daemon and waits until it accepts connections.
    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(self.command(&["serve"]))
    }

    /// The same with a single listener, which speaks LMTP.
    pub(crate) fn start_lmtp(&self) -> Daemon {
        let listener = b"[[listener]]\naddress = \"127.0.0.1:0\"\nprotocol = \"lmtp\"\n";
        let file = self.file("lmtp.toml", listener);
        let mut command = self.command(&["serve", "--config", file.to_str().expect("UTF-8")]);
        command.env("DSND_SMTP_LISTEN", "");
        Daemon::start(command)
    }
}

/// Every line as JSON.
pub(crate) fn json_lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"))).collect()
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
    http: Arc<Mutex<Option<SocketAddr>>>,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Starts a command that becomes the daemon, and waits until it accepts connections.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the daemon starts");
        let stderr = child.stderr.take().expect("its standard error");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = channel();
        let written = Arc::clone(&log);
        let http = Arc::new(Mutex::new(None));
        let found_http = Arc::clone(&http);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Ok(entry) = serde_json::from_str::<Value>(&line)
                    && entry["message"] == "accepting SMTP connections"
                    && entry["proxied"] == false
                {
                    // The one that every test has: IPv4, and a client can use it as it is.
                    let address = entry["address"].as_str().and_then(|text| text.parse().ok());
                    let _ = address.filter(SocketAddr::is_ipv4).map(|address| found.send(address));
                }
                if let Ok(entry) = serde_json::from_str::<Value>(&line)
                    && entry["message"] == "accepting HTTP connections"
                {
                    let address = entry["address"].as_str().and_then(|text| text.parse().ok());
                    let mut known = found_http.lock().expect("the address");
                    *known = known.or(address);
                }
                let mut log = written.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut daemon =
            Self { child, address: SocketAddr::from(([0; 4], 0)), http, log, reader: Some(reader) };
        match address.recv_timeout(PATIENCE) {
            Ok(address) => daemon.address = address,
            Err(RecvTimeoutError::Disconnected) => panic!("it did not start: {}", daemon.log()),
            Err(RecvTimeoutError::Timeout) => panic!("it does not listen: {}", daemon.log()),
        }
        daemon
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its HTTP API is.
    pub(crate) fn http(&self) -> Http {
        let address = super::wait_for("the HTTP listener", || *self.http.lock().expect("the address"));
        Http::new(address)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection, EHLO said.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address).unwrap_or_else(|error| panic!("{error}; its log: {}", self.log()))
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// The most memory it ever had, in bytes; `None` where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Sends it SIGTERM and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let kill = format!("kill -TERM {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh").success(), "SIGTERM is sent");
    }

    /// Waits for its end; its status and all that it logged.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = super::wait_for("the end of the daemon", || self.child.try_wait().expect("its status"));
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of the log");
        }
        (status, self.log())
    }

    /// SIGTERM, which must end it with status 0; all that it logged.
    pub(crate) fn stop(self) -> String {
        self.ask_to_stop();
        let (status, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// SIGKILL, now.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("SIGKILL is sent");
        self.child.wait().expect("its end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            super::say(&format!("the daemon logged:\n{}", self.log()));
        }
    }
}
