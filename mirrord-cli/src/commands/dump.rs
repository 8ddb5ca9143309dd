//! `mirrord dump`: what arrives at ports of a target, as text.

use std::{collections::BTreeSet, fmt::Write, process::ExitCode};

use mirrord_core::{rules::incoming::IncomingRules, target::Target};
use mirrord_protocol::{agent::incoming::Wish, fault::Fault};
use thiserror::Error;
use tokio::{io::AsyncReadExt, sync::mpsc, task::JoinSet};

use crate::{
    args::DumpArguments,
    launch, printer,
    progress::Progress,
    report::{Explain, Report},
    settings,
    stand_in::{self, Arrived, Ear},
};

/// How much of a connection is printed at once.
const PIECE: usize = 64 << 10;

/// Why nothing can be dumped.
#[derive(Debug, Error)]
enum DumpError {
    #[error("`dump` needs a target")]
    NoTarget,
    #[error("`{0}` does not say which ports it has")]
    NoPorts(String),
    #[error("cannot mirror port `{port}` of `{target}`")]
    NotTaken { port: u16, target: String },
    #[error("cannot hear of port `{port}` of `{target}`")]
    CannotHear {
        port: u16,
        target: String,
        #[source]
        why: Fault,
    },
}

impl Explain for DumpError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoTarget => "name it: `--target KIND/NAME`".to_owned(),
            Self::NoPorts(_) => "name them: `--port PORT`, as often as you like".to_owned(),
            Self::NotTaken { .. } | Self::CannotHear { .. } => {
                "`internal_proxy.log_destination` names a log that says why".to_owned()
            }
        })
    }
}

pub(crate) fn run(arguments: &DumpArguments) -> Result<ExitCode, Report> {
    launch::refuse_nesting()?;
    let mut progress = Progress::begin("mirrord dump");
    let flags = &arguments.session;
    let resolved = settings::load(flags.reach.config.config_file.as_deref(), flags.overrides())?;
    for warning in &resolved.warnings {
        progress.warn(warning, None);
    }
    let mut lowered = resolved.lowered;
    let target = match &lowered.target {
        Target::Targetless => return Err(DumpError::NoTarget.into()),
        named @ Target::Named { .. } => named.to_string(),
    };
    let ports: BTreeSet<u16> = arguments.ports.iter().copied().collect();
    if ports.is_empty() && is_local(&lowered.target) {
        return Err(DumpError::NoPorts(target).into());
    }
    lowered.rules.incoming = IncomingRules { wish: Some(Wish::Mirror), ..IncomingRules::default() };
    lowered.environment.enabled = false;
    let (stand_in, session) = stand_in::begin(&lowered, &mut progress)?;
    let ports = if ports.is_empty() { session.ready.ports.iter().copied().collect() } else { ports };
    if ports.is_empty() {
        return Err(DumpError::NoPorts(target).into());
    }
    stand_in::run(&lowered.target, &stand_in, async || {
        let (arrived_tx, mut arrived_rx) = mpsc::unbounded_channel();
        for port in ports {
            let ear = stand_in.listen(port).await;
            let ear = ear.map_err(|why| DumpError::CannotHear { port, target: target.clone(), why })?;
            let ear = ear.ok_or_else(|| DumpError::NotTaken { port, target: target.clone() })?;
            progress.info(&format!("listening at port {port}"));
            tokio::spawn(hear(ear, arrived_tx.clone()));
        }
        progress.ready();
        let mut connections = JoinSet::new();
        let mut n_connections = 0;
        loop {
            tokio::select! {
                Some(arrived) = arrived_rx.recv() => {
                    n_connections += 1;
                    connections.spawn(print(n_connections, arrived));
                }
                Some(printed) = connections.join_next() => if matches!(printed, Ok(Err(NobodyReads))) {
                    return Ok(());
                },
            }
        }
    })
}

/// Whether a target of this machine is meant, of which nobody has written down which ports it has.
fn is_local(target: &Target) -> bool {
    matches!(target, Target::Named { kind, .. } if kind.is_local())
}

/// Passes on what comes, until nothing can.
async fn hear(ear: Ear, arrived_tx: mpsc::UnboundedSender<Arrived>) {
    while let Ok(knock) = ear.next().await {
        let arrived_tx = arrived_tx.clone();
        tokio::spawn(async move {
            if let Ok(arrived) = knock.take().await {
                drop(arrived_tx.send(arrived));
            }
        });
    }
}

/// The standard output is closed: all has been said.
#[derive(Debug)]
struct NobodyReads;

fn say(block: &str) -> Result<(), NobodyReads> {
    printer::block(block).map_err(|_| NobodyReads)
}

async fn print(id: u64, arrived: Arrived) -> Result<(), NobodyReads> {
    let Arrived { mut stream, peer, local } = arrived;
    let mut head = format!("## New TCP connection established: Connection ID {id}");
    if let (Some(peer), Some(local)) = (peer, local) {
        let _ = write!(head, " from {peer} to {local}");
    }
    say(&format!("{head}\n"))?;
    let mut piece = vec![0; PIECE];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) => return say(&format!("## Connection ID {id}: closed\n")),
            Ok(n_read) => say(&block(id, &piece[..n_read]))?,
            Err(_) => return say(&format!("## Connection ID {id}: broken\n")),
        }
    }
}

/// One piece of a connection: as it is if it is text that does nothing to a terminal, in hexadecimal otherwise; a head of
/// text before such a body is still read as one.
fn block(id: u64, bytes: &[u8]) -> String {
    let n_text = if is_plain(bytes) { bytes.len() } else { head_length(bytes) };
    let (text, rest) = bytes.split_at(n_text);
    let mut block = format!("## Connection ID {id}: {} bytes\n", bytes.len());
    if !text.is_empty() {
        let text = String::from_utf8_lossy(text);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let _ = write!(block, "Data:\n{text}{end}");
    }
    if !rest.is_empty() {
        block.push_str("Data (hex):");
        for (index, byte) in rest.iter().enumerate() {
            let between = if index % 16 == 0 { '\n' } else { ' ' };
            let _ = write!(block, "{between}{byte:02x}");
        }
        block.push('\n');
    }
    block
}

fn is_plain(bytes: &[u8]) -> bool {
    let is_plain = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_plain))
}

/// How long the head of a message is that ends with an empty line, as in HTTP.
fn head_length(bytes: &[u8]) -> usize {
    const END: &[u8] = b"\r\n\r\n";
    let end = bytes.windows(END.len()).position(|window| window == END).map_or(0, |at| at + END.len());
    if is_plain(&bytes[..end]) { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_printed_as_it_is_and_everything_else_in_hexadecimal() {
        assert_eq!(
            block(1, b"GET / HTTP/1.1\r\n"),
            "## Connection ID 1: 16 bytes\nData:\nGET / HTTP/1.1\r\n"
        );
        assert_eq!(block(2, "é".as_bytes()), "## Connection ID 2: 2 bytes\nData:\né\n");
        assert_eq!(block(3, b"\x1b[2J"), "## Connection ID 3: 4 bytes\nData (hex):\n1b 5b 32 4a\n");
        let long = block(4, &[0xff; 17]);
        assert!(long.ends_with("ff ff\nff\n"), "{long}");
        assert_eq!(
            block(5, b"POST / HTTP/1.1\r\n\r\n\x00\x01"),
            "## Connection ID 5: 21 bytes\nData:\nPOST / HTTP/1.1\r\n\r\nData (hex):\n00 01\n"
        );
    }
}
