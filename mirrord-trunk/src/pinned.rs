//! Strands that only two can read: mutual TLS 1.3 between public keys that each side was told beforehand.
//!
//! There are no names, no authorities and no certificates: a peer is its key (RFC 7250), and its key is known by the
//! SHA-256 of its `SubjectPublicKeyInfo`. A session makes a fresh key for itself; the secret half never leaves memory.

use std::{fmt, io, str::FromStr, sync::Arc, time::Duration};

use rcgen::{KeyPair, PublicKeyData as _};
use rustls::{
    ClientConfig, ServerConfig,
    client::AlwaysResolvesClientRawPublicKeys,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::AlwaysResolvesServerRawPublicKeys,
    sign::CertifiedKey,
    version::TLS13,
};
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::strand::Strand;

mod verify;

/// How long two peers may take to prove themselves.
const PATIENCE: Duration = Duration::from_secs(10);

/// A key of our own, made for one session.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    public: PublicKey,
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// It could not be drawn.
    #[error("cannot make a key")]
    Draw(#[source] rcgen::Error),
    /// The one that was drawn is not usable.
    #[error("cannot use the key that was made")]
    Use(#[source] rustls::Error),
}

/// The public half, as others know it: the SHA-256 of its `SubjectPublicKeyInfo`, in lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A text that is no public key.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no public key: 64 lower-case hexadecimal digits are")]
pub struct BadPublicKey(String);

impl Identity {
    /// A fresh key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new() -> Result<Self, IdentityError> {
        let pair = KeyPair::generate().map_err(IdentityError::Draw)?;
        let spki = pair.subject_public_key_info();
        let secret =
            PrivateKeyDer::try_from(pair.serialize_der()).map_err(|words| unusable(words.to_owned()))?;
        let key = provider().key_provider.load_private_key(secret).map_err(IdentityError::Use)?;
        let public = PublicKey::of(&spki).ok_or_else(|| unusable("no SHA-256".to_owned()))?;
        Ok(Self { key: Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)), public })
    }

    /// What the other side is to be told.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public).finish()
    }
}

fn unusable(words: String) -> IdentityError {
    IdentityError::Use(rustls::Error::General(words))
}

impl PublicKey {
    /// The key that this `SubjectPublicKeyInfo` is.
    fn of(spki: &[u8]) -> Option<Self> {
        let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
        let hash = suite.common.hash_provider.hash(spki);
        hash.as_ref().try_into().ok().map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = BadPublicKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        bytes
            .filter(|_| rest.is_empty())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| BadPublicKey(text.to_owned()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Proves to the far side that we are `ours`, and refuses it unless it is `theirs`.
///
/// # Errors
/// When the far side is another, or the connection ends first. That the far side refuses *us* may show only when the
/// first bytes are read.
pub async fn connect(strand: Strand, ours: &Identity, theirs: &PublicKey) -> io::Result<Strand> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verify::Pin(*theirs)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(ours.key.clone())));
    // A name must be said, and nobody asks for it.
    let name = ServerName::try_from("agent.invalid").map_err(io::Error::other)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, strand);
    Ok(Box::new(tokio::time::timeout(PATIENCE, connected).await??))
}

/// The same, for the side that was called.
///
/// # Errors
/// When the near side is another, or the connection ends first.
pub async fn accept(strand: Strand, ours: &Identity, theirs: &PublicKey) -> io::Result<Strand> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(verify::Pin(*theirs)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(ours.key.clone())));
    let accepted = TlsAcceptor::from(Arc::new(config)).accept(strand);
    Ok(Box::new(tokio::time::timeout(PATIENCE, accepted).await??))
}

#[cfg(test)]
mod tests;
