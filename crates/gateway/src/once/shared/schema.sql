-- What several gateways remember together: who of them is there, and which calls they made that change something.
-- A gateway makes these itself where it may. Otherwise somebody runs this in the database, and then, for the user of the gateways:
--   grant usage on schema bartizan to GATEWAY;
--   grant select, insert, update, delete on all tables in schema bartizan to GATEWAY;
create schema if not exists bartizan;
create table if not exists bartizan.version (one boolean primary key default true check (one), version integer not null);
-- A gateway, from when it registers until it leaves or is silent for longer than its lease. A number is given once.
create table if not exists bartizan.gateway (
  id bigint generated always as identity primary key,
  seen timestamptz not null default now(),
  lease interval not null
);
-- A call. claimed: nothing left yet; out: the server may have it; done: answered; ambiguous: nobody knows.
create table if not exists bartizan.deed (
  key bytea primary key,
  print bytea not null,
  call bigint not null,
  owner bigint not null,
  state text not null check (state in ('claimed', 'out', 'done', 'ambiguous')),
  named boolean not null,
  modern boolean not null,
  session bytea not null,
  request bytea not null,
  who text not null,
  target text not null,
  answer bytea,
  at timestamptz not null default now(),
  until timestamptz
);
create index if not exists deed_running on bartizan.deed (owner) where state in ('claimed', 'out');
create index if not exists deed_open on bartizan.deed (who) where state <> 'done';
create index if not exists deed_until on bartizan.deed (until);
insert into bartizan.version (version) values (1) on conflict do nothing;
