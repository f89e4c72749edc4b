//! Tables for people, shared by the commands.
