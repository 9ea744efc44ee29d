//! The facades `log` and `tracing` as ways to the host's log.

#[cfg(feature = "log")]
mod through_log;
#[cfg(feature = "tracing")]
mod through_tracing;

/// Installs both. Does nothing where a logger is installed already.
pub(crate) fn install() {
    #[cfg(feature = "log")]
    through_log::install();
    #[cfg(feature = "tracing")]
    through_tracing::install();
}
