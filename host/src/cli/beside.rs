//! What stands beside the ring of a host: the notifier, and the connection with the service manager.

use std::sync::Arc;

use clockjack_schedule::{notify::Channels, ports::Ledger};
use tokio::{
    runtime::Handle,
    sync::{broadcast, watch},
};
use tracing::warn;

#[cfg(feature = "otlp")]
use crate::traces::{self, Traces};
use crate::{
    clock::SystemClock,
    hot::Reloader,
    load::secrets::HostVault,
    notify::{self, Notifier, NotifierParts},
    settings,
    shell::{Event, HostHandle},
    systemd::{self, Service},
};

/// What a notifier hears: which channels are in force, and what is told.
pub(super) type Heard = (watch::Receiver<Arc<Channels>>, broadcast::Receiver<Event>);

/// What stands beside the ring.
pub(super) struct Beside {
    notifier: Notifier,
    service: Service,
    #[cfg(feature = "otlp")]
    traces: Option<Traces>,
}

/// Whether attempts are traced: this build can, and somebody wants it.
pub(super) fn is_traced() -> bool {
    cfg!(feature = "otlp") && settings::wants_traces()
}

impl Beside {
    /// Starts all of it. `events` is what was told since before the first job came in.
    pub(super) fn start(
        host: &HostHandle,
        reloader: &Reloader,
        ledger: Arc<dyn Ledger>,
        (channels, events): Heard,
        runtime: &Handle,
    ) -> Self {
        if settings::wants_traces() && !is_traced() {
            warn!(
                "`OTEL_EXPORTER_OTLP_ENDPOINT` is set, and this build sends no traces: build it with `--features otlp`"
            );
        }
        #[cfg(feature = "otlp")]
        let traces = is_traced().then(|| traces(host.bus().listen(), runtime)).flatten();
        let parts = NotifierParts {
            host: host.clone(),
            ledger,
            clock: Arc::new(SystemClock),
            vault: Arc::new(HostVault),
            channels,
            host_name: notify::host_name(),
            events,
        };
        Self {
            notifier: notify::start(parts, runtime),
            service: systemd::start(host.clone(), reloader.clone()),
            #[cfg(feature = "otlp")]
            traces,
        }
    }

    /// Has the manifest read again, because a signal asks for it.
    pub(super) async fn reload(&self, reloader: &Reloader) {
        if !self.service.reload() {
            reloader.poke("SIGHUP").await;
        }
    }

    /// Says that the host stops.
    pub(super) fn stopping(&self) {
        self.service.stopping();
    }

    /// Ends what needs the ring, while there is one. What is left says that it lives until it is dropped.
    pub(super) async fn end(self) -> Service {
        self.notifier.end().await;
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.end().await;
        }
        self.service
    }
}

#[cfg(feature = "otlp")]
fn traces(events: broadcast::Receiver<Event>, runtime: &Handle) -> Option<Traces> {
    match traces::start(events, runtime, None) {
        Ok(traces) => Some(traces),
        Err(error) => {
            warn!("no traces are sent: {error:#}");
            None
        }
    }
}
