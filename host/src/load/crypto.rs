//! Which implementation of TLS's arithmetic libraries use that bring none of their own.

use std::sync::Once;

use tokio_rustls::rustls::crypto::ring;

/// Chooses it for the process. Where a program has chosen one already, that is as good.
pub fn choose() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| drop(ring::default_provider().install_default()));
}
