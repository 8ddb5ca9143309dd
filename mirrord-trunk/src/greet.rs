//! How a strand begins: who speaks, which version, and which trunk.

use std::io;

use mirrord_protocol::{
    trunk::{Cutter, Join, Joined, Preamble, VERSION},
    version::Version,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::strand::{Strand, TrunkError};

/// What the near side's greeting has come to.
pub(crate) enum Greeted {
    /// The strand belongs to the trunk; what was already read of it.
    Welcome(Cutter),
    /// The far side does not know the trunk.
    Unknown,
}

/// What a caller has said, at the far side.
pub(crate) enum Caller {
    /// It wants to join.
    Joins(Join),
    /// It speaks another version.
    Speaks(Version),
}

/// Greets the far side, and hears its answer.
pub(crate) async fn call(strand: &mut Strand, join: &Join) -> Result<Greeted, TrunkError> {
    say(strand, join).await.map_err(TrunkError::Dial)?;
    let preamble = hear(strand).await.map_err(TrunkError::Dial)?.ok_or_else(nonsense)?;
    if VERSION.settle(preamble.version).is_none() {
        return Err(TrunkError::Refused(strangers(VERSION, preamble.version)));
    }
    match rest(strand, preamble).await.map_err(TrunkError::Dial)?.ok_or_else(nonsense)? {
        Joined::Welcome => Ok(Greeted::Welcome(Cutter::default())),
        Joined::Unknown => Ok(Greeted::Unknown),
        Joined::Refused(words) => Err(TrunkError::Refused(words)),
    }
}

/// Hears a caller out. Nothing if it is none of ours.
pub(crate) async fn hear_caller(strand: &mut Strand) -> io::Result<Option<Caller>> {
    let Some(preamble) = hear(strand).await? else { return Ok(None) };
    if VERSION.settle(preamble.version).is_none() {
        return Ok(Some(Caller::Speaks(preamble.version)));
    }
    Ok(rest(strand, preamble).await?.map(Caller::Joins))
}

/// The words for two that cannot talk.
pub(crate) fn strangers(near: Version, far: Version) -> String {
    format!(
        "mirrord speaks version {near} of trunks, and its agent version {far}: use the same release of both"
    )
}

/// Says a greeting.
pub(crate) async fn say<T: Serialize>(strand: &mut Strand, greeting: &T) -> io::Result<()> {
    let body = wire::encode(greeting).map_err(io::Error::other)?;
    let mut bytes = Preamble { version: VERSION, length: body.len() }.encode().to_vec();
    bytes.extend_from_slice(&body);
    strand.write_all(&bytes).await?;
    strand.flush().await
}

async fn hear(strand: &mut Strand) -> io::Result<Option<Preamble>> {
    let mut bytes = [0; Preamble::LENGTH];
    strand.read_exact(&mut bytes).await?;
    Ok(Preamble::parse(bytes))
}

async fn rest<T: DeserializeOwned>(strand: &mut Strand, preamble: Preamble) -> io::Result<Option<T>> {
    let mut body = vec![0; preamble.length];
    strand.read_exact(&mut body).await?;
    Ok(wire::decode(&body).ok())
}

fn nonsense() -> TrunkError {
    TrunkError::Nonsense("it does not greet as an agent does".to_owned())
}
