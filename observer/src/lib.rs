//! Observer: sees which processes of a host talk to AI services, judges it against policy, finds sensitive
//! data in it and records all of that as evidence.
//!
//! The modules stand in the order in which data flows; a stage knows the stages before it, never one after it.
//! `kernel`, `identity`, `kubernetes` (`api` and `watch`), `state`, `spool`, `store`, `notary`, `inventory` (`store`), `privilege`, `selftest`, `metrics`, `alerts` (`send`), `verify` (its sources), `bundle`, `review` and `app` do input and output. All others are pure: bytes or values
//! in, values and losses out, time passed in.

pub mod config;
pub mod stacks;
pub mod kernel;
pub mod identity;
mod tls;
pub mod kubernetes;
mod budget;
pub mod flow;
pub mod protocol;
pub mod exchange;
pub mod catalog;
pub mod dialect;
pub mod sensitive;
pub mod policy;
pub mod evidence;
pub mod coverage;
pub mod enforce;
pub mod pipeline;
pub mod state;
pub mod spool;
pub mod store;
pub mod notary;
pub mod inventory;
pub mod privilege;
pub mod selftest;
pub mod metrics;
pub mod report;
pub mod verify;
pub mod bundle;
pub mod siem;
pub mod alerts;
pub mod review;
pub mod cli;
pub mod app;
