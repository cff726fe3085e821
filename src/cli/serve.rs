//! What `livelog serve` takes. Doc comments here are the text of `--help`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::{Common, Task};
use crate::indexes::{Index, check_declared};
use crate::limits;
use crate::server::Config;
use crate::telemetry::LogOptions;
use crate::transport::{AccessPolicy, AllowedHosts, AllowedOrigins, TlsFiles, TrustedProxies};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "LIVELOG_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDR",
        value_parser = address
    )]
    listen: SocketAddr,
    /// File with the certificate of this server, and after it those that lead to a known authority, as PEM. With it and
    /// --tls-key TLS is spoken, and nothing else: https:// and wss://. Both are read again when they change.
    #[arg(long, env = "LIVELOG_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// File with the certificate's private key, as PEM.
    #[arg(long, env = "LIVELOG_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Index that helps queries: the path of a field, or of several with commas between, `-` before each that descends:
    /// `owner`, `status,-due`. Repeatable; in the environment with spaces between. It is built while serving; one that is
    /// not declared any more is removed.
    #[arg(
        long = "index",
        env = "LIVELOG_INDEX",
        value_name = "FIELDS",
        value_delimiter = ' ',
        allow_hyphen_values = true
    )]
    indexes: Vec<String>,
    /// Index like those of --index that is unique as well: of the values of its fields no two events may hold the same, and a
    /// write that would is refused. What is stored is checked at the start, once. Repeatable; in the environment with spaces
    /// between.
    #[arg(
        long,
        env = "LIVELOG_UNIQUE",
        value_name = "FIELDS",
        value_delimiter = ' ',
        allow_hyphen_values = true
    )]
    unique: Vec<String>,
    /// Access file: who may see and change what, as JSON. It is read again when it changes. Without it everybody may do
    /// everything.
    #[arg(long, env = "LIVELOG_ACCESS", value_name = "FILE")]
    access: Option<PathBuf>,
    /// Without an access file, be open to everybody who can reach an address that is not of this machine alone.
    #[arg(long, env = "LIVELOG_OPEN_TO_ALL", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    open_to_all: bool,
    /// Names of this server, beside `localhost` and IP addresses: `livelog.example.org`,
    /// `livelog:3000`, `*.example.org`. A request to any other is refused.
    #[arg(
        long = "allow-host",
        env = "LIVELOG_ALLOW_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    hosts: Vec<String>,
    /// Origins of web pages that may connect beside the server's own: `https://app.example.org`,
    /// `https://*.example.org`.
    #[arg(
        long = "allow-origin",
        env = "LIVELOG_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    origins: Vec<String>,
    /// Networks of proxies that stand in front of this server: `10.0.0.0/8`, `::1`. What they say of where a request comes
    /// from (`X-Forwarded-For`, `Forwarded`) is believed, and what anyone else says is not.
    #[arg(
        long = "trusted-proxy",
        env = "LIVELOG_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    proxies: Vec<String>,
    /// Serve no console at `/`, and no manual.
    #[arg(long, env = "LIVELOG_NO_CONSOLE", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    no_console: bool,
    /// Serve clients that speak Socket.IO as well, at /socket.io/.
    #[cfg(feature = "socketio")]
    #[arg(long, env = "LIVELOG_SOCKETIO", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    socketio: bool,
    /// Bytes of recent changes kept in memory for sessions; one further behind reads the log.
    #[arg(
        long,
        env = "LIVELOG_WINDOW_BYTES",
        default_value_t = limits::LIVE_WINDOW_BYTES_DEFAULT,
        value_name = "BYTES"
    )]
    window_bytes: usize,
    #[command(flatten)]
    common: Common,
}

impl Serve {
    /// # Errors
    /// If a value cannot be used.
    pub(super) fn into_task(self) -> anyhow::Result<(Task, LogOptions)> {
        check_openness(self.listen, self.access.as_deref(), self.open_to_all)?;
        let wrong = |name: &'static str| move |reason| anyhow::anyhow!("{name} {reason}");
        let hosts = AllowedHosts::parse(&self.hosts).map_err(wrong("--allow-host"))?;
        let origins = AllowedOrigins::parse(&self.origins).map_err(wrong("--allow-origin"))?;
        let proxies = TrustedProxies::parse(&self.proxies).map_err(wrong("--trusted-proxy"))?;
        let indexes = indexes(&self.indexes, &self.unique)?;
        let (store, log) = self.common.into_options()?;
        let config = Config {
            listen: self.listen,
            tls: tls_files(self.tls_cert, self.tls_key)?,
            store,
            indexes,
            access_file: self.access,
            access: AccessPolicy::new(hosts, origins),
            proxies,
            has_console: !self.no_console,
            #[cfg(feature = "socketio")]
            has_socketio: self.socketio,
            #[cfg(not(feature = "socketio"))]
            has_socketio: false,
            window_bytes: self.window_bytes,
        };
        Ok((Task::Serve(config), log))
    }
}

/// Whoever listens to others has said who they may be, if only that they may be anybody.
fn check_openness(
    listen: SocketAddr,
    access: Option<&Path>,
    open_to_all: bool,
) -> anyhow::Result<()> {
    if access.is_some() {
        anyhow::ensure!(
            !open_to_all,
            "--access says who may come in, and --open-to-all that everybody may"
        );
        return Ok(());
    }
    anyhow::ensure!(
        open_to_all || listen.ip().is_loopback(),
        "others can reach --listen {listen}, and nothing says what they may do: name an access file (--access FILE), \
         or say that everybody may do everything (--open-to-all)"
    );
    Ok(())
}

fn indexes(plain: &[String], unique: &[String]) -> anyhow::Result<Vec<Index>> {
    let wrong = |name: &'static str| move |reason: String| anyhow::anyhow!("{name}: {reason}");
    let mut indexes = parsed(plain).map_err(wrong("--index"))?;
    for index in parsed(unique).map_err(wrong("--unique"))? {
        indexes.push(index.unique().map_err(wrong("--unique"))?);
    }
    let name = match unique {
        [] => "--index",
        _ => "--index and --unique",
    };
    check_declared(&indexes).map_err(wrong(name))?;
    Ok(indexes)
}

fn parsed(declared: &[String]) -> Result<Vec<Index>, String> {
    let declared = declared.iter().filter(|text| !text.is_empty());
    declared.map(|text| text.parse()).collect()
}

fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> anyhow::Result<Option<TlsFiles>> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => {
            anyhow::bail!("--tls-cert names a certificate, and no --tls-key its key")
        }
        (None, Some(_)) => {
            anyhow::bail!("--tls-key names a key, and no --tls-cert its certificate")
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let address = text.parse();
    address.map_err(|_| "expected IP:PORT, such as 127.0.0.1:3000 or [::1]:3000")
}
