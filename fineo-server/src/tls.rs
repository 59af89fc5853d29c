//! The server's certificate, which can be replaced while connections are open.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use fineo::{Error, Result};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

/// The certificate and key that the doors show. Cloning is cheap, and all clones show the latest certificate.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Files>);

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
}

/// The certificate that new connections are shown.
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Tls {
    /// Reads a chain of certificates and a private key, both PEM.
    ///
    /// # Errors
    ///
    /// `Invalid` when a file cannot be read, or the key does not fit the certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self> {
        let shown = Shown(RwLock::new(Arc::new(read(certificate, key)?)));
        Ok(Self(Arc::new(Files { certificate: certificate.into(), key: key.into(), shown: Arc::new(shown) })))
    }

    /// Reads the files again; connections from now on are shown what is in them.
    ///
    /// # Errors
    ///
    /// As [`Tls::load`]; then the certificate from before stays.
    pub fn reload(&self) -> Result<()> {
        let fresh = Arc::new(read(&self.0.certificate, &self.0.key)?);
        *self.0.shown.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What a door that speaks `protocols` (names of ALPN, the best first) accepts connections with. TLS 1.2 or later.
    ///
    /// # Errors
    ///
    /// `Internal` when the cryptography lacks the versions.
    pub fn config(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| Error::internal("the cryptography has no TLS").with_source(source))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0.shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// As [`Tls::config`], ready for tokio.
    ///
    /// # Errors
    ///
    /// As [`Tls::config`].
    pub fn acceptor(&self, protocols: &[&str]) -> Result<TlsAcceptor> {
        Ok(TlsAcceptor::from(self.config(protocols)?))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let unreadable = |setting: &'static str, path: &Path, source: rustls::pki_types::pem::Error| {
        Error::invalid("not a PEM file that can be read").with(setting, path.display()).with_source(source)
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| unreadable("tls.certificate", certificate, source))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| unreadable("tls.key", key, source))?;
    if chain.is_empty() {
        return Err(Error::invalid("no certificate in the file").with("tls.certificate", certificate.display()));
    }
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|source| {
        Error::invalid("the private key does not fit the certificate")
            .with("tls.key", key.display())
            .with_source(source)
    })
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}
