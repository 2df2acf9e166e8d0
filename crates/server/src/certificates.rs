//! The certificates that the configuration names.
//!
//! Called by [`crate::wiring`] at the start, and by `outflow config check`.

use outflow_face::Tls;

use crate::config::{Config, Suites, TlsFiles};
use crate::wiring::StartError;

/// Loads the certificate of a listener, if its section of the configuration names one.
///
/// # Errors
/// [`StartError::Tls`] names the file at fault.
pub(crate) fn load(listener: &'static str, files: &TlsFiles) -> Result<Option<Tls>, StartError> {
    if !files.is_set() {
        return Ok(None);
    }
    let suites = match files.suites {
        Suites::Default => outflow_face::Suites::Default,
        Suites::Seed => outflow_face::Suites::Seed,
    };
    let loaded = Tls::load(&files.cert_file, &files.key_file, suites);
    loaded.map(Some).map_err(|error| StartError::Tls { listener, error })
}

/// What is wrong with the certificates of all listeners that are opened.
pub(crate) fn check(config: &Config) -> Vec<StartError> {
    let sections = [
        ("http", &config.http.tls, true),
        ("stomp", &config.stomp.tls, config.stomp.enabled),
        ("openwire", &config.openwire.tls, config.openwire.enabled),
    ];
    let opened = sections.into_iter().filter(|(_, _, is_opened)| *is_opened);
    opened.filter_map(|(listener, files, _)| load(listener, files).err()).collect()
}
