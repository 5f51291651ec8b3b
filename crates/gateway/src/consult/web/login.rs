//! Who is logged in, and how often somebody may try.
//!
//! Threat: another program of this machine whose page the same browser opens. Browsers tell no ports apart when they
//! send cookies, so a server at another port of the same name is sent ours. Therefore a cookie is for one path that
//! nobody can guess, and alone it opens nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_monitor::wire::canonical::Digest;
use subtle::ConstantTimeEq as _;

use crate::clock;
use crate::identity::{Approver, random_id};
use crate::share::household;

/// How long a login lasts, whatever is done with it.
pub(super) const LASTS: Duration = Duration::from_secs(30 * 60);
/// How many logins there are, in all and of one person. The oldest go first.
const MOST: usize = 256;
const MOST_EACH: usize = 8;
/// How many attempts from one address fail within a minute before it waits, and how many addresses are known.
const ATTEMPTS: usize = 10;
const MINUTE_MS: u64 = 60_000;
const MOST_ADDRESSES: usize = 4096;

/// Somebody who is logged in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) approver: Approver,
    /// The path that is this login's alone.
    pub(super) place: String,
    /// What every form of it holds.
    pub(super) form: String,
    cookie: Digest,
    bound: Bound,
    since_ms: u64,
}

/// What a login is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    /// Where it comes from.
    pub(super) peer: IpAddr,
    /// By which name the page was called.
    pub(super) host: String,
}

impl Session {
    /// Whether a form is of this login.
    pub(super) fn wrote(&self, form: &str) -> bool {
        self.form.as_bytes().ct_eq(form.as_bytes()).into()
    }
}

/// All logins. In memory only.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs somebody in; the text is the cookie's. Nothing where the system has no random numbers.
    pub(super) fn open(&self, approver: Approver, bound: Bound, now_ms: u64) -> Option<(Arc<Session>, String)> {
        let (place, form, cookie) = (random_id()?, random_id()?, random_id()?);
        let digest = Digest::of_bytes(cookie.as_bytes());
        let session = Arc::new(Session { approver, place: place.clone(), form, cookie: digest, bound, since_ms: now_ms });
        let mut all = self.all();
        all.retain(|_, other| other.is_fresh(now_ms));
        let own = |other: &&Arc<Session>| other.approver.caller().principal() == session.approver.caller().principal();
        let crowded = all.values().filter(own).count() >= MOST_EACH;
        let oldest =
            all.values().filter(|other| !crowded || own(other)).min_by_key(|other| other.since_ms).map(|other| other.place.clone());
        if crowded || all.len() >= MOST {
            oldest.into_iter().for_each(|place| drop(all.remove(&place)));
        }
        all.insert(place, session.clone());
        Some((session, cookie))
    }

    /// The login of a path, for who has its cookie and comes from where it was opened.
    pub(super) fn find(&self, place: &str, cookies: &[&str], bound: &Bound, now_ms: u64) -> Option<Arc<Session>> {
        let session = self.all().get(place).cloned()?;
        let fits = |cookie: &&str| bool::from(Digest::of_bytes(cookie.as_bytes()).bytes().ct_eq(session.cookie.bytes()));
        (session.is_fresh(now_ms) && cookies.iter().any(fits) && session.bound == *bound).then_some(session)
    }

    /// Logs somebody out.
    pub(super) fn close(&self, session: &Session) {
        self.all().remove(&session.place);
    }
}

impl Session {
    fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms < self.since_ms.saturating_add(clock::millis(LASTS))
    }
}

/// Attempts that failed.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Vec<u64>>>);

impl Attempts {
    /// Whether an address may try.
    pub(super) fn may(&self, peer: IpAddr, now_ms: u64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &u64| now_ms < at.saturating_add(MINUTE_MS);
        known.retain(|_, failed| failed.iter().any(is_recent));
        match known.get_mut(&household(peer)) {
            Some(failed) => {
                failed.retain(is_recent);
                failed.len() < ATTEMPTS
            }
            // Who floods it with addresses keeps everybody out for a minute, and learns nothing.
            None => known.len() < MOST_ADDRESSES,
        }
    }

    /// One more has failed.
    pub(super) fn failed(&self, peer: IpAddr, now_ms: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(household(peer)).or_default().push(now_ms);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::{Identity, Purpose, Tokens, Wish};
    use bartizan_monitor::case::Reach;

    pub(in crate::consult) fn approver(label: &str) -> Approver {
        let dir = tempfile::tempdir().expect("dir");
        let tokens = Tokens::open(dir.path()).expect("store");
        let purpose = Purpose::Approver(std::collections::BTreeSet::new());
        let wish = Wish { label: label.to_owned(), lifetime: Wish::LIFETIME, reach: Reach::all(), environment: None, purpose };
        let issued = tokens.issue(&wish, 0).expect("issued");
        Identity::open(dir.path(), None).approver(issued.text.expose(), 0).expect("an approver")
    }

    pub(in crate::consult) fn bound(last: u8) -> Bound {
        Bound { peer: IpAddr::from([127, 0, 0, last]), host: "localhost:1".to_owned() }
    }

    #[test]
    fn a_login_is_found_with_its_path_its_cookie_and_from_its_place_for_a_while() {
        let (sessions, ann) = (Sessions::default(), approver("ann"));
        let (one, cookie) = sessions.open(ann.clone(), bound(1), 0).expect("random");
        let (two, other) = sessions.open(ann, bound(1), 0).expect("random");
        let find = |place: &str, cookie: &str, from, now_ms| sessions.find(place, &[cookie], &bound(from), now_ms).is_some();
        assert!(find(&one.place, &cookie, 1, 1) && find(&two.place, &other, 1, 1));
        assert!(!find(&one.place, &other, 1, 1) && !find("", &cookie, 1, 1) && !find(&one.place, "", 1, 1));
        assert!(!find(&one.place, &cookie, 2, 1), "from elsewhere");
        assert!(!find(&one.place, &cookie, 1, clock::millis(LASTS)), "too late");
        assert!(one.wrote(&one.form) && !one.wrote(&two.form) && !one.wrote(""));
        sessions.close(&one);
        assert!(!find(&one.place, &cookie, 1, 1));
    }

    #[test]
    fn logins_are_bounded_and_one_person_pushes_out_nobody_else() {
        let (sessions, ann, bob) = (Sessions::default(), approver("ann"), approver("bob"));
        let (first, cookie) = sessions.open(bob, bound(1), 0).expect("random");
        (0..50).for_each(|now_ms| drop(sessions.open(ann.clone(), bound(1), now_ms)));
        assert_eq!(sessions.all().len(), MOST_EACH + 1);
        assert!(sessions.find(&first.place, &[&cookie], &bound(1), 50).is_some());
    }

    #[test]
    fn who_fails_often_waits_and_others_do_not() {
        let (attempts, [one, two]) = (Attempts::default(), [1, 2].map(|last| bound(last).peer));
        for now_ms in 0..ATTEMPTS as u64 {
            assert!(attempts.may(one, now_ms));
            attempts.failed(one, now_ms);
        }
        assert!(!attempts.may(one, 59_999) && attempts.may(two, 59_999) && attempts.may(one, MINUTE_MS));
    }
}
