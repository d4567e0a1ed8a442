//! Which TLS servers are trusted.

use crate::Error;
use net::tls::{Connector, Trust};
use std::sync::{Arc, OnceLock};

/// How TLS connections are made. The certificates to trust are read at the first one, so that whoever needs no TLS needs no
/// certificates; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    trust: Trust,
    connector: Arc<OnceLock<Connector>>,
}

impl From<Trust> for Tls {
    fn from(trust: Trust) -> Self {
        Self { trust, connector: Arc::default() }
    }
}

impl Tls {
    /// What opens the connections.
    ///
    /// # Errors
    /// `Trust` if the certificates cannot be read.
    pub fn connector(&self) -> Result<&Connector, Error> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let connector = Connector::new(&self.trust).map_err(Error::Trust)?;
        Ok(self.connector.get_or_init(|| connector))
    }
}
