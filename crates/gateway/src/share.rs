//! Shares: so much of something for everybody together, and so much of it for each one. What is taken comes back
//! by being dropped.
//!
//! Threat: one caller takes all there is (calls, streams, processes, memory), and everybody else is refused.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Something of which there is only so much.
#[derive(Debug)]
pub struct Shares<K> {
    all: usize,
    each: usize,
    taken: Mutex<Taken<K>>,
    freed: Notify,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by: HashMap<K, usize>,
}

/// Why nothing was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Everybody together has all there is.
    All,
    /// The one who asks has as much as one may have.
    Own,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// So much in all, and so much for each.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, taken: Mutex::new(Taken { all: 0, by: HashMap::new() }), freed: Notify::new() })
    }

    /// Takes some for somebody.
    pub fn take(self: &Arc<Self>, who: &K, amount: usize) -> Result<Share<K>, Full> {
        self.add(who, amount)?;
        Ok(Share { of: self.clone(), who: who.clone(), amount })
    }

    /// How much is taken, by everybody together.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.taken().all
    }

    /// Takes some for somebody, and waits a while for it where there is none.
    pub async fn take_within(self: &Arc<Self>, who: &K, amount: usize, patience: Duration) -> Result<Share<K>, Full> {
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        loop {
            // Before the look: what comes free in between is not missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let full = match self.take(who, amount) {
                Ok(share) => return Ok(share),
                Err(full) => full,
            };
            tokio::select! {
                () = freed => {}
                () = &mut patience => return Err(full),
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        // Nothing between the two counts can panic, so they are whole whatever panics elsewhere.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, who: &K, amount: usize) -> Result<(), Full> {
        let mut taken = self.taken();
        let all = taken.all.saturating_add(amount);
        let own = taken.by.get(who).copied().unwrap_or_default().saturating_add(amount);
        if all > self.all {
            return Err(Full::All);
        }
        if own > self.each {
            return Err(Full::Own);
        }
        taken.all = all;
        taken.by.insert(who.clone(), own);
        Ok(())
    }

    fn give_back(&self, who: &K, amount: usize) {
        let mut taken = self.taken();
        taken.all = taken.all.saturating_sub(amount);
        let left = taken.by.get(who).copied().unwrap_or_default().saturating_sub(amount);
        // Who has nothing is forgotten: the map is as large as there are holders.
        if left == 0 {
            taken.by.remove(who);
        } else {
            taken.by.insert(who.clone(), left);
        }
        drop(taken);
        self.freed.notify_waiters();
    }
}

/// What counts as one holder among addresses: an IPv4 address, and the /64 of an IPv6 address, because whoever has one
/// address of such a network usually has all of them (RFC 4291, section 2.5.4).
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        own @ IpAddr::V4(_) => own,
        IpAddr::V6(own) => IpAddr::V6(Ipv6Addr::from_bits(own.to_bits() & !u128::from(u64::MAX))),
    }
}

/// What somebody has taken.
#[derive(Debug)]
pub struct Share<K: Eq + Hash + Clone> {
    of: Arc<Shares<K>>,
    who: K,
    amount: usize,
}

impl<K: Eq + Hash + Clone> Share<K> {
    /// Takes as much more as is missing to this amount.
    pub fn grow(&mut self, amount: usize) -> Result<(), Full> {
        let more = amount.saturating_sub(self.amount);
        self.of.add(&self.who, more)?;
        self.amount = self.amount.saturating_add(more);
        Ok(())
    }
}

impl<K: Eq + Hash + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        self.of.give_back(&self.who, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cannot_take_all_and_what_is_dropped_comes_back() {
        let shares = Shares::new(3, 2);
        let first = shares.take(&"a", 1).expect("room");
        let second = shares.take(&"a", 1).expect("room");
        assert_eq!(shares.take(&"a", 1).err(), Some(Full::Own));
        let other = shares.take(&"b", 1).expect("room for somebody else");
        assert_eq!(shares.take(&"b", 1).err(), Some(Full::All));
        drop((first, other));
        let _again = shares.take(&"b", 2).expect("room");
        drop(second);
        assert!(!shares.taken().by.contains_key("a"), "who has nothing is remembered");
    }

    #[tokio::test]
    async fn who_waits_gets_what_comes_free_and_nobody_waits_for_ever() {
        let shares = Shares::new(1, 1);
        let held = shares.take(&"a", 1).expect("room");
        assert_eq!(shares.take_within(&"b", 1, Duration::from_millis(20)).await.err(), Some(Full::All));
        let waits = shares.clone();
        let waiting = tokio::spawn(async move { waits.take_within(&"b", 1, Duration::from_secs(10)).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(held);
        let given = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("soon").expect("no panic");
        assert!(given.is_ok());
    }

    #[test]
    fn a_share_grows_within_its_bounds() {
        let shares = Shares::new(10, 6);
        let mut share = shares.take(&1, 2).expect("room");
        assert_eq!((share.grow(6), share.grow(4), share.grow(7)), (Ok(()), Ok(()), Err(Full::Own)));
        drop(share);
        assert_eq!(shares.taken().all, 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_holder() {
        let of = |address: &str| household(address.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }
}
