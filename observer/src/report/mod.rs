//! Tables and texts for people, and rows as JSON for programs. Shared by the commands. Pure.

pub mod json;
pub mod rows;
pub mod table;
pub mod text;
