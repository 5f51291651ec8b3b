//! What is put to the database. Each statement is a transaction; times are the database's own.
//!
//! A row is fenced by its owner: a gateway's number is given once, and what a gateway says of a call holds only while
//! the row is still that gateway's and in the state in which it left it.

/// Whether a call (`new`) is one that was carried out (`d`), sent again. The same rule as `table::is_repeat`.
fn repeats(modern: &str, session: &str, request: &str, window: &str) -> String {
    format!("(d.named or {window} or (d.modern = {modern} and (d.session <> {session} or d.request = {request})))")
}

/// Claims a call, unless what is known of the same call or the client's room does not allow it. Parameters: key, print,
/// call, owner, named, modern, session, request, who, target, open calls, window.
pub(super) fn claim() -> String {
    let repeats = repeats("excluded.modern", "excluded.session", "excluded.request", "$12::boolean");
    format!(
        "insert into bartizan.deed as d (key, print, call, owner, state, named, modern, session, request, who, target) \
         select $1::bytea, $2::bytea, $3::bigint, $4::bigint, 'claimed', $5::boolean, $6::boolean, $7::bytea, $8::bytea, $9::text, $10::text \
         where exists (select 1 from bartizan.gateway where id = $4) \
         and (select count(*) from bartizan.deed o where o.who = $9 and o.state <> 'done' and o.key <> $1) < $11::bigint \
         on conflict (key) do update set print = excluded.print, call = excluded.call, owner = excluded.owner, state = 'claimed', \
         named = excluded.named, modern = excluded.modern, session = excluded.session, request = excluded.request, \
         who = excluded.who, target = excluded.target, answer = null, at = now(), until = null \
         where d.until < now() or (d.state = 'done' and d.print = excluded.print and not {repeats}) \
         returning d.call"
    )
}

/// Why a call could not be claimed. Parameters: key, print, owner, modern, session, request, who, window.
pub(super) fn look() -> String {
    let repeats = repeats("$4::boolean", "$5::bytea", "$6::bytea", "$8::boolean");
    format!(
        "select d.call, d.state, d.print = $2::bytea as same, d.modern = $4::boolean as era, coalesce(d.until < now(), false) as over, \
         {repeats} as repeats, d.answer, exists (select 1 from bartizan.gateway where id = $3::bigint) as known, \
         (select count(*) from bartizan.deed o where o.who = $7::text and o.state <> 'done' and o.key <> $1::bytea) as open \
         from (select 1) one left join bartizan.deed d on d.key = $1::bytea"
    )
}

/// From here on the server may have it. Parameters: key, call, owner.
pub(super) const LEAVE: &str = "update bartizan.deed set state = 'out', at = now() \
    where key = $1 and call = $2 and owner = $3 and state = 'claimed' and exists (select 1 from bartizan.gateway where id = $3)";

/// It ended. Parameters: key, call, owner, state, answer, seconds for what is named or ambiguous, seconds for the rest.
pub(super) const END: &str = "update bartizan.deed set state = $4::text, answer = $5::bytea, at = now(), \
    until = now() + make_interval(secs => case when named or $4::text = 'ambiguous' then $6::float8 else $7::float8 end) \
    where key = $1 and call = $2 and owner = $3 and state = 'out'";

/// It did not happen. Parameters: key, call, owner.
pub(super) const RELEASE: &str = "delete from bartizan.deed where key = $1 and call = $2 and owner = $3 and state in ('claimed', 'out')";

/// A gateway is new here. The parameter: its lease in seconds.
pub(super) const REGISTER: &str = "insert into bartizan.gateway (lease) values (make_interval(secs => $1::float8)) returning id";

/// A gateway is still here.
pub(super) const BEAT: &str = "update bartizan.gateway set seen = now() where id = $1";

/// A gateway goes. What it left running is ambiguous from then on.
pub(super) const BYE: &str = "delete from bartizan.gateway where id = $1";

/// Claims that were given up before the database answered. Parameters: the owner, and its calls that are in the house.
pub(super) const ORPHANS: &str = "delete from bartizan.deed where owner = $1 and state = 'claimed' \
    and at < now() - interval '10 seconds' and call <> all ($2::bigint[])";

/// The ambiguous calls, the oldest first.
pub(super) const LIST: &str = "select call, (extract(epoch from at) * 1000)::bigint, who, target from bartizan.deed \
    where state = 'ambiguous' order by at, call";

/// A person has looked. Numbers are those of machines that know nothing of each other: what two calls have is nobody's.
pub(super) const FORGET: &str = "delete from bartizan.deed where call = $1 and state = 'ambiguous' \
    and (select count(*) from bartizan.deed o where o.call = $1 and o.state = 'ambiguous') = 1";

/// How many rows that are over are cleared at once, so that it takes no time.
const CLEARED: usize = 10_000;

/// What every gateway does for all of them, one at a time; statements that are sent together are one transaction. A gateway that was silent for longer than its lease is gone:
/// what it had claimed is free, what may have left is ambiguous. While the database itself was away nobody could speak.
pub(super) fn sweep(keep_hours: u32) -> String {
    format!(
        "select pg_advisory_xact_lock(1113682517); \
         delete from bartizan.gateway where greatest(seen, pg_postmaster_start_time()) + lease < now(); \
         update bartizan.deed d set state = 'ambiguous', at = now(), until = now() + interval '{keep_hours} hours' \
         where state = 'out' and not exists (select 1 from bartizan.gateway g where g.id = d.owner); \
         delete from bartizan.deed d where state = 'claimed' and not exists (select 1 from bartizan.gateway g where g.id = d.owner); \
         delete from bartizan.deed where ctid = any (array(select ctid from bartizan.deed where until < now() limit {CLEARED}))"
    )
}

/// What is done makes room, oldest first: so many calls and so many bytes of answers of each client.
pub(super) fn trim(calls: usize, bytes: usize) -> String {
    format!(
        "select pg_advisory_xact_lock(1113682517); \
         delete from bartizan.deed where key in (select key from (select key, row_number() over (partition by who order by at desc) as place \
         from bartizan.deed where state = 'done') ranked where place > {calls}) and state = 'done'; \
         update bartizan.deed set answer = null where key in (select key from (select key, \
         sum(octet_length(answer)) over (partition by who order by at desc) as bytes \
         from bartizan.deed where answer is not null) ranked where bytes > {bytes})"
    )
}
