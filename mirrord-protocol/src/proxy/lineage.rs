//! How one process of a guest introduces itself.

use serde::{Deserialize, Serialize};

use crate::version::Version;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that the layer speaks; a layer and a proxy of different versions do not talk.
    pub version: Version,
    /// The process, as it numbers itself.
    pub pid: i32,
    /// The program's name, without its folder.
    pub program: String,
    /// Whether the settings are wanted: the first connection of a program asks for them, later ones have them.
    pub settings: bool,
}

/// The answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that the proxy speaks.
    pub version: Version,
    /// Whether the settings ride along.
    pub settings: bool,
}

/// Something that the layer has to tell, and the guest must not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// For us.
    Trace(String),
    /// For the developer: once for each text.
    Warning(String),
}
