//! Telling every task that the program ends.

use tokio::sync::watch;

/// Held by everything that must end with the program.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Ends the program for all holders of its [`Shutdown`].
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A trigger and the handle that is cloned into tasks.
    pub fn new() -> (ShutdownTrigger, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Shutdown(receiver))
    }

    /// Whether the end was asked for.
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the end is asked for, or when the trigger is gone.
    pub async fn triggered(&self) {
        let mut receiver = self.0.clone();
        while !*receiver.borrow_and_update() {
            if receiver.changed().await.is_err() {
                return;
            }
        }
    }
}

impl ShutdownTrigger {
    /// Asks for the end. Later calls do nothing.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_holders_see_the_trigger_also_those_that_come_late() {
        let (trigger, shutdown) = Shutdown::new();
        let early = shutdown.clone();
        assert!(!early.is_triggered());
        trigger.trigger();
        early.triggered().await;
        shutdown.clone().triggered().await;
        assert!(shutdown.is_triggered());
    }
}
