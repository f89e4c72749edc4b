//! Tests of policy and register.

mod before;
mod policy;
mod register;
mod scenarios;
