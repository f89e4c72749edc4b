//! Tests of policy and register.

mod policy;
mod register;
mod scenarios;
