//! TLS 1.2 and 1.3 by rustls, with the seed's cipher suites and certificates that can be changed
//! while serving.
//!
//! Made by `server` from its configuration; used by [`crate::listener`]. `server` calls
//! [`Tls::reload`] on demand and [`Tls::reload_if_changed`] from a timer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The largest certificate or key file that is read, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Which cipher suites are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suites {
    /// The seed's six, and the three ECDHE-ECDSA twins for certificates with an ECDSA key.
    #[default]
    Default,
    /// Exactly the six suites that Airship names (seed 001); TLS 1.2 clients then need the server
    /// to have an RSA certificate.
    Seed,
}

const SEED: [CipherSuite; 6] = [
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

const ECDSA_TWINS: [CipherSuite; 3] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
];

/// Why TLS could not be set up. The configuration in use, if any, stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not PEM of the right kind.
    #[error("`{path}` holds no usable {what}: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why it is not usable.
        reason: String,
    },
    /// Certificate and key do not fit each other, or are not supported.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
}

#[derive(Debug)]
struct Inner {
    cert: PathBuf,
    key: PathBuf,
    suites: Suites,
    config: RwLock<Arc<ServerConfig>>,
    /// When the two files were last changed, as of the last load.
    changed: Mutex<[Option<SystemTime>; 2]>,
}

/// The TLS side of a listener. Clones share certificates.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Inner>);

impl Tls {
    /// Loads the certificate chain in PEM file `cert` and its private key in PEM file `key`.
    ///
    /// # Errors
    /// [`TlsError`] names the file at fault.
    pub fn load(cert: &Path, key: &Path, suites: Suites) -> Result<Self, TlsError> {
        let changed = [changed(cert), changed(key)];
        let config = RwLock::new(Arc::new(config(cert, key, suites)?));
        let (cert, key) = (cert.to_owned(), key.to_owned());
        Ok(Self(Arc::new(Inner { cert, key, suites, config, changed: Mutex::new(changed) })))
    }

    /// Loads the files again. New connections get the new certificate, open ones keep theirs.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let changed = [changed(&self.0.cert), changed(&self.0.key)];
        let config = config(&self.0.cert, &self.0.key, self.0.suites)?;
        *self.0.config.write() = Arc::new(config);
        *self.0.changed.lock() = changed;
        Ok(())
    }

    /// Loads the files again if either has changed, and says whether it did.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate in use then stays, and the next call tries again.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let now = [changed(&self.0.cert), changed(&self.0.key)];
        if *self.0.changed.lock() == now {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.config.read()))
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn provider(suites: Suites) -> CryptoProvider {
    let wanted = |suite: &SupportedCipherSuite| {
        let id = suite.suite();
        SEED.contains(&id) || (suites == Suites::Default && ECDSA_TWINS.contains(&id))
    };
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(wanted);
    provider
}

fn config(cert: &Path, key: &Path, suites: Suites) -> Result<ServerConfig, TlsError> {
    let pem = read(cert)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| not_pem(cert, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(not_pem(cert, "certificate", "there is no CERTIFICATE section".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|error| not_pem(key, "private key", error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider(suites)))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let fail = |error| TlsError::Read { path: path.to_owned(), error };
    let size = std::fs::metadata(path).map_err(fail)?.len();
    if size > MAX_PEM_BYTES {
        return Err(not_pem(path, "PEM", format!("it has {size} bytes")));
    }
    std::fs::read(path).map_err(fail)
}

fn not_pem(path: &Path, what: &'static str, reason: String) -> TlsError {
    TlsError::Pem { path: path.to_owned(), what, reason }
}
