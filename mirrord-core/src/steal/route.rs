//! One connection: delivered, or passed to the target; and those that wait to be taken.

use std::{collections::BTreeMap, time::Duration};

use mirrord_protocol::id::{ArrivalId, ClientId};

/// What becomes of a connection that was redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// This client answers it.
    Deliver {
        /// Whose.
        client: ClientId,
        /// Whether the connection itself is passed, or waits for a lane.
        pass: bool,
    },
    /// Nobody wants it any more: the target answers it.
    Pass,
}

/// Connections that were announced and wait to be taken by their client. Whatever is put in comes out exactly once.
#[derive(Debug)]
pub struct Arrivals<T> {
    last: ArrivalId,
    waiting: BTreeMap<ArrivalId, Waiting<T>>,
    patience: Duration,
}

#[derive(Debug)]
struct Waiting<T> {
    client: ClientId,
    since: Duration,
    cargo: T,
}

impl<T> Arrivals<T> {
    /// None yet; each may wait for so long.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { last: ArrivalId::default(), waiting: BTreeMap::new(), patience }
    }

    /// The number of an arrival that does not wait.
    pub fn number(&mut self) -> ArrivalId {
        self.last = self.last.next();
        self.last
    }

    /// An arrival waits from `now` on.
    pub fn begin(&mut self, client: ClientId, now: Duration, cargo: T) -> ArrivalId {
        let id = self.number();
        self.waiting.insert(id, Waiting { client, since: now, cargo });
        id
    }

    /// Its client has come for it, to take it or to give it back. Another client's arrival is not there for it.
    pub fn finish(&mut self, client: ClientId, id: ArrivalId) -> Option<T> {
        self.waiting.get(&id).filter(|waiting| waiting.client == client)?;
        self.waiting.remove(&id).map(|waiting| waiting.cargo)
    }

    /// The client will come for nothing any more.
    pub fn finish_all(&mut self, client: ClientId) -> Vec<T> {
        self.remove_where(|waiting| waiting.client == client)
    }

    /// Those whose client did not come in time.
    pub fn finish_overdue(&mut self, now: Duration) -> Vec<T> {
        let patience = self.patience;
        self.remove_where(|waiting| now >= waiting.since + patience)
    }

    /// When the next one is overdue, if any waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        // Numbers are given in the order of time.
        self.waiting.values().next().map(|waiting| waiting.since + self.patience)
    }

    fn remove_where(&mut self, unwanted: impl Fn(&Waiting<T>) -> bool) -> Vec<T> {
        let ids: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| unwanted(waiting)).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.waiting.remove(id)).map(|waiting| waiting.cargo).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ClientId = ClientId(1);
    const BEN: ClientId = ClientId(2);
    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn an_arrival_is_taken_once_and_by_its_own_client() {
        let mut arrivals = Arrivals::new(PATIENCE);
        let id = arrivals.begin(ANN, Duration::ZERO, "x");
        assert_eq!(arrivals.finish(BEN, id), None);
        assert_eq!(arrivals.finish(ANN, id), Some("x"));
        assert_eq!(arrivals.finish(ANN, id), None);
        assert_eq!(arrivals.finish(ANN, ArrivalId(99)), None);
    }

    #[test]
    fn what_nobody_takes_is_overdue_in_the_order_of_its_coming() {
        let mut arrivals = Arrivals::new(PATIENCE);
        arrivals.begin(ANN, Duration::from_secs(1), "first");
        arrivals.begin(BEN, Duration::from_secs(2), "second");
        assert_eq!(arrivals.next_deadline(), Some(Duration::from_secs(6)));
        assert!(arrivals.finish_overdue(Duration::from_secs(5)).is_empty());
        assert_eq!(arrivals.finish_overdue(Duration::from_secs(6)), ["first"]);
        assert_eq!(arrivals.finish_overdue(Duration::from_secs(60)), ["second"]);
        assert_eq!(arrivals.next_deadline(), None);
    }

    #[test]
    fn a_client_that_goes_leaves_its_own_arrivals_and_no_others() {
        let mut arrivals = Arrivals::new(PATIENCE);
        arrivals.begin(ANN, Duration::ZERO, "ann's");
        let other = arrivals.begin(BEN, Duration::ZERO, "ben's");
        assert_eq!(arrivals.finish_all(ANN), ["ann's"]);
        assert_eq!(arrivals.finish(BEN, other), Some("ben's"));
    }

    #[test]
    fn no_number_is_given_twice() {
        let mut arrivals = Arrivals::new(PATIENCE);
        let waiting = arrivals.begin(ANN, Duration::ZERO, ());
        assert_ne!(arrivals.number(), waiting);
        assert_ne!(arrivals.number(), arrivals.begin(ANN, Duration::ZERO, ()));
    }
}
