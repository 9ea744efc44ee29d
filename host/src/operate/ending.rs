//! The wish for the end of a host, from wherever it comes.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// The wish for the end of a host. Clones are the same wish.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How long runs may still go on, once somebody has asked for the end.
    asked: Arc<watch::Sender<Option<Duration>>>,
    /// How long they may where nobody says how long.
    grace: Duration,
}

impl Ending {
    /// Nobody has asked for the end yet.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { asked: Arc::new(watch::Sender::new(None)), grace }
    }

    /// Asks for the end, and says how long runs may still go on. Who asks again may shorten that.
    pub fn ask(&self, grace: Option<Duration>) -> Duration {
        let wanted = grace.unwrap_or(self.grace);
        let mut agreed = wanted;
        self.asked.send_modify(|asked| {
            agreed = asked.map_or(wanted, |before| before.min(wanted));
            *asked = Some(agreed);
        });
        agreed
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.borrow().is_some()
    }

    /// Waits until somebody asks, and says how long runs may still go on.
    pub async fn asked(&self) -> Duration {
        self.shorter_than(Duration::MAX).await
    }

    /// Waits until somebody asks for less time than this, and says how much.
    async fn shorter_than(&self, before: Duration) -> Duration {
        let mut asked = self.asked.subscribe();
        let is_shorter = |asked: &Option<Duration>| asked.is_some_and(|grace| grace < before);
        match asked.wait_for(is_shorter).await {
            Ok(asked) => asked.unwrap_or_default(),
            // Who could ask is here and holds on to the other end.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Waits until somebody asks for less time than there is, and then for that time.
    pub async fn hurried(&self, grace: Duration) {
        let grace = self.shorter_than(grace).await;
        tokio::time::sleep(grace).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_may_shorten_the_time_and_not_prolong_it() {
        let ending = Ending::new(Duration::from_secs(10));
        assert!(!ending.is_asked());
        assert_eq!(ending.ask(Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert!(ending.is_asked());
        assert_eq!(ending.asked().await, Duration::from_secs(30));
        assert_eq!(ending.ask(Some(Duration::from_secs(60))), Duration::from_secs(30));
        let hurried = ending.hurried(Duration::from_secs(30));
        tokio::pin!(hurried);
        let early = tokio::time::timeout(Duration::from_secs(300), hurried.as_mut()).await;
        assert!(early.is_err(), "nobody is in a hurry yet");
        assert_eq!(ending.ask(None), Duration::from_secs(10));
        hurried.await;
    }
}
